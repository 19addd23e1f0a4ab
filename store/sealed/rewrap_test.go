package sealed_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pli/store"
	"pli/store/sealed"
)

// The master key that takes another's place derives what that did, in memory
// and from its file, and wraps under a key of its own.
func TestNextMasterDerivesTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := sealed.CreateMaster(filepath.Join(dir, "1"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.CreateNext(filepath.Join(dir, "2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.CreateNext(filepath.Join(dir, "3")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"1", "2", "3"} {
		m, err := sealed.LoadMaster(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if m.Derive("names") != first.Derive("names") {
			t.Errorf("the master key %s derives another key of names", name)
		}
	}
	if _, err := first.CreateNext(filepath.Join(dir, "2")); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key in the place of another: %v", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "2"))
	if err != nil {
		t.Fatal(err)
	}
	one, _ := os.ReadFile(filepath.Join(dir, "1"))
	for name, bad := range map[string]string{
		"cut":                 string(text[:len(text)-2]),
		"a root of another":   string(one) + strings.SplitAfterN(string(text), "\n", 2)[1],
		"a digit of the root": string(text[:len(text)-2]) + "g\n",
		"longer":              string(text) + "\n",
	} {
		path := filepath.Join(dir, "bad")
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.LoadMaster(path); err == nil {
			t.Errorf("%s: a master key was read", name)
		}
	}
}

// The master key is renewed while records are read and written: all goes on
// being read, by both keys until it is done and by the new one alone then; one
// that was stopped half way is taken up again.
func TestRewrap(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const owners = 60
	owner := func(i int) store.Owner { return store.Owner(fmt.Sprint("s/", i)) }
	for i := range owners {
		h.put(t, owner(i), "k", fmt.Sprint("value ", i))
	}
	if err := h.keys.Destroy(t.Context(), owner(7), ""); err != nil {
		t.Fatal(err)
	}
	next, err := h.master.CreateNext(filepath.Join(h.dir, "next"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string, keys *sealed.Keys) {
		t.Helper()
		db := sealed.New(h.bare, keys, sealed.Config{})
		for i := range owners {
			err := db.View(context.Background(), owner(i), func(tx store.Tx) error {
				v, err := tx.Get([]byte("k"))
				if err == nil && string(v) != fmt.Sprint("value ", i) {
					err = errors.New("another value")
				}
				return err
			})
			if i == 7 && !errors.Is(err, sealed.ErrDestroyed) || i != 7 && err != nil {
				t.Errorf("%s: owner %d: %v", when, i, err)
			}
		}
	}
	open := func(m, next *sealed.Master) (*sealed.Keys, error) {
		return sealed.OpenKeys(h.keysDB, m, sealed.KeysConfig{Next: next})
	}

	// Stopped half way.
	half := &stopping{DB: h.keysDB, left: owners / 2}
	stopped, err := sealed.OpenKeys(half, h.master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := stopped.Rewrap(t.Context(), next, func(int) {}); !errors.Is(err, errStopped) {
		t.Fatalf("it was not stopped: %v", err)
	}
	both, err := open(h.master, next)
	if err != nil {
		t.Fatal(err)
	}
	check("half way", both)
	if err := sealed.New(h.bare, both, sealed.Config{}).Update(t.Context(), "s/new", func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) }); err != nil {
		t.Fatal(err)
	}

	// Taken up again, while others read and make keys.
	done := make(chan error, 1)
	go func() {
		db := sealed.New(h.bare, both, sealed.Config{})
		for i := range 30 {
			if err := db.Update(context.Background(), store.Owner(fmt.Sprint("s/while-", i)), func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) }); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	if err := both.Rewrap(t.Context(), next, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	check("by who did it", both)
	if _, err := open(h.master, nil); err == nil {
		t.Error("the master key of before still opens the store")
	}
	loaded, err := sealed.LoadMaster(filepath.Join(h.dir, "next"))
	if err != nil {
		t.Fatal(err)
	}
	alone, err := open(loaded, nil)
	if err != nil {
		t.Fatal(err)
	}
	check("by the new key alone", alone)
	db := sealed.New(h.bare, alone, sealed.Config{})
	for _, o := range []store.Owner{"s/new", "s/while-0", "s/while-29"} {
		if err := db.View(t.Context(), o, func(tx store.Tx) error { _, err := tx.Get([]byte("k")); return err }); err != nil {
			t.Errorf("%s: %v", o, err)
		}
	}
}

var errStopped = errors.New("stopped")

// stopping fails every write after so many.
type stopping struct {
	store.DB
	left int
}

func (s *stopping) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	if s.left--; s.left < 0 {
		return errStopped
	}
	return s.DB.Update(ctx, owner, fn)
}
