package postgres

import (
	"context"
	"fmt"
	"runtime/debug"

	"pli/internal/panics"
	"pli/store"
)

func (db *DB) update(ctx context.Context, owner store.Owner, wide int, fn func(store.Tx) error) error {
	if err := db.enter(ctx, owner); err != nil {
		return err
	}
	defer db.running.Done()
	if err := db.turns.take(ctx, owner); err != nil {
		return err
	}
	defer db.turns.leave(owner)
	p := db.patience()
	for {
		again, err := db.attempt(ctx, p, owner, wide, fn)
		if again && p.again(ctx) {
			db.stats.retried.Add(1)
			continue
		}
		return err
	}
}

// attempt runs fn in a transaction and commits what it wrote. It says whether
// another attempt may succeed where this one has written nothing.
func (db *DB) attempt(ctx context.Context, p *patience, owner store.Owner, wide int, fn func(store.Tx) error) (again bool, err error) {
	t := db.newTx(ctx, owner, p)
	t.write, t.wide = true, wide
	defer t.end()
	err = db.run(t, fn)
	if err == nil && t.failed == nil && len(t.over.writes) > 0 {
		err = t.commit()
	}
	switch {
	case t.failed != nil:
		return transient(t.cause), t.failed
	case err != nil:
		return false, err
	}
	t.end() // its connection serves others while the hooks run
	for _, hook := range t.hooks {
		db.runHook(hook)
	}
	return false, nil
}

// run runs fn; if it panics, that is its error.
func (db *DB) run(t *tx, fn func(store.Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = db.panicked("a transaction", p)
		}
	}()
	return fn(t)
}

func (db *DB) runHook(fn func()) {
	defer func() {
		if p := recover(); p != nil {
			db.panicked("what waited for a commit", p)
		}
	}()
	fn()
}

// panicked returns the error for a panic that was recovered, and logs it.
func (db *DB) panicked(where string, p any) error {
	err := fmt.Errorf("postgres: %w", panics.Error(where, p))
	db.cfg.Log.Error("panic in store", "error", err, "stack", string(debug.Stack()))
	return err
}
