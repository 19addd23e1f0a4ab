// Package sealed seals the values of any store under data keys of their owners.
//
// A value is sealed with AES-256-GCM under the data key of its owner and class,
// with owner, key and format as associated data: a record that was changed, or
// put in the place of another, does not open. Keys of records stay in
// clear. A data key is durable in the key store before anything sealed under
// it is committed; destroying it is what deletion means.
package sealed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"pli/store"
)

// Config says how records fall into classes.
type Config struct {
	// Class names the class of a record, 1 to 32 bytes of [a-z0-9-]. By
	// default keys that begin with "audit/" are of class "trace", which may
	// outlive the content, and all others of class "data".
	Class func(recordKey []byte) string
}

// DB is a store.DB whose values are sealed.
type DB struct {
	inner store.DB
	keys  *Keys
	class func([]byte) string
}

var auditPrefix = []byte("audit/")

func defaultClass(recordKey []byte) string {
	if bytes.HasPrefix(recordKey, auditPrefix) {
		return "trace"
	}
	return "data"
}

// New returns db with its values sealed. Closing it closes db, not the keys'
// store.
func New(db store.DB, keys *Keys, cfg Config) store.DB {
	if cfg.Class == nil {
		cfg.Class = defaultClass
	}
	if w, ok := db.(store.Widener); ok {
		db = w.Widen(Overhead)
	}
	return &DB{inner: db, keys: keys, class: cfg.Class}
}

// needKey ends a transaction that writes under a key which is still to be made.
type needKey struct{ class string }

func (n *needKey) Error() string { return "sealed: data key " + n.class + " is to be made first" }

// View never makes a data key.
func (db *DB) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return db.inner.View(ctx, owner, func(inner store.Tx) error {
		t := db.begin(ctx, inner)
		defer t.end()
		return fn(t)
	})
}

// Update runs fn a second time if its first run has found that a data key is
// missing: keys are made outside the transaction, where nobody waits for it.
func (db *DB) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	for {
		err := db.inner.Update(ctx, owner, func(inner store.Tx) error {
			t := db.begin(ctx, inner)
			t.write = true
			defer t.end()
			err := fn(t)
			if t.need != nil {
				return t.need // whatever fn has made of it
			}
			return err
		})
		var need *needKey
		if !errors.As(err, &need) {
			return err
		}
		if _, err := db.keys.get(ctx, owner, need.class, true); err != nil {
			return err
		}
	}
}

func (db *DB) Due(ctx context.Context, before time.Time, n int) ([]store.Due, error) {
	return db.inner.Due(ctx, before, n)
}

func (db *DB) Owners(ctx context.Context, after store.Owner, n int) ([]store.Owner, error) {
	return db.inner.Owners(ctx, after, n)
}

func (db *DB) Close() error { return db.inner.Close() }

// Check has the engine check itself, then opens every record of every owner.
// Records whose key was destroyed are as they should be.
func (db *DB) Check(ctx context.Context) error {
	var faults []error
	if c, ok := db.inner.(store.Checker); ok {
		if err := c.Check(ctx); err != nil {
			faults = append(faults, err)
		}
	}
	const page, maxFaults = 256, 20
	for after := store.Owner(""); len(faults) < maxFaults; {
		owners, err := db.inner.Owners(ctx, after, page)
		if err != nil {
			return errors.Join(append(faults, err)...)
		}
		if len(owners) == 0 {
			break
		}
		for _, owner := range owners {
			faults = append(faults, db.checkOwner(ctx, owner, maxFaults-len(faults))...)
		}
		after = owners[len(owners)-1]
	}
	return errors.Join(faults...)
}

// checkOwner goes on after a record that does not open.
func (db *DB) checkOwner(ctx context.Context, owner store.Owner, most int) (faults []error) {
	err := db.inner.View(ctx, owner, func(inner store.Tx) error {
		t := db.begin(ctx, inner)
		defer t.end()
		return inner.Scan(nil, nil, func(key, sealed []byte) error {
			if _, err := t.open(key, sealed); err != nil && !errors.Is(err, ErrDestroyed) {
				faults = append(faults, err)
			}
			if len(faults) >= most {
				return store.Stop
			}
			return ctx.Err()
		})
	})
	if err != nil {
		faults = append(faults, fmt.Errorf("sealed: %s: %w", owner, err))
	}
	return faults
}
