package sealed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/store"
	"pli/store/bolt"
	"pli/store/sealed"
	"pli/store/storetest"
)

const (
	alice = store.Owner("s/alice")
	bob   = store.Owner("s/bob")
)

// house is a sealed store with its parts.
type house struct {
	dir    string
	bare   *bolt.DB // the records as the disk has them
	keysDB *bolt.DB
	master *sealed.Master
	keys   *sealed.Keys
	db     store.DB
}

func openBolt(t testing.TB, cfg bolt.Config) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// openHouse opens a house in dir, making it if there is none.
func openHouse(t testing.TB, dir string) *house {
	t.Helper()
	h := &house{dir: dir}
	path := filepath.Join(dir, "master")
	var err error
	if h.master, err = sealed.LoadMaster(path); errors.Is(err, os.ErrNotExist) {
		h.master, err = sealed.CreateMaster(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.keysDB = openBolt(t, bolt.Config{Dir: filepath.Join(dir, "keys")})
	h.bare = openBolt(t, bolt.Config{Dir: filepath.Join(dir, "records")})
	if h.keys, err = sealed.OpenKeys(h.keysDB, h.master, sealed.KeysConfig{}); err != nil {
		t.Fatal(err)
	}
	h.db = sealed.New(h.bare, h.keys, sealed.Config{})
	return h
}

// newHouse opens a new one and closes it when the test ends.
func newHouse(t testing.TB) *house {
	h := openHouse(t, t.TempDir())
	t.Cleanup(func() { h.close(t) })
	return h
}

func (h *house) close(t testing.TB) {
	if err := errors.Join(h.db.Close(), h.keysDB.Close()); err != nil {
		t.Error(err)
	}
}

func (h *house) put(t testing.TB, owner store.Owner, key, value string) {
	t.Helper()
	err := h.db.Update(context.Background(), owner, func(tx store.Tx) error { return tx.Put([]byte(key), []byte(value)) })
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) get(owner store.Owner, key string) (value string, err error) {
	err = h.db.View(context.Background(), owner, func(tx store.Tx) error {
		v, err := tx.Get([]byte(key))
		value = string(v)
		return err
	})
	return value, err
}

func wantErr(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want %v", err, kind)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) store.DB {
		h := openHouse(t, t.TempDir())
		t.Cleanup(func() { h.keysDB.Close() })
		return h.db
	})
}

// TestNothingInClear looks for what was written in every file, while the store
// is open and after.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	h := openHouse(t, t.TempDir())
	word := "Zyklothymie-7Q"
	for i := range 20 {
		h.put(t, alice, fmt.Sprint("k", i), strings.Repeat(word+" ", 1+i*100))
	}
	search := func() {
		err := filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s holds the word", filepath.Base(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	search()
	if v, err := h.get(alice, "k0"); v != word+" " {
		t.Errorf("got %q, %v", v, err)
	}
	h.close(t)
	search()
}

// TestDamage: a record changed, moved within the owner, moved to another owner,
// cut or of another format does not open, and the error tells no key.
func TestDamage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.put(t, alice, "secret-key", "value one")
	h.put(t, alice, "other", "value two")
	h.put(t, bob, "secret-key", "value three")
	raw := func(owner store.Owner, key string) (b []byte) {
		h.bare.View(context.Background(), owner, func(tx store.Tx) error {
			v, err := tx.Get([]byte(key))
			b = bytes.Clone(v)
			return err
		})
		return b
	}
	good := raw(alice, "secret-key")
	if len(good) != len("value one")+sealed.Overhead {
		t.Fatalf("a sealed value of %d bytes", len(good))
	}
	damaged := map[string][]byte{
		"of another record": raw(alice, "other"), "of another owner": raw(bob, "secret-key"),
		"cut": good[:len(good)-1], "empty": {}, "only a nonce": good[:13], "longer": append(bytes.Clone(good), 0),
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		damaged[fmt.Sprint("byte ", i)] = b
	}
	for name, b := range damaged {
		err := h.bare.Update(context.Background(), alice, func(tx store.Tx) error { return tx.Put([]byte("secret-key"), b) })
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.get(alice, "secret-key")
		if !errors.Is(err, store.ErrCorrupt) || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), string(alice)) {
			t.Errorf("%s: %v", name, err)
		}
		wantErr(t, h.db.(store.Checker).Check(context.Background()), store.ErrCorrupt)
	}
	if err := h.bare.Update(context.Background(), alice, func(tx store.Tx) error { return tx.Put([]byte("secret-key"), good) }); err != nil {
		t.Fatal(err)
	}
	if err := h.db.(store.Checker).Check(context.Background()); err != nil {
		t.Errorf("all is well again, and Check says %v", err)
	}
}

