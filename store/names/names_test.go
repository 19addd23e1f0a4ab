package names_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pli/internal/errs"
	"pli/store"
	"pli/store/bolt"
	"pli/store/names"
	"pli/store/sealed"
)

// open returns names on a sealed store, and the store's folder.
func open(t *testing.T) (n *names.Names, db store.DB, dir string) {
	t.Helper()
	dir = t.TempDir()
	master, err := sealed.CreateMaster(filepath.Join(t.TempDir(), "master"))
	if err != nil {
		t.Fatal(err)
	}
	keysDB, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, "keys")})
	if err != nil {
		t.Fatal(err)
	}
	bare, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, "records")})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := sealed.OpenKeys(keysDB, master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	db = sealed.New(bare, keys, sealed.Config{})
	t.Cleanup(func() {
		if err := errors.Join(db.Close(), keysDB.Close()); err != nil {
			t.Error(err)
		}
	})
	return names.New(db, master.Derive("names")), db, dir
}

func wantKind(t *testing.T, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Errorf("got error %v, want %v", err, kind)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	n, db, _ := open(t)
	ctx := context.Background()
	find := func(kind, name string, owner store.Owner) {
		t.Helper()
		if got, err := n.Find(ctx, kind, name); got != owner || err != nil {
			t.Errorf("%s %s: %q, %v; want %q", kind, name, got, err, owner)
		}
	}
	_, err := n.Find(ctx, "login", "camille")
	wantKind(t, err, errs.NotFound)
	for range 2 { // the second time changes nothing
		if err := n.Bind(ctx, "login", "camille", "s/one"); err != nil {
			t.Fatal(err)
		}
	}
	find("login", "camille", "s/one")
	wantKind(t, n.Bind(ctx, "login", "camille", "s/two"), errs.Conflict)
	find("login", "camille", "s/one")
	if err := n.Bind(ctx, "address", "camille", "s/two"); err != nil {
		t.Errorf("another kind of name: %v", err)
	}
	find("address", "camille", "s/two")
	_, err = n.Find(ctx, "logi", "n\x00camille")
	wantKind(t, err, errs.NotFound)
	if err := errors.Join(n.Unbind(ctx, "login", "camille"), n.Unbind(ctx, "login", "camille")); err != nil {
		t.Error(err)
	}
	_, err = n.Find(ctx, "login", "camille")
	wantKind(t, err, errs.NotFound)
	find("address", "camille", "s/two")
	if err := n.Bind(ctx, "login", "camille", "s/two"); err != nil {
		t.Error(err)
	}
	other := names.New(db, [32]byte{1})
	_, err = other.Find(ctx, "login", "camille")
	wantKind(t, err, errs.NotFound)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	n, _, _ := open(t)
	ctx := context.Background()
	longest := strings.Repeat("a", names.MaxName-len("login"))
	if err := n.Bind(ctx, "login", longest, "s/one"); err != nil {
		t.Error(err)
	}
	for _, bad := range [][2]string{{"login", longest + "a"}, {"login", ""}, {"", "camille"}} {
		wantKind(t, n.Bind(ctx, bad[0], bad[1], "s/one"), errs.Invalid)
		wantKind(t, n.Unbind(ctx, bad[0], bad[1]), errs.Invalid)
		_, err := n.Find(ctx, bad[0], bad[1])
		wantKind(t, err, errs.Invalid)
	}
	if err := n.Bind(ctx, "login", "camille", "Not An Owner"); !errors.Is(err, store.ErrOwner) {
		t.Errorf("got %v", err)
	}
}

// TestOneWins: of many who bind one name at once, one has it.
func TestOneWins(t *testing.T) {
	t.Parallel()
	n, _, _ := open(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			err := n.Bind(context.Background(), "ins", "one", store.Owner(fmt.Sprint("s/", i)))
			if err == nil {
				won.Add(1)
			} else {
				wantKind(t, err, errs.Conflict)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have bound one name", won.Load())
	}
}

// TestNoNameOnDisk: neither names nor whom they are bound to lie in clear.
func TestNoNameOnDisk(t *testing.T) {
	t.Parallel()
	n, _, dir := open(t)
	secret, owner := "275127512345678", "s/ownerownerownerownerowner"
	if err := n.Bind(context.Background(), "ins", secret, store.Owner(owner)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), secret) || strings.Contains(string(b), owner) {
			t.Errorf("%s holds a name or its owner", filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// counting counts what is read and met.
type counting struct {
	store.DB
	reads, met atomic.Int32
}

type countingTx struct {
	store.Tx
	c *counting
}

func (c *counting) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return c.DB.View(ctx, owner, func(tx store.Tx) error { return fn(countingTx{tx, c}) })
}

func (t countingTx) Get(key []byte) ([]byte, error) {
	t.c.reads.Add(1)
	v, err := t.Tx.Get(key)
	if err == nil {
		t.c.met.Add(1)
	}
	return v, err
}

// TestSameWork: whether a name is bound does not show in what is done.
func TestSameWork(t *testing.T) {
	t.Parallel()
	_, db, _ := open(t)
	c := &counting{DB: db}
	n := names.New(c, [32]byte{7})
	ctx := context.Background()
	if err := n.Bind(ctx, "ins", "bound", "s/one"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bound", "not bound"} {
		c.reads.Store(0)
		c.met.Store(0)
		n.Find(ctx, "ins", name)
		if c.reads.Load() != 2 || c.met.Load() != 1 {
			t.Errorf("%s: %d reads, %d records met", name, c.reads.Load(), c.met.Load())
		}
	}
}

// TestForget: the names of one owner go, whatever their kind, and no other's.
func TestForget(t *testing.T) {
	t.Parallel()
	n, _, _ := open(t)
	ctx := context.Background()
	for i := range 40 {
		owner := store.Owner(fmt.Sprintf("s/%d", i%4))
		if err := n.Bind(ctx, "ins", fmt.Sprint(i), owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Forget(ctx, map[store.Owner]bool{"s/1": true, "s/3": true, "s/none": true}); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		_, err := n.Find(ctx, "ins", fmt.Sprint(i))
		if gone := i%2 == 1; errs.Is(err, errs.NotFound) != gone || !gone && err != nil {
			t.Errorf("name %d: %v", i, err)
		}
	}
	if err := n.Bind(ctx, "ins", "1", "s/new"); err != nil {
		t.Errorf("a name that is free again: %v", err)
	}
}
