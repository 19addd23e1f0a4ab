package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pli/store"
)

// noon is a time to be due around.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// due returns what is due, as "owner key ms after noon".
func due(t testing.TB, db store.DB, before time.Time, n int) []string {
	t.Helper()
	list, err := db.Due(context.Background(), before, n)
	if err != nil {
		t.Fatalf("Due: %v", err)
	}
	got := []string{}
	for _, d := range list {
		got = append(got, fmt.Sprintf("%s %s %d", d.Owner, d.Key, d.At.Sub(noon).Milliseconds()))
	}
	return got
}

func wantDue(t testing.TB, db store.DB, before time.Time, expected ...string) {
	t.Helper()
	if got := due(t, db, before, 100); !slices.Equal(got, expected) {
		t.Errorf("due by %s: %q, want %q", before.Format(time.RFC3339Nano), got, expected)
	}
}

func putDue(t testing.TB, db store.DB, owner store.Owner, key string, size int, at time.Time) {
	t.Helper()
	update(t, db, owner, func(tx store.Tx) error { return tx.PutDue([]byte(key), fill(size, size), at) })
}

// dueTimes are set, moved, cleared by a plain put, and end with the record.
func dueTimes(t *testing.T, db store.DB) {
	for _, size := range []int{10, 5000} { // both ways of keeping a value
		putDue(t, db, alice, "a", size, noon)
		wantDue(t, db, noon, "s/alice a 0")
		wantDue(t, db, noon.Add(-time.Millisecond))
		want(t, db, alice, "a", string(fill(size, size)))

		putDue(t, db, alice, "a", size, noon.Add(time.Minute))
		wantDue(t, db, noon)
		wantDue(t, db, noon.Add(time.Hour), "s/alice a 60000")

		put(t, db, alice, "a", string(fill(1, size)))
		wantDue(t, db, noon.Add(time.Hour))

		putDue(t, db, alice, "a", size, noon)
		putDue(t, db, alice, "a", 5010-size, noon) // the same time, another size
		wantDue(t, db, noon, "s/alice a 0")
		want(t, db, alice, "a", string(fill(5010-size, 5010-size)))

		update(t, db, alice, func(tx store.Tx) error { return tx.Delete([]byte("a")) })
		wantDue(t, db, noon.Add(time.Hour))
	}
	if got := due(t, db, noon, 0); len(got) != 0 {
		t.Errorf("none asked for: %q", got)
	}
}

// dueEdges: times are kept to the millisecond, before 1970 too.
func dueEdges(t *testing.T, db store.DB) {
	putDue(t, db, alice, "ancient", 1, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC))
	putDue(t, db, alice, "old", 1, time.UnixMilli(-1))
	putDue(t, db, alice, "epoch", 1, time.UnixMilli(0))
	putDue(t, db, alice, "far", 1, time.UnixMilli(math.MaxInt64/2))
	list, err := db.Due(context.Background(), noon, 10)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d due, %v", len(list), err)
	}
	for i, name := range []string{"ancient", "old", "epoch"} {
		if string(list[i].Key) != name {
			t.Errorf("%d is %s, want %s", i, list[i].Key, name)
		}
	}
	if !list[1].At.Equal(time.UnixMilli(-1)) {
		t.Errorf("old is due at %v", list[1].At)
	}
	putDue(t, db, bob, "fraction", 1, noon.Add(5*time.Millisecond+300*time.Microsecond))
	list, err = db.Due(context.Background(), noon.Add(time.Second), 10)
	if err != nil || len(list) != 4 || !list[3].At.Equal(noon.Add(5*time.Millisecond)) {
		t.Errorf("a fraction of a millisecond: %v, %v", list, err)
	}
}

func dueRollback(t *testing.T, db store.DB) {
	putDue(t, db, alice, "a", 10, noon)
	putDue(t, db, alice, "b", 10, noon.Add(1*time.Millisecond))
	mine := errors.New("mine")
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		return errors.Join(
			tx.PutDue([]byte("a"), nil, noon.Add(-time.Hour)), tx.Put([]byte("b"), nil),
			tx.PutDue([]byte("c"), fill(1, 9000), noon), tx.Delete([]byte("a")), mine)
	})
	wantErr(t, err, mine)
	wantDue(t, db, noon.Add(time.Hour), "s/alice a 0", "s/alice b 1")
}

