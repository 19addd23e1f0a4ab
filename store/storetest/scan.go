package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"testing"

	"pli/store"
)

// direction is Scan or ScanBack.
type direction struct {
	name string
	back bool
}

var directions = []direction{{"Scan", false}, {"ScanBack", true}}

func (d direction) scan(tx store.Tx, from, to []byte, fn func(k, v []byte) error) error {
	if d.back {
		return tx.ScanBack(from, to, fn)
	}
	return tx.Scan(from, to, fn)
}

// turned returns keys in the order in which d meets them.
func (d direction) turned(keys []string) []string {
	keys = slices.Clone(keys)
	if d.back {
		slices.Reverse(keys)
	}
	return keys
}

// keys returns the keys that d meets, in its order.
func (d direction) keys(t testing.TB, db store.DB, owner store.Owner, from, to []byte) []string {
	t.Helper()
	got := []string{}
	view(t, db, owner, func(tx store.Tx) error {
		got = []string{}
		return d.scan(tx, from, to, func(k, v []byte) error {
			got = append(got, string(k))
			return nil
		})
	})
	return got
}

func scanOrder(t *testing.T, db store.DB) {
	keys := []string{"", "\x00", "\x00\x00", "\x01", "a", "a\x00", "a\xff", "aa", "b", "ÿ", "\xff", "\xff\xff"}
	sort.Strings(keys)
	for _, i := range []int{7, 3, 11, 0, 9, 1, 5, 10, 2, 8, 4, 6} {
		put(t, db, alice, keys[i], string(fill(i, i*400)))
	}
	put(t, db, "s/alicd", "x", "a neighbour")
	put(t, db, "s/alicf", "x", "a neighbour")
	for _, d := range directions {
		if got := d.keys(t, db, alice, nil, nil); !slices.Equal(got, d.turned(keys)) {
			t.Errorf("%s: %q", d.name, got)
		}
		if got := d.keys(t, db, "s/nobody", nil, nil); len(got) != 0 {
			t.Errorf("%s of an owner without records: %q", d.name, got)
		}
	}
	view(t, db, alice, func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error {
			i := slices.Index(keys, string(k))
			if string(v) != string(fill(i, i*400)) {
				t.Errorf("%q: another value", k)
			}
			return nil
		})
	})
}

// scanBounds: from <= key < to, in both directions.
func scanBounds(t *testing.T, db store.DB) {
	keys := []string{"a", "b", "b/1", "b/2", "c", "d"}
	for _, k := range keys {
		put(t, db, alice, k, k)
	}
	put(t, db, "s/alicd", "a", "a neighbour")
	put(t, db, "s/alicf", "a", "a neighbour")
	bounds := []string{"", "A", "a", "a\x00", "b", "b/", "b/1", "b/2", "b/9", "b0", "c", "d", "d\x00", "z"}
	for _, d := range directions {
		for _, from := range bounds {
			for i, to := range append(bounds, "") {
				high := []byte(to)
				if i == len(bounds) {
					high = nil
				}
				expected := slices.DeleteFunc(slices.Clone(keys), func(k string) bool {
					return k < from || high != nil && k >= to
				})
				if got := d.keys(t, db, alice, []byte(from), high); !slices.Equal(got, d.turned(expected)) {
					t.Errorf("%s from %q to %q: %q, want %q", d.name, from, high, got, d.turned(expected))
				}
			}
		}
		if got := d.keys(t, db, alice, []byte("b/"), store.After([]byte("b/"))); len(got) != 2 {
			t.Errorf("%s of a prefix: %q", d.name, got)
		}
	}
}

func scanStops(t *testing.T, db store.DB) {
	for i := range 10 {
		put(t, db, alice, fmt.Sprint(i), "v")
	}
	mine := errors.New("mine")
	for _, d := range directions {
		for _, end := range []error{store.Stop, mine, fmt.Errorf("enough: %w", store.Stop)} {
			view(t, db, alice, func(tx store.Tx) error {
				n := 0
				err := d.scan(tx, nil, nil, func(k, v []byte) error {
					if n++; n == 3 {
						return end
					}
					return nil
				})
				if n != 3 || (end == mine) != (err == mine) || (end != mine && err != nil) {
					t.Errorf("%s: %d records, error %v at %v", d.name, n, err, end)
				}
				return nil
			})
		}
	}
}

// scanWrites: a scan goes on from the key it stood at, and meets what its
// function wrote beyond, not what it wrote behind or deleted.
func scanWrites(t *testing.T, db store.DB) {
	for _, d := range directions {
		owner := store.Owner("s/" + map[bool]string{false: "forth", true: "back"}[d.back])
		for i := 200; i < 400; i += 2 {
			put(t, db, owner, fmt.Sprint(i), string(fill(i, 30*i%4000)))
		}
		step := 1
		if d.back {
			step = -1
		}
		var met, expected []string
		update(t, db, owner, func(tx store.Tx) error {
			met = nil
			return d.scan(tx, nil, nil, func(k, v []byte) error {
				met = append(met, string(k))
				var i int
				fmt.Sscan(string(k), &i)
				if i%2 == 1 {
					return nil
				}
				// one beyond, one behind, the second beyond deleted, itself
				// replaced or deleted
				err := errors.Join(
					tx.Put(fmt.Append(nil, i+step), fill(i, 2000)), tx.Put(fmt.Append(nil, i-step), nil),
					tx.Delete(fmt.Append(nil, i+2*step)))
				if i%8 == 0 {
					return errors.Join(err, tx.Delete(k))
				}
				return errors.Join(err, tx.Put(k, fill(i, 10*i)))
			})
		})
		for i := 200; i < 400; i += 4 {
			expected = append(expected, fmt.Sprint(i), fmt.Sprint(i+1))
		}
		if d.back {
			expected = nil
			for i := 398; i >= 200; i -= 4 {
				expected = append(expected, fmt.Sprint(i), fmt.Sprint(i-1))
			}
		}
		if !slices.Equal(met, expected) {
			t.Errorf("%s met %q\nwant %q", d.name, met, expected)
		}
	}
}

// scanDeletes empties a store of many pages while scanning it, then scans what
// is left in the same transaction: nothing, then one record.
func scanDeletes(t *testing.T, db store.DB) {
	for _, d := range directions {
		update(t, db, alice, func(tx store.Tx) error {
			for i := range 3000 {
				if err := tx.Put(fmt.Appendf(nil, "%05d", i), fill(i, 100)); err != nil {
					return err
				}
			}
			return nil
		})
		for _, survivor := range []string{"", "00000", "01500", "02999"} {
			met := 0
			failing := errors.New("so that the next round finds all again")
			err := db.Update(t.Context(), alice, func(tx store.Tx) error {
				met = 0
				err := d.scan(tx, nil, nil, func(k, v []byte) error {
					met++
					if string(k) == survivor {
						return nil
					}
					return tx.Delete(k)
				})
				if err != nil {
					return err
				}
				for _, again := range directions {
					left := []string{}
					err := again.scan(tx, nil, nil, func(k, v []byte) error {
						left = append(left, string(k))
						return nil
					})
					if len(left) > 1 || survivor != "" != (len(left) == 1) || len(left) == 1 && left[0] != survivor || err != nil {
						t.Errorf("%s after %s has deleted all but %q: %q, %v", again.name, d.name, survivor, left, err)
					}
				}
				return failing
			})
			wantErr(t, err, failing)
			if met != 3000 {
				t.Errorf("%s met %d records while deleting", d.name, met)
			}
		}
	}
}
