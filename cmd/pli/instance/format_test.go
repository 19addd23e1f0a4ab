package instance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pli/store"
	"pli/store/bolt"
	"pli/store/sealed"
)

// sealedStore is the store of an instance that nobody has opened yet.
func sealedStore(t *testing.T) (db, raw store.DB) {
	t.Helper()
	dir := t.TempDir()
	master, err := sealed.CreateMaster(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string) *bolt.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	keys, err := sealed.OpenKeys(open("keys"), master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	raw = open("store")
	return sealed.New(raw, keys, sealed.Config{}), raw
}

func put(t *testing.T, db store.DB, owner store.Owner, key string, v any) {
	t.Helper()
	if err := db.Update(context.Background(), owner, func(tx store.Tx) error { return store.Save(tx, []byte(key), v) }); err != nil {
		t.Fatal(err)
	}
}

// An instance is marked when it is made; one from before there were marks is
// of format 1. Every later build opens both (issue 3, 8).
func TestFormatIsMarked(t *testing.T) {
	t.Parallel()
	const build = 3
	for _, c := range []struct {
		name   string
		before func(t *testing.T, db, raw store.DB)
		want   int
	}{
		{"new", func(*testing.T, store.DB, store.DB) {}, build},
		{"new, on a shared store", func(t *testing.T, _, raw store.DB) { put(t, raw, leaseOwner, "lease", 1) }, build},
		{"records and no mark", func(t *testing.T, db, _ store.DB) { put(t, db, "sys/domains", "x", 1) }, 1},
		{"older", func(t *testing.T, db, _ store.DB) { put(t, db, formatOwner, keyFormat, formatMark{2}) }, 2},
		{"of this build", func(t *testing.T, db, _ store.DB) { put(t, db, formatOwner, keyFormat, formatMark{build}) }, build},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db, raw := sealedStore(t)
			c.before(t, db, raw)
			for range 2 { // the second time it is there
				if got, err := openFormat(t.Context(), db, build); got != c.want || err != nil {
					t.Errorf("format %d, %v; want %d", got, err, c.want)
				}
			}
			if got, err := openFormat(t.Context(), db, build+1); got != c.want || err != nil {
				t.Errorf("the next build: format %d, %v; want %d", got, err, c.want)
			}
		})
	}
}

// What cannot be known is refused, in a sentence that says why.
func TestFormatIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		version int
		want    string
	}{
		{"newer", Format + 1, fmt.Sprintf("stored in format %d, and this build knows formats 1 to %d", Format+1, Format)},
		{"none", 0, "says 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db, _ := sealedStore(t)
			put(t, db, formatOwner, keyFormat, formatMark{c.version})
			if _, err := openFormat(t.Context(), db, Format); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	db, raw := sealedStore(t)
	put(t, db, formatOwner, keyFormat, formatMark{Format})
	put(t, raw, formatOwner, keyFormat, "not sealed")
	if _, err := openFormat(t.Context(), db, Format); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a damaged mark: %v", err)
	}
}

// A whole instance of a newer build does not open, and is left as it is; its
// own build opens it again.
func TestNewerInstanceDoesNotOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.shut()
	h.open()
	put(t, h.db, formatOwner, keyFormat, formatMark{Format + 1})
	h.shut()
	if in, err := Open(t.Context(), h.cfg, h.deps()); err == nil || !strings.Contains(err.Error(), "or a later one") {
		t.Errorf("an instance of a newer build: %v", err)
		if in != nil {
			in.Close()
		}
	}
}