// TestViewMakesNoKey: reading an owner without records leaves no key, and
// neither do writes that are refused in a view.
func TestViewMakesNoKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, err := h.get(alice, "a")
	wantErr(t, err, store.ErrNotFound)
	err = h.db.View(context.Background(), alice, func(tx store.Tx) error {
		wantErr(t, tx.Put([]byte("a"), nil), store.ErrReadOnly)
		return tx.Scan(nil, nil, func(k, v []byte) error { return errors.New("met a record") })
	})
	if err != nil {
		t.Error(err)
	}
	_, err = h.keys.Key(context.Background(), alice, "data", "role", false)
	wantErr(t, err, store.ErrNotFound)
}

// TestKeyIsMissing: a record whose key the key store does not know is damage,
// not absence.
func TestKeyIsMissing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	err := h.bare.Update(context.Background(), alice, func(tx store.Tx) error { return tx.Put([]byte("a"), make([]byte, 60)) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.get(alice, "a")
	wantErr(t, err, store.ErrCorrupt)
}

// TestClasses: the trace outlives the content, by its own key.
func TestClasses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := context.Background()
	h.put(t, alice, "audit/1", "who has read")
	h.put(t, alice, "doc/1", "content")
	h.put(t, bob, "doc/1", "bob's")
	if err := h.keys.Destroy(ctx, alice, "data"); err != nil {
		t.Fatal(err)
	}
	_, err := h.get(alice, "doc/1")
	wantErr(t, err, store.ErrNotFound)
	wantErr(t, err, sealed.ErrDestroyed)
	for owner, key := range map[store.Owner]string{alice: "audit/1", bob: "doc/1"} {
		if _, err := h.get(owner, key); err != nil {
			t.Errorf("%s %s: %v", owner, key, err)
		}
	}
	var met []string
	err = h.db.View(ctx, alice, func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error { met = append(met, string(k)); return nil })
	})
	if fmt.Sprint(met) != "[audit/1]" || err != nil {
		t.Errorf("a scan meets %q, %v", met, err)
	}
	err = h.db.Update(ctx, alice, func(tx store.Tx) error { return tx.Put([]byte("doc/2"), nil) })
	wantErr(t, err, sealed.ErrDestroyed)
	if err := h.db.(store.Checker).Check(ctx); err != nil {
		t.Errorf("Check after a deletion: %v", err)
	}
	err = h.db.Update(ctx, alice, func(tx store.Tx) error { return tx.Delete([]byte("doc/1")) })
	if err != nil {
		t.Errorf("what cannot be read can be cleared away: %v", err)
	}
}

// TestDestroyAll leaves nothing to be made again, and nothing on the disk that
// the master key could open.
func TestDestroyAll(t *testing.T) {
	t.Parallel()
	h := openHouse(t, t.TempDir())
	ctx := context.Background()
	h.put(t, alice, "doc/1", "content")
	h.put(t, alice, "audit/1", "trace")
	h.put(t, bob, "doc/1", "bob's")
	var wrapped [][]byte
	h.keysDB.View(ctx, alice, func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error {
			wrapped = append(wrapped, bytes.Clone(v))
			return nil
		})
	})
	if err := h.keys.Destroy(ctx, alice, ""); err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{"data", "trace", "never-there"} {
		_, err := h.keys.Key(ctx, alice, class, "role", true)
		wantErr(t, err, sealed.ErrDestroyed)
	}
	if v, err := h.get(bob, "doc/1"); v != "bob's" {
		t.Errorf("bob: %q, %v", v, err)
	}
	h.close(t)
	if len(wrapped) != 2 {
		t.Fatalf("%d keys", len(wrapped))
	}
	file, err := os.ReadFile(filepath.Join(h.dir, "keys", "shard-00.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrapped {
		if bytes.Contains(file, w[5:25]) {
			t.Error("the file still holds a destroyed key")
		}
	}
	h = openHouse(t, h.dir)
	defer h.close(t)
	_, err = h.get(alice, "audit/1")
	wantErr(t, err, sealed.ErrDestroyed)
	if v, err := h.get(bob, "doc/1"); v != "bob's" {
		t.Errorf("bob, opened again: %q, %v", v, err)
	}
}

