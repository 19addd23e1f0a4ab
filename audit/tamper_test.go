package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pli/audit"
	"pli/store"
	"pli/store/sealed"
)

const linePrefix = "audit/line/"

func lineKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(linePrefix), seq)
}

func get(t *testing.T, tx store.Tx, key []byte) []byte {
	t.Helper()
	b, err := tx.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(b)
}

// Whoever can write the records themselves cannot change the chain unnoticed. C4, I3
func TestTampering(t *testing.T) {
	t.Parallel()
	const n = 9
	for _, c := range []struct {
		name   string
		good   uint64 // lines before the fault
		says   string
		tamper func(t *testing.T, tx store.Tx) error
	}{
		{"a line is removed", 3, "line 4 was removed", func(t *testing.T, tx store.Tx) error {
			return tx.Delete(lineKey(4))
		}},
		{"the first line is removed", 0, "line 1 was removed", func(t *testing.T, tx store.Tx) error {
			return tx.Delete(lineKey(1))
		}},
		{"the last line is removed", 8, "the head is at line 9", func(t *testing.T, tx store.Tx) error {
			return tx.Delete(lineKey(n))
		}},
		{"all lines are removed", 0, "the head is at line 9", func(t *testing.T, tx store.Tx) error {
			for seq := uint64(1); seq <= n; seq++ {
				if err := tx.Delete(lineKey(seq)); err != nil {
					return err
				}
			}
			return nil
		}},
		{"the head is removed", n, "the head was removed", func(t *testing.T, tx store.Tx) error {
			return tx.Delete([]byte("audit/~head"))
		}},
		{"a name is altered", 5, "line 6 does not follow", func(t *testing.T, tx store.Tx) error {
			return tx.Put(lineKey(5), bytes.Replace(get(t, tx, lineKey(5)), []byte("Dr Rose"), []byte("Dr Brun"), 1))
		}},
		{"the last line is altered", n, "the head does not fit", func(t *testing.T, tx store.Tx) error {
			return tx.Put(lineKey(n), bytes.Replace(get(t, tx, lineKey(n)), []byte("permit"), []byte("deny!!"), 1))
		}},
		{"two lines change places", 3, "line 5 stands in place of line 4", func(t *testing.T, tx store.Tx) error {
			four, five := get(t, tx, lineKey(4)), get(t, tx, lineKey(5))
			if err := tx.Put(lineKey(4), five); err != nil {
				return err
			}
			return tx.Put(lineKey(5), four)
		}},
		{"a line is repeated at the end", n, "line 9 stands in place of line 10", func(t *testing.T, tx store.Tx) error {
			return tx.Put(lineKey(n+1), get(t, tx, lineKey(n)))
		}},
		{"the lines are renumbered over a gap", 3, "line 5 stands in place of line 4", func(t *testing.T, tx store.Tx) error {
			for seq := uint64(4); seq < n; seq++ {
				if err := tx.Put(lineKey(seq), get(t, tx, lineKey(seq+1))); err != nil {
					return err
				}
			}
			return tx.Delete(lineKey(n))
		}},
		{"a line is cut short", 6, "does not decode", func(t *testing.T, tx store.Tx) error {
			b := get(t, tx, lineKey(7))
			return tx.Put(lineKey(7), b[:len(b)-1])
		}},
		{"a line is emptied", 6, "unknown form", func(t *testing.T, tx store.Tx) error {
			return tx.Put(lineKey(7), []byte{})
		}},
		{"the head is cut short", n, "a head of an unknown form", func(t *testing.T, tx store.Tx) error {
			return tx.Put([]byte("audit/~head"), get(t, tx, []byte("audit/~head"))[:40])
		}},
		{"the head is turned back", n, "the head is at line 8", func(t *testing.T, tx store.Tx) error {
			b := get(t, tx, []byte("audit/~head"))
			b[8]--
			return tx.Put([]byte("audit/~head"), b)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			fill(t, db, owner, n)
			update(t, db, owner, func(tx store.Tx) error { return c.tamper(t, tx) })
			view(t, db, owner, func(tx store.Tx) error {
				good, err := audit.Verify(tx)
				if !errors.Is(err, audit.ErrBroken) || good != c.good || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Verify: %d good lines, %v; want %d and «%s»", good, err, c.good, c.says)
				}
				return nil
			})
		})
	}
}

