package bolt_test

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
	"pli/store/storetest"
)

// restless is a store whose files are compacted all the time, until it is
// closed.
type restless struct {
	*bolt.DB
	stop func()
}

func unrest(t testing.TB, db *bolt.DB) store.DB {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for shard := range db.Stats().Shards {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, err := db.Compact(ctx, shard, nil)
				if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, bolt.ErrBusy) && !errors.Is(err, store.ErrClosed) {
					t.Errorf("Compact: %v", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(3 * time.Millisecond): // others are to get on as well
				}
			}
		})
	}
	return restless{db, func() { cancel(); wg.Wait() }}
}

func (r restless) Close() error {
	err := r.DB.Close()
	r.stop()
	return err
}

// TestStoreWhileCompacted: the whole contract holds on files that are
// exchanged under it.
func TestStoreWhileCompacted(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) store.DB { return unrest(t, open(t, bolt.Config{MapBytes: 1 << 20})) })
}

// TestCrashWhileCompacted: a kill at any moment of a compaction loses nothing.
func TestCrashWhileCompacted(t *testing.T) {
	t.Parallel()
	storetest.Crash(t, func(t testing.TB, dir string) store.DB {
		db := open(t, bolt.Config{Dir: dir, Shards: 2})
		if left, _ := filepath.Glob(filepath.Join(dir, "*.compact")); len(left) > 0 {
			t.Errorf("left in the folder: %q", left)
		}
		return unrest(t, db)
	})
}

// hollow fills a store with n values of 10 kB and deletes all but each tenth.
func hollow(t testing.TB, db *bolt.DB, n int) {
	t.Helper()
	value := random(10_000)
	for i := 0; i < n; i += 500 {
		err := db.Update(context.Background(), alice, func(tx store.Tx) error {
			for j := i; j < min(i+500, n); j++ {
				if err := tx.PutDue(fmt.Appendf(nil, "%06d", j), value[:10_000-j%7], time.UnixMilli(int64(1+j))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < n; i += 500 {
		err := db.Update(context.Background(), alice, func(tx store.Tx) error {
			for j := i; j < min(i+500, n); j++ {
				if j%10 != 0 {
					if err := tx.Delete(fmt.Appendf(nil, "%06d", j)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompact: a file of which most is free becomes small, a view that is open
// goes on seeing what it saw, and everything is there afterwards.
func TestCompact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, bolt.Config{Dir: dir})
	hollow(t, db, 10_000)
	size := db.Stats().Shards[0]
	if size.Free < size.Bytes/2 {
		t.Fatalf("%+v is not half free: this test shows nothing", size)
	}
	var told []int64
	err := db.View(context.Background(), alice, func(tx store.Tx) error {
		done, err := db.Compact(context.Background(), 0, func(done, total int64) { told = append(told, done, total) })
		if err != nil {
			return err
		}
		if done.Before != size.Bytes || done.After > size.Bytes/3 || done.After != db.Stats().Shards[0].Bytes {
			t.Errorf("%+v, then %+v", done, db.Stats().Shards[0])
		}
		if err := put(db, alice, "000000", []byte("after")); err != nil {
			return err
		}
		n := 0
		err = tx.Scan(nil, nil, func(k, v []byte) error {
			if len(v) < 9_000 {
				t.Errorf("%s: the open view sees %d bytes", k, len(v))
			}
			n++
			return nil
		})
		if n != 1000 {
			t.Errorf("the open view sees %d records", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) == 0 || told[len(told)-2] > told[len(told)-1] {
		t.Errorf("progress: %v", told)
	}
	if v, err := get(db, alice, "000000"); string(v) != "after" || err != nil {
		t.Errorf("written after: %d bytes, %v", len(v), err)
	}
	if err := errors.Join(db.Check(context.Background()), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = open(t, bolt.Config{Dir: dir})
	defer db.Close()
	if v, err := get(db, alice, "009990"); !bytes.Equal(v, random(10_000)[:10_000-9990%7]) || err != nil {
		t.Errorf("opened again: %d bytes, %v", len(v), err)
	}
	if list, err := db.Due(context.Background(), time.UnixMilli(1<<40), 5000); len(list) != 999 || err != nil {
		t.Errorf("%d due, %v", len(list), err)
	}
	if err := db.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestCompactBounds: what it may note, a context that ends, a file that is not
// there, one that lies about from a kill.
func TestCompactBounds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left := filepath.Join(dir, "shard-00.db.compact")
	if err := os.WriteFile(left, []byte("half a copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := open(t, bolt.Config{Dir: dir, CopyMemory: 200})
	defer db.Close()
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a kill has left: %v", err)
	}
	hollow(t, db, 2000)
	compact := func(ctx context.Context, during func()) error {
		_, err := db.Compact(ctx, 0, func(done, total int64) {
			if during != nil {
				during()
			}
			during = nil
		})
		if left, _ := filepath.Glob(filepath.Join(dir, "*.compact")); len(left) > 0 {
			t.Errorf("left in the folder: %q", left)
		}
		return err
	}
	writes := func(n int) func() {
		return func() {
			for i := range n {
				if err := put(db, "s/b", fmt.Sprint(i), []byte("v")); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if err := compact(context.Background(), writes(2)); err != nil { // 2 notes of 69 bytes
		t.Errorf("within its memory: %v", err)
	}
	if err := compact(context.Background(), writes(3)); !errors.Is(err, bolt.ErrBusy) {
		t.Errorf("beyond its memory: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := compact(ctx, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends: %v", err)
	}
	err := compact(context.Background(), func() {
		if _, err := db.Compact(context.Background(), 0, nil); !errors.Is(err, bolt.ErrBusy) {
			t.Errorf("a second one at once: %v", err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := db.Compact(context.Background(), 1, nil); err == nil {
		t.Error("a file that is not there is compacted")
	}
	if v, err := get(db, "s/b", "2"); string(v) != "v" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
}

// TestCompactKeepsTheLock: who waits for the folder while its file is
// exchanged does not get hold of the one that has gone.
func TestCompactKeepsTheLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := open(t, bolt.Config{Dir: dir})
	waiting := make(chan error)
	go func() {
		other, err := bolt.Open(bolt.Config{Dir: dir, LockWait: 500 * time.Millisecond})
		if err == nil {
			other.Close()
		}
		waiting <- err
	}()
	for i := 0; ; i++ {
		select {
		case err := <-waiting:
			if err == nil || !strings.Contains(err.Error(), "another pli") || i == 0 {
				t.Errorf("after %d compactions: %v", i, err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			return
		default:
			if _, err := db.Compact(context.Background(), 0, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}
