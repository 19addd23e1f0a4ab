// Package storetest proves that an engine keeps the promises of package store.
//
// Run holds the promises of one process; Crash those that outlive it. Each
// test has a store of its own, closes it, and before that has it checked as a
// whole if the engine offers that (store.Checker).
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"pli/store"
)

// Open returns a new, empty store for one test.
type Open func(t testing.TB) store.DB

// Run runs the whole suite.
func Run(t *testing.T, open func(t testing.TB) store.DB) {
	tests := []struct {
		name string
		run  func(*testing.T, store.DB)
	}{
		{"get returns what was put", getPut},
		{"a value is copied", copied},
		{"values of every size replace one another", sizes},
		{"delete", deleteRecord},
		{"owners do not see one another", owners},
		{"an owner has a form", ownerForm},
		{"a view cannot write", readOnly},
		{"a view sees one state", oneState},
		{"a transaction sees its own writes", ownWrites},
		{"a transaction ends", ended},
		{"scan in order", scanOrder},
		{"scan within bounds", scanBounds},
		{"scan stops", scanStops},
		{"scan and write", scanWrites},
		{"scan and delete all", scanDeletes},
		{"scan and delete all, in company", crowded(scanDeletes)},
		{"an error leaves nothing", rollback},
		{"an error leaves nothing, in company", crowded(rollback)},
		{"errors among successes", rollbackAmong},
		{"a panic leaves nothing", panics},
		{"a panic leaves nothing, in company", crowded(panics)},
		{"a function may run again", runsAgain},
		{"a context that has ended", ctxEnded},
		{"two writers on one owner", twoWriters},
		{"many owners side by side", manyOwners},
		{"limits of a key", limitKey},
		{"limits of a value", limitValue},
		{"limits of a value, in company", crowded(limitValue)},
		{"limits of a transaction", limitTx},
		{"due times", dueTimes},
		{"due times at the edges of time", dueEdges},
		{"due times are rolled back", dueRollback},
		{"due times are rolled back, in company", crowded(dueRollback)},
		{"due returns the earliest", dueEarliest},
		{"due times are scanned", dueScan},
		{"list of owners", listOwners},
		{"after commit", afterCommit},
		{"after commit keeps the order", afterCommitOrder},
		{"closed", closed},
		{"against a model", againstModel},
		{"against a model, in company", crowded(againstModel)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, managed(t, open))
		})
	}
}

// managed opens a store that is checked and closed when the test ends.
func managed(t testing.TB, open Open) store.DB {
	t.Helper()
	db := open(t)
	t.Cleanup(func() {
		check(t, db)
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

// check has the engine check itself, if it can.
func check(t testing.TB, db store.DB) {
	t.Helper()
	c, ok := db.(store.Checker)
	if !ok {
		return
	}
	if err := c.Check(context.Background()); err != nil && !errors.Is(err, store.ErrClosed) {
		t.Errorf("Check: %v", err)
	}
}

// Owners and times that the tests use.
const (
	alice = store.Owner("s/alice")
	bob   = store.Owner("s/bob")
)

func update(t testing.TB, db store.DB, owner store.Owner, fn func(store.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), owner, fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func view(t testing.TB, db store.DB, owner store.Owner, fn func(store.Tx) error) {
	t.Helper()
	if err := db.View(context.Background(), owner, fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// put writes one record in a transaction of its own.
func put(t testing.TB, db store.DB, owner store.Owner, key, value string) {
	t.Helper()
	update(t, db, owner, func(tx store.Tx) error { return tx.Put([]byte(key), []byte(value)) })
}

// fetch returns one record's value in a view of its own, and whether there is one.
func fetch(t testing.TB, db store.DB, owner store.Owner, key string) (value string, ok bool) {
	t.Helper()
	view(t, db, owner, func(tx store.Tx) error {
		v, err := tx.Get([]byte(key))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		value, ok = string(v), err == nil
		return err
	})
	return value, ok
}

// want fails unless the record has that value.
func want(t testing.TB, db store.DB, owner store.Owner, key, value string) {
	t.Helper()
	if got, ok := fetch(t, db, owner, key); !ok || got != value {
		t.Errorf("%s %q: got %s, %v; want %s", owner, key, brief(got), ok, brief(value))
	}
}

// wantNone fails if there is such a record.
func wantNone(t testing.TB, db store.DB, owner store.Owner, key string) {
	t.Helper()
	if got, ok := fetch(t, db, owner, key); ok {
		t.Errorf("%s %q: got %s, want no record", owner, key, brief(got))
	}
}

// wantErr fails unless err is one of that kind.
func wantErr(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want %v", err, kind)
	}
}

// brief shows a value in a message.
func brief(v string) string {
	if len(v) <= 40 {
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprintf("%q… (%d bytes)", v[:40], len(v))
}

// all returns owner's records, key and value in turn.
func all(t testing.TB, db store.DB, owner store.Owner) []string {
	t.Helper()
	var got []string
	view(t, db, owner, func(tx store.Tx) error {
		got = nil
		return tx.Scan(nil, nil, func(k, v []byte) error {
			got = append(got, string(k), string(v))
			return nil
		})
	})
	return got
}

// fill returns n bytes that differ from place to place and from seed to seed.
func fill(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// repeat returns a key of n bytes.
func repeat(n int) []byte { return bytes.Repeat([]byte("k"), n) }
