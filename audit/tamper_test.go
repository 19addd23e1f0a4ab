package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"pli/audit"
	"pli/store"
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
