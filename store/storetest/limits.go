package storetest

import (
	"context"
	"fmt"
	"testing"

	"pli/store"
)

// refused has fn fail with ErrTooLarge and checks that owner holds as many
// records as before.
func refused(t *testing.T, db store.DB, fn func(store.Tx) error) {
	t.Helper()
	before := len(all(t, db, alice))
	wantErr(t, db.Update(context.Background(), alice, fn), store.ErrTooLarge)
	if after := len(all(t, db, alice)); after != before {
		t.Errorf("%d records, before the refused transaction %d", after/2, before/2)
	}
}

func limitKey(t *testing.T, db store.DB) {
	put(t, db, alice, string(repeat(store.MaxKey)), "longest")
	want(t, db, alice, string(repeat(store.MaxKey)), "longest")
	refused(t, db, func(tx store.Tx) error {
		if err := tx.Put([]byte("other"), nil); err != nil {
			return err
		}
		return tx.Put(repeat(store.MaxKey+1), nil)
	})
	wantNone(t, db, alice, string(repeat(store.MaxKey+1)))
}

func limitValue(t *testing.T, db store.DB) {
	put(t, db, alice, "k", string(fill(1, store.MaxValue)))
	want(t, db, alice, "k", string(fill(1, store.MaxValue)))
	refused(t, db, func(tx store.Tx) error {
		if err := tx.Put([]byte("other"), nil); err != nil {
			return err
		}
		return tx.Put([]byte("k"), fill(2, store.MaxValue+1))
	})
	want(t, db, alice, "k", string(fill(1, store.MaxValue)))
}

// limitTx counts what one transaction writes, also over one and the same key.
func limitTx(t *testing.T, db store.DB) {
	const values = store.MaxTx / store.MaxValue
	value := fill(1, store.MaxValue)
	fullOf := func(extra int) func(store.Tx) error {
		return func(tx store.Tx) error {
			for i := range values {
				if err := tx.Put(fmt.Appendf(nil, "%d", i%3), value); err != nil {
					return err
				}
			}
			return tx.Put([]byte("more"), fill(2, extra))
		}
	}
	refused(t, db, fullOf(1))
	update(t, db, alice, fullOf(0))
	want(t, db, alice, "more", "")
	want(t, db, alice, "2", string(value))
}
