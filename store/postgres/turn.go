package postgres

import (
	"context"
	"sync"

	"pli/store"
)

// turns lets the updates of one owner that this process begins follow one
// another: those that wait hold no connection, and what waits for their
// commits runs in the order of these.
type turns struct {
	mu sync.Mutex
	of map[store.Owner]*turn
}

type turn struct {
	free chan struct{} // holds one while nobody has the turn
	n    int           // who has it or waits for it
}

// take waits for owner's turn. The caller leaves it if there is no error.
func (s *turns) take(ctx context.Context, owner store.Owner) error {
	s.mu.Lock()
	t := s.of[owner]
	if t == nil {
		if s.of == nil {
			s.of = map[store.Owner]*turn{}
		}
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		s.of[owner] = t
	}
	t.n++
	s.mu.Unlock()
	select {
	case <-t.free:
		return nil
	case <-ctx.Done():
		s.forget(owner, t)
		return ctx.Err()
	}
}

// leave gives owner's turn to the next.
func (s *turns) leave(owner store.Owner) {
	s.mu.Lock()
	t := s.of[owner]
	s.mu.Unlock()
	t.free <- struct{}{}
	s.forget(owner, t)
}

func (s *turns) forget(owner store.Owner, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.n--; t.n == 0 {
		delete(s.of, owner)
	}
}
