package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pli/store"
)

// A scan that goes around damage meets every other record, in both directions,
// and is told of each damaged one in its place.
func TestScanAround(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, k := range []string{"a1", "a2", "a3", "a4", "b1"} {
		h.put(t, alice, k, "value of "+k)
	}
	spoil := func(keys ...string) {
		for _, k := range keys {
			err := h.bare.Update(context.Background(), alice, func(tx store.Tx) error {
				v, err := tx.Get([]byte(k))
				if err != nil {
					return err
				}
				v = bytes.Clone(v)
				v[len(v)-1] ^= 1
				return tx.Put([]byte(k), v)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	type around = func(store.Tx, []byte, []byte, func(k, v []byte) error, func(*store.Damage) error) error
	met := func(scan around, stopAt string, end error) (out []string, err error) {
		err = h.db.View(context.Background(), alice, func(tx store.Tx) error {
			out = nil
			return scan(tx, []byte("a"), []byte("b"), func(k, v []byte) error {
				out = append(out, string(k))
				if string(k) == stopAt {
					return end
				}
				return nil
			}, func(d *store.Damage) error {
				out = append(out, "!"+string(d.Key))
				if string(d.Key) == stopAt {
					return end
				}
				return nil
			})
		})
		return out, err
	}
	want := func(what string, got []string, err error, wantErr error, keys ...string) {
		t.Helper()
		if !slices.Equal(got, keys) || !errors.Is(err, wantErr) {
			t.Errorf("%s: %q %v, want %q %v", what, got, err, keys, wantErr)
		}
	}
	got, err := met(store.ScanAround, "", nil)
	want("whole", got, err, nil, "a1", "a2", "a3", "a4")
	spoil("a1", "a3")
	got, err = met(store.ScanAround, "", nil)
	want("around", got, err, nil, "!a1", "a2", "!a3", "a4")
	got, err = met(store.ScanBackAround, "", nil)
	want("back", got, err, nil, "a4", "!a3", "a2", "!a1")
	failed := fmt.Errorf("met: %w", store.ErrCorrupt)
	for _, key := range []string{"a2", "a3"} {
		got, err = met(store.ScanAround, key, store.Stop)
		want("stopped", got, err, nil, []string{"!a1", "a2", "!a3"}[:len(got)]...)
		got, err = met(store.ScanAround, key, failed)
		want("failed", got, err, failed, []string{"!a1", "a2", "!a3"}[:len(got)]...)
		if last := got[len(got)-1]; last[len(last)-2:] != key {
			t.Errorf("ended at %s, not at %s", last, key)
		}
	}
	spoil("a4")
	if got, err = met(store.ScanAround, "", nil); len(got) != 4 {
		t.Errorf("the last one too: %q %v", got, err)
	}
	if d := new(store.Damage); !errors.As(h.db.View(context.Background(), alice, func(tx store.Tx) error {
		_, err := tx.Get([]byte("a1"))
		return err
	}), &d) || string(d.Key) != "a1" || d.Owner != alice {
		t.Errorf("a single record: %+v", d)
	}
}
