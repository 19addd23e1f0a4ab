package bolt

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"pli/store"
)

var errEnded = errors.New("bolt: a transaction's function ended its goroutine")

// commitLoop is the shard's committer: it ends when the queue is closed and
// empty. It outlives a function that ends the goroutine (as a test's Fatal
// does) by starting again with what is left.
func (s *shard) commitLoop() {
	var waiting []*request
	ended := false
	defer func() {
		if ended {
			close(s.done)
			return
		}
		for _, r := range waiting {
			if r != nil { // nil: begun before the end
				s.queue.add(r)
			}
		}
		go s.commitLoop()
	}()
	for {
		if waiting = s.queue.takeAll(waiting); len(waiting) == 0 {
			ended = true
			return
		}
		b := &batch{shard: s}
		waiting = b.gather(waiting)
	}
}

// batch is what one commit makes durable.
type batch struct {
	shard *shard
	btx   *bbolt.Tx
	ran   []*request // in order; those whose tx is nil have failed
	dirty bool       // something is to be committed
}

// gather runs what waits, until all has run or the batch is large enough,
// commits it, and returns what is left.
func (b *batch) gather(waiting []*request) (left []*request) {
	s := b.shard
	left = waiting
	settled := false
	s.writing.Lock()
	defer s.writing.Unlock()
	defer func() {
		if !settled { // a function has ended this goroutine
			b.abandon()
		}
	}()
	err := s.fault()
	if err == nil {
		b.btx, err = s.file.Begin(true)
	}
	if err == nil {
		b.btx.Bucket(bucketLarge).FillPercent = 1 // it grows at its right edge only
	}
	full := err == nil && diskFull(s.path, s.cfg.MinFree)
	for len(left) > 0 && (len(b.ran) == 0 || s.scratch.used() < s.cfg.BatchBytes) {
		r := left[0]
		left[0], left = nil, left[1:]
		if !r.take() {
			continue // its caller has gone
		}
		b.ran = append(b.ran, r)
		switch {
		case err != nil:
			r.err = asStoreError(err)
		case r.ctx.Err() != nil:
			r.err = r.ctx.Err()
		default:
			if fault := b.run(r, full); fault != nil {
				err = s.breakDown(fault)
			}
		}
	}
	b.settle(err)
	settled = true
	if len(left) == 0 {
		return waiting[:0]
	}
	return left
}

// run runs one function. What it wrote is undone if it fails; the error
// returned says that not even that was possible.
func (b *batch) run(r *request, full bool) (fault error) {
	t := newTx(b.shard, b.btx, r.owner)
	t.wide = r.wide
	returned := false
	defer func() {
		t.end()
		if !returned {
			// nil when the goroutine is being ended, not panicking
			if p := recover(); p != nil {
				r.err = b.shard.panicked("a transaction", p)
			} else {
				r.err = errEnded
			}
		}
		if r.err != nil {
			fault = b.revert(t)
			return
		}
		r.tx = t
		b.dirty = b.dirty || t.writes > 0
	}()
	r.err = r.fn(t)
	returned = true
	switch {
	case r.err != nil:
	case t.failed != nil:
		r.err = t.failed
	case full && t.puts:
		r.err = store.ErrFull
	}
	return nil
}

// revert takes back what t wrote. Nothing of the batch can be kept if that
// fails.
func (b *batch) revert(t *tx) (fault error) {
	defer func() {
		if p := recover(); p != nil {
			fault = b.shard.panicked("the undoing of a transaction", p)
		}
	}()
	return t.undo.back()
}

// settle commits the batch, or rolls it back if there is an error or nothing
// to commit, runs what waited for the commit, and answers everybody.
func (b *batch) settle(err error) {
	s := b.shard
	if b.btx != nil {
		if err == nil && b.dirty {
			if err = s.commit(b.btx); err != nil && !errors.Is(err, store.ErrFull) {
				err = s.breakDown(err)
			}
			if err == nil && s.notes != nil {
				s.notes.add(b)
			}
			s.count(b, err)
		} else {
			b.btx.Rollback()
		}
	}
	s.scratch.reset()
	for _, r := range b.ran {
		if r.tx == nil {
			continue
		}
		if err != nil {
			r.err = err
			continue
		}
		for _, hook := range r.tx.hooks {
			s.runHook(hook)
		}
	}
	for _, r := range b.ran {
		r.done <- r.err
	}
}

// abandon rolls back a batch in which a function ended the goroutine, answers
// those who failed, and queues the others again.
func (b *batch) abandon() {
	if b.btx != nil {
		b.btx.Rollback()
	}
	b.shard.scratch.reset()
	for _, r := range b.ran {
		if r.err != nil {
			r.done <- r.err
			continue
		}
		r.tx = nil
		r.taken.Store(false)
		b.shard.queue.add(r)
	}
}

// commit makes btx durable. A panic inside bbolt (a damaged page) is an error
// like any other.
func (s *shard) commit(btx *bbolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked("a commit", p)
			defer func() { recover() }()
			btx.Rollback() // lets go of the write lock, so that Close can end
		}
	}()
	return asStoreError(btx.Commit())
}

func (s *shard) runHook(fn func()) {
	defer func() {
		if p := recover(); p != nil {
			s.panicked("what waited for a commit", p)
		}
	}()
	fn()
}

// breakDown stops all further writes, and returns what their callers get:
// after a failed write or sync, what the system has kept of earlier pages is
// not known, and only a new start reads what is really on the disk.
func (s *shard) breakDown(err error) error {
	if s.broken.CompareAndSwap(nil, &err) {
		s.log.Error("store stops writing until it is opened again", "file", s.path, "error", err)
	}
	return s.fault()
}

// fault returns why nothing can be written until the store is opened again, or
// nil. It is store.ErrUnavailable: whoever sends comes back later.
func (s *shard) fault() error {
	if p := s.broken.Load(); p != nil {
		return fmt.Errorf("%w: %s takes no writes until it is opened again: %w", store.ErrUnavailable, s.path, *p)
	}
	return nil
}

// errsFull are what the system says when there is no room.
var errsFull = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}

// asStoreError gives bbolt's and the system's failures the names of package
// store. Of a failure to enlarge its file bbolt keeps the words alone.
func asStoreError(err error) error {
	if err == nil {
		return nil
	}
	for _, full := range errsFull {
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) {
			return fmt.Errorf("%w: %v", store.ErrFull, err)
		}
	}
	switch {
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return fmt.Errorf("%w: %v", store.ErrFull, err)
	case errors.Is(err, berrors.ErrDatabaseNotOpen), errors.Is(err, berrors.ErrTxClosed):
		return store.ErrClosed
	}
	return err
}