// late is a key store whose next view is followed by something else before it
// returns.
type late struct {
	store.DB
	then func()
}

func (l *late) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	err := l.DB.View(ctx, owner, fn)
	if then := l.then; then != nil {
		l.then = nil
		then()
	}
	return err
}

// TestDestroyedStaysDestroyed: a key that was being loaded while it was
// destroyed does not come back from the cache.
func TestDestroyedStaysDestroyed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := context.Background()
	if _, err := h.keys.Key(ctx, alice, "data", "role", true); err != nil {
		t.Fatal(err)
	}
	slow := &late{DB: h.keysDB}
	keys, err := sealed.OpenKeys(slow, h.master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	slow.then = func() {
		if err := keys.Destroy(ctx, alice, "data"); err != nil {
			t.Error(err)
		}
	}
	keys.Key(ctx, alice, "data", "role", false) // loads, and is overtaken
	for _, create := range []bool{false, true} {
		_, err := keys.Key(ctx, alice, "data", "role", create)
		wantErr(t, err, sealed.ErrDestroyed)
	}
}

// TestKeys: one key for an owner and class however many ask at once, another
// for each other, the same after a new start, and with a cache of one.
func TestKeys(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := context.Background()
	small, err := sealed.OpenKeys(h.keysDB, h.master, sealed.KeysConfig{Cache: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := make([][32]byte, 32)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			keys := []*sealed.Keys{h.keys, small}[i%2]
			var err error
			if got[i], err = keys.Key(ctx, alice, "data", "role", true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, k := range got {
		if k != got[0] || k == [32]byte{} {
			t.Fatal("one owner has two keys, or none")
		}
	}
	seen := map[[32]byte]bool{got[0]: true}
	for i := range 10 {
		k, err := small.Key(ctx, store.Owner(fmt.Sprint("s/", i)), "data", "role", true)
		if seen[k] || err != nil {
			t.Errorf("owner %d: the key of another, or %v", i, err)
		}
		seen[k] = true
	}
	if k, err := small.Key(ctx, alice, "trace", "role", true); seen[k] || err != nil {
		t.Errorf("another class: the same key, or %v", err)
	}
	for _, class := range []string{"", "*", "Data", "a/b", strings.Repeat("a", 33)} {
		if _, err := h.keys.Key(ctx, alice, class, "role", true); err == nil {
			t.Errorf("%q is taken for a class", class)
		}
	}
	if _, err := h.keys.Key(ctx, alice, strings.Repeat("a", 32), "role", true); err != nil {
		t.Error(err)
	}
}

// TestKeyFirst: a function that meets a missing key runs again once the key is
// there, even if it hides the error, and its first run has no effect.
func TestKeyFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	runs := 0
	err := h.db.Update(context.Background(), alice, func(tx store.Tx) error {
		runs++
		tx.Put([]byte("a"), []byte("1"))
		tx.AfterCommit(func() { runs += 100 })
		return nil
	})
	if err != nil || runs != 102 {
		t.Errorf("%v, runs %d", err, runs)
	}
	if v, err := h.get(alice, "a"); v != "1" {
		t.Errorf("%q, %v", v, err)
	}
}

// TestWrongMaster: another master key is refused at once.
func TestWrongMaster(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other, err := sealed.CreateMaster(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.OpenKeys(h.keysDB, other, sealed.KeysConfig{}); err == nil {
		t.Error("another master key opens the key store")
	}
}

// TestDue: due times pass through.
func TestDue(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := time.UnixMilli(1000)
	err := h.db.Update(context.Background(), alice, func(tx store.Tx) error { return tx.PutDue([]byte("a"), []byte("v"), at) })
	if err != nil {
		t.Fatal(err)
	}
	if due, err := h.db.Due(context.Background(), at, 1); len(due) != 1 || err != nil {
		t.Errorf("%v, %v", due, err)
	}
}
