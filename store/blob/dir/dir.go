// Package dir keeps blobs as files in a folder.
package dir

import (
	"context"

	"pli/store/blob"
)

// Config is for what may be chosen.
type Config struct{}

type Store struct{}

func Open(path string, cfg Config) (*Store, error) { return &Store{}, nil }

func (s *Store) Create(ctx context.Context) (blob.Writer, error)                 { return nil, nil }
func (s *Store) Open(ctx context.Context, id blob.ID) (blob.Reader, error)       { return nil, nil }
func (s *Store) Delete(ctx context.Context, id blob.ID) error                    { return nil }
func (s *Store) List(ctx context.Context, a blob.ID, n int) ([]blob.Info, error) { return nil, nil }