func TestAChainOfAnotherOwnerDoesNotVerify(t *testing.T) {
	t.Parallel()
	db := open(t)
	fill(t, db, owner, 3)
	type record struct{ key, value []byte }
	var all []record
	view(t, db, owner, func(tx store.Tx) error {
		all = nil
		return tx.Scan([]byte("audit/"), store.After([]byte("audit/")), func(k, v []byte) error {
			all = append(all, record{slices.Clone(k), slices.Clone(v)})
			return nil
		})
	})
	update(t, db, "s/another", func(tx store.Tx) error {
		for _, r := range all {
			if err := tx.Put(r.key, r.value); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, "s/another", func(tx store.Tx) error {
		if n, err := audit.Verify(tx); n != 0 || !errors.Is(err, audit.ErrBroken) {
			t.Errorf("Verify: %d, %v", n, err)
		}
		return nil
	})
}

// A head that was taken away does not let a second chain write over the first.
func TestNothingIsAppendedWithoutTheHead(t *testing.T) {
	t.Parallel()
	db := open(t)
	fill(t, db, owner, 3)
	update(t, db, owner, func(tx store.Tx) error { return tx.Delete([]byte("audit/~head")) })
	err := db.Update(t.Context(), owner, func(tx store.Tx) error {
		_, err := audit.Append(tx, entry(3))
		return err
	})
	if !errors.Is(err, audit.ErrBroken) {
		t.Errorf("Append: %v", err)
	}
}

// A trace is read, goes on and is verified around damage: the line that the
// disk has changed is left out and told, and where the head is, the chain is
// taken up from its last line with a line that says so. C4
func TestDamagedTrace(t *testing.T) {
	t.Parallel()
	bare := open(t)
	master, err := sealed.CreateMaster(filepath.Join(t.TempDir(), "master"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := sealed.OpenKeys(open(t), master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	db := sealed.New(bare, keys, sealed.Config{})
	fill(t, db, owner, 6)
	flip := func(key []byte) {
		update(t, bare, owner, func(tx store.Tx) error {
			b := get(t, tx, key)
			b[len(b)-1] ^= 1
			return tx.Put(key, b)
		})
	}
	faults := func() (lines uint64, out []string) {
		view(t, db, owner, func(tx store.Tx) error {
			n, all, err := audit.Faults(tx)
			lines, out = n, nil
			for _, f := range all {
				out = append(out, f.Error())
			}
			return err
		})
		return lines, out
	}
	want := func(lines uint64, says ...string) {
		t.Helper()
		n, got := faults()
		if n != lines || len(got) != len(says) {
			t.Fatalf("%d lines, %q; want %d, %q", n, got, lines, says)
		}
		for i := range says {
			if !strings.Contains(got[i], says[i]) {
				t.Errorf("%q, want %q", got[i], says[i])
			}
		}
	}
	want(6)
	flip(lineKey(2))
	flip(lineKey(4))
	want(4, "line 2:", "line 4:")
	var listed []uint64
	view(t, db, owner, func(tx store.Tx) error {
		page, err := audit.List(tx, 0, 10)
		listed = nil
		for _, e := range page {
			listed = append(listed, e.Seq)
		}
		return err
	})
	if !slices.Equal(listed, []uint64{6, 5, 3, 1}) {
		t.Errorf("listed %d", listed)
	}
	flip([]byte("audit/~head"))
	want(4, "line 2:", "line 4:", "the head:")
	fill(t, db, owner, 1)
	want(6, "line 2:", "line 4:")
	view(t, db, owner, func(tx store.Tx) error {
		page, err := audit.List(tx, 0, 2)
		if err == nil && (page[0].Seq != 8 || page[1].Seq != 7 || page[1].Act != audit.Mended || page[1].Outcome != audit.Fail) {
			t.Errorf("%+v", page)
		}
		return err
	})
	flip([]byte("audit/~head"))
	flip(lineKey(8))
	fill(t, db, owner, 2)
	want(8, "line 2:", "line 4:", "line 8:")
}
