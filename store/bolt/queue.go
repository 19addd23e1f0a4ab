package bolt

import (
	"context"
	"sync"
	"sync/atomic"

	"pli/store"
)

// request is one caller's transaction.
type request struct {
	ctx   context.Context
	owner store.Owner
	wide  int
	fn    func(store.Tx) error

	taken atomic.Bool // by the committer, or back by its caller
	done  chan error  // takes one answer
	err   error
	tx    *tx // set when fn has run and its writes are to be kept
}

// take says whether the one who asks is the first: the committer that begins
// the request, or the caller who gives up waiting for that.
func (r *request) take() bool { return r.taken.CompareAndSwap(false, true) }

// queue holds what waits for the committer. It is as long as there are
// callers waiting.
type queue struct {
	mu     sync.Mutex
	more   *sync.Cond
	items  []*request
	closed bool
}

func (q *queue) init() { q.more = sync.NewCond(&q.mu) }

func (q *queue) add(r *request) {
	q.mu.Lock()
	q.items = append(q.items, r)
	q.mu.Unlock()
	q.more.Signal()
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.more.Signal()
}

// takeAll appends all that waits to into. If into is empty it waits for
// something to do; it returns nothing only once the queue is closed.
func (q *queue) takeAll(into []*request) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(into) == 0 && len(q.items) == 0 && !q.closed {
		q.more.Wait()
	}
	into = append(into, q.items...)
	clear(q.items)
	q.items = q.items[:0]
	return into
}

// update queues fn and waits for its outcome.
func (s *shard) update(ctx context.Context, owner store.Owner, wide int, fn func(store.Tx) error) error {
	r := &request{ctx: ctx, owner: owner, wide: wide, fn: fn, done: make(chan error, 1)}
	s.queue.add(r)
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.take() {
			return ctx.Err()
		}
		return <-r.done
	}
}
