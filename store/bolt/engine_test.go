package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
	"pli/store/bolt"
	"pli/store/storetest"
)

const alice = store.Owner("s/alice")

func put(db store.DB, owner store.Owner, key string, value []byte) error {
	return db.Update(context.Background(), owner, func(tx store.Tx) error { return tx.Put([]byte(key), value) })
}

func get(db store.DB, owner store.Owner, key string) (value []byte, err error) {
	err = db.View(context.Background(), owner, func(tx store.Tx) error {
		v, err := tx.Get([]byte(key))
		value = bytes.Clone(v)
		return err
	})
	return value, err
}

// random returns n bytes that do not repeat.
func random(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// TestReopen: everything is there again, and large values go on where they
// ended.
func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 4 {
		db := open(t, bolt.Config{Dir: dir})
		for i := range round {
			if v, err := get(db, alice, fmt.Sprint(i)); err != nil || len(v) != 5000+i {
				t.Errorf("round %d: record %d has %d bytes, %v", round, i, len(v), err)
			}
		}
		if err := put(db, alice, fmt.Sprint(round), random(5000+round)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Check(context.Background()), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLock: two processes, or two stores, never have one folder open.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, bolt.Config{Dir: dir})
	_, err := bolt.Open(bolt.Config{Dir: dir, LockWait: 20 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "another pli runs on this folder") {
		t.Errorf("a second store on one folder: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, bolt.Config{Dir: dir}).Close()
}

// TestShards: their number is that of the first time.
func TestShards(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, bolt.Config{Dir: dir, Shards: 3})
	for i := range 30 {
		if err := put(db, store.Owner(fmt.Sprint("s/", i)), "k", []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	for _, n := range []int{1, 2, 4} {
		if db, err := bolt.Open(bolt.Config{Dir: dir, Shards: n}); err == nil {
			db.Close()
			t.Errorf("3 shards are opened as %d", n)
		}
	}
	db = open(t, bolt.Config{Dir: dir}) // zero: whatever there is
	for i := range 30 {
		if _, err := get(db, store.Owner(fmt.Sprint("s/", i)), "k"); err != nil {
			t.Errorf("owner %d: %v", i, err)
		}
	}
	db.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "shard-*.db"))
	if len(files) != 3 {
		t.Errorf("%d files", len(files))
	}
	if err := os.Rename(files[2], files[2]+".away"); err != nil {
		t.Fatal(err)
	}
	if db, err := bolt.Open(bolt.Config{Dir: dir}); err == nil {
		db.Close()
		t.Error("a store of which a file is missing is opened")
	}
	if _, err := os.Stat(files[2]); err == nil {
		t.Error("an empty file has taken the missing one's place")
	}
	if err := os.Rename(files[2]+".away", files[1]); err != nil {
		t.Fatal(err)
	}
}

// TestUnfinished: a folder whose making was cut short is made anew.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, bolt.Config{Dir: dir, Shards: 3}).Close()
	if err := os.Truncate(filepath.Join(dir, "shard-00.db"), 0); err != nil { // its word comes last
		t.Fatal(err)
	}
	db := open(t, bolt.Config{Dir: dir, Shards: 3})
	if err := errors.Join(put(db, alice, "k", []byte("v")), db.Check(context.Background()), db.Close()); err != nil {
		t.Error(err)
	}
}

// TestBatch: while one transaction runs, others queue, and the next commit
// takes them all; one that ends its goroutine takes nobody with it.
func TestBatch(t *testing.T) {
	t.Parallel()
	db := open(t, bolt.Config{})
	defer db.Close()
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		db.Update(context.Background(), alice, func(tx store.Tx) error {
			close(inside)
			<-leave
			return nil
		})
	})
	<-inside
	var mu sync.Mutex
	var results []string
	add := func(what string, err error) {
		mu.Lock()
		defer mu.Unlock()
		results = append(results, fmt.Sprint(what, " ", err == nil))
	}
	for i := range 10 {
		wg.Go(func() {
			add("put", put(db, store.Owner(fmt.Sprint("s/", i)), "k", random(2000)))
		})
	}
	wg.Go(func() {
		add("exit", db.Update(context.Background(), alice, func(tx store.Tx) error {
			tx.Put([]byte("k"), nil)
			runtime.Goexit()
			return nil
		}))
	})
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp := make(chan error, 1)
	wg.Go(func() {
		gaveUp <- db.Update(ctx, alice, func(tx store.Tx) error { return tx.Put([]byte("given up"), nil) })
	})
	time.Sleep(20 * time.Millisecond) // all queue now; if not, the test is weaker, not wrong
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) { // while the first still runs
		t.Errorf("a context that ended while waiting: %v", err)
	}
	close(leave)
	wg.Wait()
	ok := 0
	for _, r := range results {
		if r == "put true" {
			ok++
		} else if r != "exit false" {
			t.Errorf("%s", r)
		}
	}
	if ok != 10 {
		t.Errorf("%d of 10 have been written: %q", ok, results)
	}
	for _, key := range []string{"k", "given up"} {
		if _, err := get(db, alice, key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := put(db, alice, "k", nil); err != nil {
		t.Errorf("the store has stopped: %v", err)
	}
}

// TestPanicSays where, and nothing of what.
func TestPanicSays(t *testing.T) {
	t.Parallel()
	db := open(t, bolt.Config{})
	defer db.Close()
	for _, fn := range []func(store.Tx) error{
		func(store.Tx) error { panic("the patient's name") },
		func(tx store.Tx) error { var none []int; return tx.Put(nil, []byte{byte(none[len(none)])}) },
	} {
		err := db.Update(context.Background(), alice, fn)
		if err == nil || !strings.Contains(err.Error(), "engine_test.go:") || strings.Contains(err.Error(), "patient") {
			t.Errorf("got %v", err)
		}
	}
	if s := db.Stats(); s.Commits != 0 || s.Failed != 0 {
		t.Errorf("nothing was written, and %+v", s)
	}
	if err := put(db, alice, "k", []byte("v")); err != nil || db.Stats().Commits != 1 || db.Stats().Transactions != 1 {
		t.Errorf("%v, %+v", err, db.Stats())
	}
}

// TestHookPanics: what waits for a commit may fail as it likes.
func TestHookPanics(t *testing.T) {
	t.Parallel()
	db := open(t, bolt.Config{})
	defer db.Close()
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		tx.AfterCommit(func() { panic("boom") })
		return tx.Put([]byte("k"), []byte("v"))
	})
	if v, getErr := get(db, alice, "k"); err != nil || string(v) != "v" {
		t.Errorf("Update: %v; then %q, %v", err, v, getErr)
	}
}

