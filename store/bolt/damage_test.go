package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pli/internal/errs"
	"pli/store"
	"pli/store/bolt"
)

// faults returns the faults that an error joins.
func faults(err error) (list []*bolt.Fault) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			list = append(list, faults(err)...)
		}
		return list
	}
	var f *bolt.Fault
	if errors.As(err, &f) {
		list = append(list, f)
	}
	return list
}

// readOnly opens what newWreck has left, damaged or not.
func readOnly(t *testing.T, w *wreck) *bolt.DB {
	t.Helper()
	return open(t, bolt.Config{Dir: filepath.Dir(w.path), ReadOnly: true})
}

// readable counts the records that can be read one by one, and fails for
// those that are not what they were.
func (w *wreck) readable(t *testing.T, db *bolt.DB) (good, bad int) {
	t.Helper()
	for name, value := range w.records {
		owner, key, _ := strings.Cut(name, " ")
		switch v, err := get(db, store.Owner(owner), key); {
		case err == nil && bytes.Equal(v, value):
			good++
		case errors.Is(err, store.ErrCorrupt):
			bad++
		default:
			t.Errorf("%s: %d bytes, %v", name, len(v), err)
		}
	}
	return good, bad
}

// TestDamagedLeaf: a file with a damaged page is not opened for writing, and
// the message says what to do; opened for reading, everything on other pages
// is read, and Check tells whose records the page held.
func TestDamagedLeaf(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	leaves := ofKind(w.pages(t, "r"), leafFlag)
	p := leaves[len(leaves)/2]
	hit := w.keys(p)
	for name, damage := range map[string]func(b []byte){
		"zeroed":             func(b []byte) { clear(b) },
		"another number":     func(b []byte) { b[0] ^= 1 },
		"another kind":       func(b []byte) { b[8] ^= leafFlag | branchFlag },
		"an element outside": func(b []byte) { b[16+7] ^= 0x40 },
		"a bucket inside":    func(b []byte) { b[16] ^= 1 },
		"a key out of order": func(b []byte) { b[bytes.LastIndex(b, []byte("s/"))+2] = 0 },
	} {
		w.damaged(t, func(file []byte) { damage(p.bytes(file)) })
		_, err := bolt.Open(bolt.Config{Dir: filepath.Dir(w.path)})
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "pli salvage") {
			t.Errorf("%s: %v", name, err)
		}
		db := readOnly(t, w)
		list := faults(db.Check(context.Background()))
		i := slices.IndexFunc(list, func(f *bolt.Fault) bool { return f.Page == p.id })
		if i < 0 {
			t.Errorf("%s: Check does not name the page: %v", name, list)
		} else if f := list[i]; f.First != ownerOf(hit[0]) || f.Last < ownerOf(hit[len(hit)-1]) {
			t.Errorf("%s: records of %s to %s; told %s to %s", name, ownerOf(hit[0]), ownerOf(hit[len(hit)-1]), f.First, f.Last)
		}
		if err := put(db, alice, "k", nil); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: a write: %v", name, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	w.damaged(t, func(file []byte) { clear(p.bytes(file)) })
	db := readOnly(t, w)
	defer db.Close()
	if good, bad := w.readable(t, db); bad != len(hit) || good != len(w.records)-bad {
		t.Errorf("%d records are read, %d not; the page held %d", good, bad, len(hit))
	}
	err := db.View(context.Background(), ownerOf(hit[0]), func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error { return nil })
	})
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a scan over the page: %v", err)
	}
}

func ownerOf(name string) store.Owner {
	owner, _, _ := strings.Cut(name, " ")
	return store.Owner(owner)
}

