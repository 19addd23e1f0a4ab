package web

import (
	"context"
	"sync"

	"pli/internal/errs"
)

// turns lets the requests that make the same letter work one after another.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when the turn is over
}

// take waits for a letter's turn. Each turn taken is given back.
func (t *turns) take(ctx context.Context, letter string) error {
	for {
		t.mu.Lock()
		over := t.busy[letter]
		if over == nil {
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			t.busy[letter] = make(chan struct{})
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			return errs.Wrap(ctx.Err(), errs.Unavailable, "the same letter is on its way")
		}
	}
}

// give ends a letter's turn.
func (t *turns) give(letter string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.busy[letter])
	delete(t.busy, letter)
}