// TestWiden: a wrapper may add what it says to each value, and not a byte more.
func TestWiden(t *testing.T) {
	t.Parallel()
	bare := open(t, bolt.Config{})
	defer bare.Close()
	db := bare.Widen(20).(store.Widener).Widen(9)
	if err := put(db, alice, "k", random(store.MaxValue+29)); err != nil {
		t.Error(err)
	}
	if err := put(db, alice, "k", random(store.MaxValue+30)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		for i := range store.MaxTx / store.MaxValue {
			if err := tx.Put([]byte{byte(i)}, random(store.MaxValue+29)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("a transaction of wide values: %v", err)
	}
	if err := put(bare, alice, "k", random(store.MaxValue+1)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("the bare store is wide: %v", err)
	}
}

// TestFileBytes: a store that is full by its own bound says so, takes nothing
// in part, and goes on once there is room.
func TestFileBytes(t *testing.T) {
	t.Parallel()
	db := open(t, bolt.Config{FileBytes: 64 << 20})
	defer db.Close()
	full(t, db)
}

// full fills a store that has room for some tens of megabytes.
func full(t *testing.T, db *bolt.DB) {
	t.Helper()
	value := random(store.MaxValue)
	var err error
	n := 0
	for ; n < 200 && err == nil; n++ {
		err = put(db, alice, fmt.Sprint(n), value)
	}
	if !errors.Is(err, store.ErrFull) || n < 5 {
		t.Fatalf("after %d MiB: %v", n, err)
	}
	if _, err := get(db, alice, fmt.Sprint(n-1)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
	err = db.Update(context.Background(), alice, func(tx store.Tx) error {
		for i := range n / 2 {
			if err := tx.Delete([]byte(fmt.Sprint(i))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("a full store cannot be emptied: %v", err)
	}
	if err := put(db, alice, "again", value); err != nil {
		t.Errorf("once there is room: %v", err)
	}
	if v, err := get(db, alice, fmt.Sprint(n-2)); err != nil || !bytes.Equal(v, value) {
		t.Errorf("an earlier record: %d bytes, %v", len(v), err)
	}
	if err := db.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestFull: the same when it is the system that has no room.
func TestFull(t *testing.T) {
	t.Parallel()
	storetest.Full(t, 80<<20, func(dir string) {
		db := open(t, bolt.Config{Dir: dir})
		defer db.Close()
		full(t, db)
	})
}

// TestMinFree: with less room on the disk than is to be left, values are
// refused; what writes none goes on.
func TestMinFree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, bolt.Config{Dir: dir, MinFree: 1})
	if err := put(db, alice, "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	db.Close()
	db = open(t, bolt.Config{Dir: dir, MinFree: 1 << 60})
	defer db.Close()
	if err := put(db, alice, "l", []byte("v")); !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v", err)
	}
	if _, err := get(db, alice, "l"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
	err := db.Update(context.Background(), alice, func(tx store.Tx) error { return tx.Delete([]byte("k")) })
	if err != nil {
		t.Errorf("a deletion: %v", err)
	}
}

// TestScrub: what was deleted or replaced is in no file any more.
func TestScrub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, bolt.Config{Dir: dir})
	for i := range 200 {
		if err := put(db, alice, fmt.Sprint("small", i), fmt.Appendf(nil, "secret-word %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	put(db, alice, "large", bytes.Repeat([]byte("secret-word "), 3000))
	put(db, alice, "kept", []byte("kept-word"))
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(k, v []byte) error {
			if string(k) == "kept" {
				return nil
			}
			if string(k) == "small7" {
				return tx.Put(k, []byte("replaced"))
			}
			return tx.Delete(k)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	count := func(word string) int {
		b, err := os.ReadFile(filepath.Join(dir, "shard-00.db"))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(b, []byte(word))
	}
	if count("secret-word") == 0 {
		t.Error("nothing is left to scrub: this test shows nothing")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err = db.View(context.Background(), alice, func(tx store.Tx) error {
		if err := db.Scrub(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a scrub under an open view: %v", err)
		}
		return nil
	})
	if err := errors.Join(err, db.Scrub(context.Background())); err != nil {
		t.Fatal(err)
	}
	if n := count("secret-word"); n != 0 {
		t.Errorf("%d traces are left", n)
	}
	if v, err := get(db, alice, "kept"); string(v) != "kept-word" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	for i := range 300 {
		if err := put(db, alice, fmt.Sprint(i), random(i*50)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Scrub(context.Background()), db.Check(context.Background()), db.Close()); err != nil {
		t.Error(err)
	}
	db = open(t, bolt.Config{Dir: dir})
	if v, err := get(db, alice, "299"); !bytes.Equal(v, random(299*50)) || err != nil {
		t.Errorf("opened again: %d bytes, %v", len(v), err)
	}
	if err := errors.Join(db.Check(context.Background()), db.Close()); err != nil {
		t.Error(err)
	}
}

// TestCheckFinds: each kind of damage that Check speaks of.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	damages := map[string]func(tx *bbolt.Tx) error{
		"a value is missing": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("v"))
			k, _ := b.Cursor().First()
			return b.Delete(k)
		},
		"a value nobody names": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("v")).Put([]byte("\xff\xff\xff\xff\xff\xff\xff\x00"), []byte("x"))
		},
		"a due time is missing": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("d"))
			k, _ := b.Cursor().First()
			return b.Delete(k)
		},
		"a due time too many": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("d")).Put([]byte("\x80\x00\x00\x00\x00\x00\x00\x01s/alice\x00x"), nil)
		},
		"a record of no owner": func(tx *bbolt.Tx) error { return tx.Bucket([]byte("r")).Put([]byte("x"), []byte{0}) },
		"a record that does not parse": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("r")).Put([]byte("s/alice\x00k"), []byte{0x80})
		},
		"an empty record": func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("r")).Put([]byte("s/alice\x00k"), []byte{})
		},
	}
	for name, damage := range damages {
		dir := t.TempDir()
		db := open(t, bolt.Config{Dir: dir})
		err := db.Update(context.Background(), alice, func(tx store.Tx) error {
			return errors.Join(tx.Put([]byte("large"), random(9000)), tx.PutDue([]byte("due"), nil, time.UnixMilli(5)), tx.Put([]byte("k"), nil))
		})
		if err := errors.Join(err, db.Check(context.Background()), db.Close()); err != nil {
			t.Fatal(err)
		}
		raw, err := bbolt.Open(filepath.Join(dir, "shard-00.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(raw.Update(damage), raw.Close()); err != nil {
			t.Fatal(err)
		}
		db = open(t, bolt.Config{Dir: dir})
		if err := db.Check(context.Background()); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: Check says %v", name, err)
		}
		db.Close()
	}
}

// TestNewerFormat: a store of another format is not touched.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, bolt.Config{Dir: dir}).Close()
	raw, err := bbolt.Open(filepath.Join(dir, "shard-00.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{2}) })
	if err := errors.Join(err, raw.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err := bolt.Open(bolt.Config{Dir: dir}); err == nil {
		db.Close()
		t.Error("opened")
	}
}