// TestDamagedLarge: Check tells whose values a damaged page held.
func TestDamagedLarge(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	leaves := ofKind(w.pages(t, "v"), leafFlag)
	p := leaves[len(leaves)/2]
	w.damaged(t, func(file []byte) { clear(p.bytes(file)) })
	db := readOnly(t, w)
	defer db.Close()
	told := map[store.Owner]bool{}
	for _, f := range faults(db.Check(context.Background())) {
		if f.First == f.Last && f.First != "" {
			told[f.First] = true
		}
	}
	good, bad := 0, 0
	for name, value := range w.records {
		owner, key, _ := strings.Cut(name, " ")
		if v, err := get(db, store.Owner(owner), key); err == nil && bytes.Equal(v, value) {
			good++
		} else if bad++; !errors.Is(err, store.ErrCorrupt) || !told[store.Owner(owner)] {
			t.Errorf("%s: %v; Check tells of its owner: %v", name, err, told[store.Owner(owner)])
		}
	}
	if bad == 0 || bad > p.count {
		t.Errorf("%d records are read, %d not; the page held %d", good, bad, p.count)
	}
}

// TestCut: a file that has lost its end is read as far as it goes.
func TestCut(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	if err := os.Truncate(w.path, int64(len(w.file)/4/pageSize*pageSize)); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(bolt.Config{Dir: filepath.Dir(w.path)}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("opened for writing: %v", err)
	}
	f := salvage(t, w.path)
	if len(f.candidate)+len(f.reachable) == 0 {
		t.Error("nothing is salvaged")
	}
	db, err := bolt.Open(bolt.Config{Dir: filepath.Dir(w.path), ReadOnly: true})
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) { // its first pages may be on the part that is gone
			t.Error(err)
		}
		return
	}
	defer db.Close()
	w.readable(t, db)
	if err := db.Check(context.Background()); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Check: %v", err)
	}
}

// TestDamageWhileOpen: a page that goes bad under a running store fails those
// who need it, and nobody else; a commit that cannot be made stops writing
// until the store is opened again, which callers are told as a pause.
func TestDamageWhileOpen(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	db := open(t, bolt.Config{Dir: filepath.Dir(w.path)})
	leaves := ofKind(w.pages(t, "r"), leafFlag)
	bad := leaves[1]
	f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, pageSize), int64(bad.id)*int64(pageSize)); err != nil {
		t.Fatal(err)
	}
	name := w.keys(bad)[1]
	owner, key, _ := strings.Cut(name, " ")
	if _, err := get(db, store.Owner(owner), key); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a record on the page: %v", err)
	}
	if err := put(db, store.Owner(owner), key, nil); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a write on the page: %v", err)
	}
	if err := put(db, alice, "k", []byte("v")); err != nil {
		t.Errorf("a write elsewhere: %v", err)
	}
	// With little left on the page before, the commit joins it with the bad one.
	names := w.keys(leaves[0])
	err = db.Update(context.Background(), ownerOf(names[0]), func(tx store.Tx) error {
		for _, name := range names[1:] {
			if ownerOf(name) != tx.Owner() {
				t.Fatal("the page holds several owners: this test is not made for that")
			}
			if err := tx.Delete([]byte(strings.TrimPrefix(name, string(tx.Owner())+" "))); err != nil {
				return err
			}
		}
		return nil
	})
	for i, err := range []error{err, put(db, alice, "k", []byte("w")), put(db, "s/z", "k", nil)} {
		if !errors.Is(err, store.ErrUnavailable) || !errs.Is(err, errs.Unavailable) {
			t.Errorf("write %d after the commit that failed: %v", i, err)
		}
	}
	if v, err := get(db, alice, "k"); string(v) != "v" || err != nil {
		t.Errorf("a read after it: %q, %v", v, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestCheckHoldsNobodyUp: a commit is made while Check is under way.
func TestCheckHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	db := open(t, bolt.Config{})
	defer db.Close()
	hollow(t, db, 2000)
	ctx := &counting{Context: t.Context()}
	ctx.fn = func(asked int) {
		if asked == 50 { // in the midst of its pages
			if err := put(db, "s/b", "k", []byte(fmt.Sprint(asked))); err != nil {
				t.Error(err)
			}
		}
	}
	if err := db.Check(ctx); err != nil || ctx.asked < 50 {
		t.Errorf("asked %d times, %v", ctx.asked, err)
	}
}

// counting is a context that is told each time it is asked for its error.
type counting struct {
	context.Context
	asked int
	fn    func(asked int)
}

func (c *counting) Err() error {
	c.asked++
	c.fn(c.asked)
	return c.Context.Err()
}
