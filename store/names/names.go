// Package names finds an owner by a secret name.
package names

import (
	"context"

	"pli/store"
)

type Names struct{}

func New(db store.DB, key [32]byte) *Names { return &Names{} }

func (n *Names) Bind(ctx context.Context, kind, name string, owner store.Owner) error { return nil }

func (n *Names) Find(ctx context.Context, kind, name string) (store.Owner, error) { return "", nil }

func (n *Names) Unbind(ctx context.Context, kind, name string) error { return nil }
