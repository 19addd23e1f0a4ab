package audit_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pli/audit"
	"pli/identity"
	"pli/store"
	"pli/store/bolt"
)

const owner store.Owner = "s/audit-test"

var noon = time.Date(2026, 3, 2, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))

func open(t testing.TB) store.DB {
	t.Helper()
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// entry is the line that the i-th act leaves.
func entry(i int) audit.Entry {
	return audit.Entry{
		At:  noon.Add(time.Duration(i) * time.Minute),
		Act: "dossier.read", Outcome: audit.Permit, Rule: "author", Object: fmt.Sprintf("d%d", i), Title: "Compte rendu",
		Actor: identity.Actor{Kind: identity.Professional, ID: "10001234567", Name: "Dr Rose", Profession: "10",
			Structure: "1750000001", Address: "rose@medecin.pli.test", Account: "m/rose"},
		Detail: map[string]string{"type": "11488-4", "from": "mail", "a": "b", "c": "d"},
	}
}

func update(t testing.TB, db store.DB, owner store.Owner, fn func(tx store.Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), owner, fn); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, db store.DB, owner store.Owner, fn func(tx store.Tx) error) {
	t.Helper()
	if err := db.View(context.Background(), owner, fn); err != nil {
		t.Fatal(err)
	}
}

// fill appends n lines, one transaction each, and returns them as written.
func fill(t testing.TB, db store.DB, owner store.Owner, n int) []audit.Entry {
	t.Helper()
	lines := make([]audit.Entry, n)
	for i := range n {
		update(t, db, owner, func(tx store.Tx) (err error) {
			lines[i], err = audit.Append(tx, entry(i))
			return err
		})
	}
	return lines
}

func TestLinesComeBackNewestFirstInPages(t *testing.T) { // C4
	t.Parallel()
	db := open(t)
	written := fill(t, db, owner, 25)
	var read []audit.Entry
	view(t, db, owner, func(tx store.Tx) error {
		read = nil
		for before := uint64(0); ; {
			page, err := audit.List(tx, before, 10)
			if err != nil {
				return err
			}
			read = append(read, page...)
			if len(page) < 10 {
				return nil
			}
			before = page[len(page)-1].Seq
		}
	})
	if len(read) != len(written) {
		t.Fatalf("%d lines, want %d", len(read), len(written))
	}
	for i, e := range read {
		if want := written[len(written)-1-i]; !reflect.DeepEqual(e, want) {
			t.Fatalf("line %d:\n got %+v\nwant %+v", i, e, want)
		}
	}
	if last := read[24]; last.Seq != 1 || !last.At.Equal(noon.Truncate(time.Millisecond)) || last.At.Location() != time.UTC {
		t.Errorf("the first line is %d at %v", last.Seq, last.At)
	}
	view(t, db, owner, func(tx store.Tx) error {
		if n, err := audit.Verify(tx); n != 25 || err != nil {
			t.Errorf("Verify: %d, %v", n, err)
		}
		for _, n := range []int{0, -1} {
			if page, err := audit.List(tx, 0, n); len(page) != 0 || err != nil {
				t.Errorf("List of %d lines: %d, %v", n, len(page), err)
			}
		}
		return nil
	})
}