func dueEarliest(t *testing.T, db store.DB) {
	for i := range 40 {
		owner := store.Owner(fmt.Sprintf("s/%02d", i%8))
		putDue(t, db, owner, fmt.Sprint("k", i), 1, noon.Add(time.Duration(39-i)*time.Millisecond))
	}
	got := due(t, db, noon.Add(time.Hour), 5)
	expected := []string{"s/07 k39 0", "s/06 k38 1", "s/05 k37 2", "s/04 k36 3", "s/03 k35 4"}
	if !slices.Equal(got, expected) {
		t.Errorf("got %q, want %q", got, expected)
	}
	if n := len(due(t, db, noon.Add(9*time.Millisecond), 100)); n != 10 {
		t.Errorf("%d due within the first ten milliseconds", n)
	}
}

func listOwners(t *testing.T, db store.DB) {
	list := func(after store.Owner, n int) []store.Owner {
		t.Helper()
		got, err := db.Owners(context.Background(), after, n)
		if err != nil {
			t.Fatalf("Owners: %v", err)
		}
		return got
	}
	if got := list("", 10); len(got) != 0 {
		t.Errorf("a new store has owners: %q", got)
	}
	expected := []store.Owner{"m/a", "s", "s-", "s/a", "s/a-b", "s/a/b", "s/ab", "s/b", "sys/x"}
	for _, i := range []int{4, 8, 0, 2, 6, 1, 7, 3, 5} {
		put(t, db, expected[i], "k1", "v")
		put(t, db, expected[i], "k2", "v")
	}
	if got := list("", 100); !slices.Equal(got, expected) {
		t.Errorf("got %q, want %q", got, expected)
	}
	var paged []store.Owner
	for after := store.Owner(""); ; after = paged[len(paged)-1] {
		page := list(after, 2)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	if !slices.Equal(paged, expected) {
		t.Errorf("in pages of two: %q", paged)
	}
	if got := list("s/aa", 1); !slices.Equal(got, []store.Owner{"s/ab"}) {
		t.Errorf("after one that is not there: %q", got)
	}
	update(t, db, "s/a", func(tx store.Tx) error {
		return errors.Join(tx.Delete([]byte("k1")), tx.Delete([]byte("k2")))
	})
	if got := list("s-", 1); !slices.Equal(got, []store.Owner{"s/a-b"}) {
		t.Errorf("an owner whose records are gone is still listed: %q", got)
	}
	if got := list("", 0); len(got) != 0 {
		t.Errorf("none asked for: %q", got)
	}
}

// dueScan tells each record with its due time, where the engine offers it
// (store.DueScanner; an engine says so with an assertion of its own).
func dueScan(t *testing.T, db store.DB) {
	put(t, db, alice, "a", "never")
	putDue(t, db, alice, "b", 10, noon)
	putDue(t, db, alice, "c", 5000, noon.Add(1500*time.Millisecond))
	putDue(t, db, alice, "d", 10, time.UnixMilli(0))
	putDue(t, db, alice, "e", 10, noon)
	put(t, db, alice, "e", "no more")
	putDue(t, db, "s/alicf", "a", 10, noon)
	var got []string
	view(t, db, alice, func(tx store.Tx) error {
		s, ok := tx.(store.DueScanner)
		if !ok {
			t.Skip("the engine does not offer it")
		}
		scan := func(from, to string, until int) (list []string) {
			var end []byte
			if to != "" {
				end = []byte(to)
			}
			err := s.ScanDue([]byte(from), end, func(key, value []byte, due time.Time) error {
				at := "never"
				if !due.IsZero() {
					at = fmt.Sprint(due.UnixMilli())
				}
				if list = append(list, fmt.Sprintf("%s %d %s", key, len(value), at)); len(list) == until {
					return store.Stop
				}
				return nil
			})
			if err != nil {
				t.Errorf("ScanDue: %v", err)
			}
			return list
		}
		got = append(scan("", "", 0), "|")
		got = append(append(got, scan("b", "d", 0)...), "|")
		got = append(got, scan("", "", 1)...)
		return nil
	})
	n := noon.UnixMilli()
	expected := []string{"a 5 never", fmt.Sprintf("b 10 %d", n), fmt.Sprintf("c 5000 %d", n+1500), "d 10 0", "e 7 never", "|",
		fmt.Sprintf("b 10 %d", n), fmt.Sprintf("c 5000 %d", n+1500), "|", "a 5 never"}
	if !slices.Equal(got, expected) {
		t.Errorf("scanned %q, want %q", got, expected)
	}
}
