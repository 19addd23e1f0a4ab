package storetest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"pli/store"
)

func getPut(t *testing.T, db store.DB) {
	wantNone(t, db, alice, "a")
	put(t, db, alice, "a", "one")
	want(t, db, alice, "a", "one")
	put(t, db, alice, "a", "two")
	want(t, db, alice, "a", "two")
	put(t, db, alice, "a", "")
	want(t, db, alice, "a", "")
	put(t, db, alice, "", "the empty key is a key")
	want(t, db, alice, "", "the empty key is a key")
	put(t, db, alice, "\x00\xff\x00", "any bytes are a key")
	want(t, db, alice, "\x00\xff\x00", "any bytes are a key")
	wantNone(t, db, alice, "\x00\xff")
}

// copied: "Key and value are copied: the caller may use them again."
func copied(t *testing.T, db store.DB) {
	for _, n := range []int{8, 5000, 300000} {
		value := fill(n, n)
		kept := bytes.Clone(value)
		update(t, db, alice, func(tx store.Tx) error {
			key, v := []byte("key"), bytes.Clone(value)
			if err := tx.Put(key, v); err != nil {
				return err
			}
			copy(key, "xxx")
			clear(v)
			return nil
		})
		want(t, db, alice, "key", string(kept))
		wantNone(t, db, alice, "xxx")
	}
}

// sizes replaces small by large and large by small: engines keep them apart.
func sizes(t *testing.T, db store.DB) {
	lengths := []int{0, 1, 900, 995, 996, 1023, 1024, 1025, 3000, 0, 4096, 70000, 12, 70000, 65536, 1000, 300000, 299999}
	for i, n := range lengths {
		put(t, db, alice, "k", string(fill(i, n)))
		want(t, db, alice, "k", string(fill(i, n)))
	}
	update(t, db, alice, func(tx store.Tx) error { // and all within one transaction
		for i, n := range lengths {
			if err := tx.Put([]byte("k"), fill(i, n)); err != nil {
				return err
			}
			if v, err := tx.Get([]byte("k")); err != nil || !bytes.Equal(v, fill(i, n)) {
				return fmt.Errorf("after a put of %d bytes: %d bytes, %v", n, len(v), err)
			}
		}
		return nil
	})
	update(t, db, alice, func(tx store.Tx) error { return tx.Delete([]byte("k")) })
	wantNone(t, db, alice, "k")
}

func deleteRecord(t *testing.T, db store.DB) {
	put(t, db, alice, "a", "1")
	put(t, db, alice, "b", string(fill(1, 20000)))
	put(t, db, bob, "a", "bob's")
	update(t, db, alice, func(tx store.Tx) error {
		for _, k := range []string{"a", "b", "never there", string(repeat(store.MaxKey + 1))} {
			if err := tx.Delete([]byte(k)); err != nil {
				return err
			}
		}
		return nil
	})
	wantNone(t, db, alice, "a")
	wantNone(t, db, alice, "b")
	want(t, db, bob, "a", "bob's")
}

func owners(t *testing.T, db store.DB) {
	family := []store.Owner{"s", "s/", "s/a", "s/a-", "s/a/b", "s/aa", "s-a", "sys/a"}
	for _, o := range family {
		put(t, db, o, "k", string(o))
		put(t, db, o, "a/k", string(o))
	}
	for _, o := range family {
		want(t, db, o, "k", string(o))
		if got := all(t, db, o); len(got) != 4 || got[1] != string(o) || got[3] != string(o) {
			t.Errorf("%s holds %q", o, got)
		}
		view(t, db, o, func(tx store.Tx) error {
			if tx.Owner() != o {
				t.Errorf("Owner() = %s, want %s", tx.Owner(), o)
			}
			return tx.ScanBack(nil, nil, func(k, v []byte) error {
				if string(v) != string(o) {
					t.Errorf("scan of %s meets a record of %s", o, v)
				}
				return nil
			})
		})
	}
}

func ownerForm(t *testing.T, db store.DB) {
	nothing := func(store.Tx) error { return nil }
	long := store.Owner(bytes.Repeat([]byte("a"), 64))
	for _, o := range []store.Owner{"a", long, "s/0-9"} {
		put(t, db, o, "k", "v")
		want(t, db, o, "k", "v")
	}
	for _, o := range []store.Owner{"", long + "a", "S/a", "s a", "s\x00a", "é"} {
		wantErr(t, db.View(context.Background(), o, nothing), store.ErrOwner)
		wantErr(t, db.Update(context.Background(), o, nothing), store.ErrOwner)
	}
}