func TestPageIsBounded(t *testing.T) {
	t.Parallel()
	db := open(t)
	update(t, db, owner, func(tx store.Tx) error {
		for i := range audit.MaxPage + 1 {
			if _, err := audit.Append(tx, entry(i)); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, owner, func(tx store.Tx) error {
		page, err := audit.List(tx, 0, audit.MaxPage+1)
		if len(page) != audit.MaxPage || err != nil {
			t.Errorf("%d lines, %v", len(page), err)
		}
		return nil
	})
}

func TestAnEmptyChainIsWhole(t *testing.T) {
	t.Parallel()
	view(t, open(t), owner, func(tx store.Tx) error {
		if n, err := audit.Verify(tx); n != 0 || err != nil {
			t.Errorf("Verify: %d, %v", n, err)
		}
		return nil
	})
}

// The same acts give the same chain, byte for byte.
func TestEncodingIsDeterministic(t *testing.T) {
	t.Parallel()
	a, b := fill(t, open(t), owner, 5), fill(t, open(t), owner, 5)
	if a[4].Hash != b[4].Hash {
		t.Error("the same lines have different hashes")
	}
	// The first form of a line, for ever: if this fails, old traces no longer verify.
	const want = "1bbfc3f201c2cb45aeb801f9eed845af0fae1d72b4c5fd3a4163944a7a8cc080"
	if got := fmt.Sprintf("%x", a[4].Hash); got != want {
		t.Errorf("hash of the fifth line is %s, want %s", got, want)
	}
	if other := fill(t, open(t), "s/another", 1); other[0].Hash == a[0].Hash {
		t.Error("the chain is not bound to its owner")
	}
}

func TestUnfitLinesAreRefused(t *testing.T) {
	t.Parallel()
	db := open(t)
	for name, spoil := range map[string]func(*audit.Entry){
		"no act":             func(e *audit.Entry) { e.Act = "" },
		"no time":            func(e *audit.Entry) { e.At = time.Time{} },
		"no outcome":         func(e *audit.Entry) { e.Outcome = "" },
		"an unknown outcome": func(e *audit.Entry) { e.Outcome = "perhaps" },
	} {
		err := db.Update(context.Background(), owner, func(tx store.Tx) error {
			e := entry(0)
			spoil(&e)
			_, err := audit.Append(tx, e)
			return err
		})
		if !errors.Is(err, audit.ErrIncomplete) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What an act brings along, however long or broken, does not keep it from
// being traced, nor the trace from being read.
func TestLongAndBrokenTextsAreCut(t *testing.T) {
	t.Parallel()
	db := open(t)
	e := entry(0)
	e.Title = strings.Repeat("é", audit.MaxText) // twice the limit, in bytes
	e.Reason = "bad \xff\xfe bytes"
	e.Object = strings.Repeat("x", audit.MaxText)
	e.Actor.Name = strings.Repeat("n", 1<<20)
	e.Act = strings.Repeat("a", audit.MaxWord+1)
	e.Detail = map[string]string{}
	for i := range audit.MaxDetail + 1 {
		e.Detail[fmt.Sprintf("k%02d", i)] = strings.Repeat("v", audit.MaxText+1)
	}
	update(t, db, owner, func(tx store.Tx) error {
		_, err := audit.Append(tx, e)
		return err
	})
	view(t, db, owner, func(tx store.Tx) error {
		page, err := audit.List(tx, 0, 1)
		if err != nil {
			return err
		}
		got := page[0]
		if len(got.Title) != audit.MaxText || !utf8.ValidString(got.Title) || !utf8.ValidString(got.Reason) ||
			len(got.Object) != audit.MaxText || len(got.Actor.Name) != audit.MaxText || len(got.Act) != audit.MaxWord ||
			len(got.Detail) != audit.MaxDetail || len(got.Detail["k00"]) != audit.MaxText {
			t.Errorf("not cut as said: %d %q %d %d %d %d", len(got.Title), got.Reason, len(got.Object), len(got.Actor.Name), len(got.Act), len(got.Detail))
		}
		if len(e.Detail) != audit.MaxDetail+1 {
			t.Error("the caller's details were changed")
		}
		_, err = audit.Verify(tx)
		return err
	})
}

func TestAppendIsCheap(t *testing.T) {
	t.Parallel()
	db := open(t)
	fill(t, db, owner, 2)
	update(t, db, owner, func(tx store.Tx) error {
		c := &counting{Tx: tx}
		_, err := audit.Append(c, entry(2))
		if c.gets > 1 || c.puts > 2 || c.scans > 0 {
			t.Errorf("%d gets, %d puts, %d scans", c.gets, c.puts, c.scans)
		}
		return err
	})
}

// counting counts what a transaction is asked for.
type counting struct {
	store.Tx
	gets, puts, scans int
}

func (c *counting) Get(key []byte) ([]byte, error) { c.gets++; return c.Tx.Get(key) }
func (c *counting) Put(key, value []byte) error    { c.puts++; return c.Tx.Put(key, value) }
func (c *counting) Scan(from, to []byte, fn func(k, v []byte) error) error {
	c.scans++
	return c.Tx.Scan(from, to, fn)
}

func BenchmarkAppend(b *testing.B) {
	db := open(b)
	b.ReportAllocs()
	for b.Loop() {
		update(b, db, owner, func(tx store.Tx) error {
			for i := range 1000 { // one commit, so that what is measured is Append
				if _, err := audit.Append(tx, entry(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/line")
}
