package signin

import (
	"context"
	"sync/atomic"

	"pli/internal/errs"
)

// pool bounds how many derive a key from a password at once: each takes a core
// and tens of megabytes for a tenth of a second.
type pool struct {
	turns   chan struct{}
	waiting *atomic.Int64
	queue   int64
}

func newPool(turns, queue int) pool {
	return pool{turns: make(chan struct{}, turns), waiting: new(atomic.Int64), queue: int64(queue)}
}

var errCrowd = errs.New(errs.Unavailable, "too many people are signing in just now: try again in a moment")

// do runs fn when it is its turn. It returns fn's error, errCrowd if too many
// wait already, or ctx's error if ctx ends first.
func (p pool) do(ctx context.Context, fn func() error) error {
	if p.waiting.Add(1) > p.queue+int64(cap(p.turns)) {
		p.waiting.Add(-1)
		return errCrowd
	}
	defer p.waiting.Add(-1)
	select {
	case p.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turns }()
	return fn()
}
