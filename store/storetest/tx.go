package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pli/store"
)

func readOnly(t *testing.T, db store.DB) {
	put(t, db, alice, "a", "1")
	view(t, db, alice, func(tx store.Tx) error {
		wantErr(t, tx.Put([]byte("a"), []byte("2")), store.ErrReadOnly)
		wantErr(t, tx.PutDue([]byte("a"), []byte("2"), time.Unix(1, 0)), store.ErrReadOnly)
		wantErr(t, tx.Delete([]byte("a")), store.ErrReadOnly)
		tx.AfterCommit(func() { t.Error("a view has run what waits for a commit") })
		return nil
	})
	want(t, db, alice, "a", "1")
	mine := errors.New("mine")
	if err := db.View(context.Background(), alice, func(store.Tx) error { return mine }); err != mine {
		t.Errorf("View returned %v, not its function's error", err)
	}
}

// oneState: a view that has begun does not see later commits.
func oneState(t *testing.T, db store.DB) {
	put(t, db, alice, "a", "before")
	put(t, db, alice, "large", string(fill(1, 30000)))
	view(t, db, alice, func(tx store.Tx) error {
		if _, err := tx.Get([]byte("a")); err != nil {
			return err
		}
		put(t, db, alice, "a", "after")
		put(t, db, alice, "b", "after")
		put(t, db, alice, "large", string(fill(2, 30000)))
		if v, err := tx.Get([]byte("a")); err != nil || string(v) != "before" {
			t.Errorf("an open view sees %q, %v", v, err)
		}
		if v, err := tx.Get([]byte("large")); err != nil || string(v) != string(fill(1, 30000)) {
			t.Errorf("an open view sees a later large value: %v", err)
		}
		_, err := tx.Get([]byte("b"))
		wantErr(t, err, store.ErrNotFound)
		return nil
	})
	want(t, db, alice, "a", "after")
}

func ownWrites(t *testing.T, db store.DB) {
	put(t, db, alice, "old", "1")
	update(t, db, alice, func(tx store.Tx) error {
		if err := errors.Join(tx.Put([]byte("new"), []byte("2")), tx.Delete([]byte("old"))); err != nil {
			return err
		}
		if v, err := tx.Get([]byte("new")); err != nil || string(v) != "2" {
			return fmt.Errorf("own write: %q, %v", v, err)
		}
		if _, err := tx.Get([]byte("old")); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("own delete: %v", err)
		}
		return nil
	})
	if got := fmt.Sprint(all(t, db, alice)); got != "[new 2]" {
		t.Errorf("left: %s", got)
	}
}

// ended: a Tx does not outlive its function.
func ended(t *testing.T, db store.DB) {
	var leaked []store.Tx
	keep := func(tx store.Tx) error { leaked = append(leaked, tx); return nil }
	update(t, db, alice, keep)
	view(t, db, alice, keep)
	for _, tx := range leaked {
		if _, err := tx.Get([]byte("a")); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get after the end: %v", err)
		}
		if tx.Put([]byte("a"), nil) == nil || tx.Delete([]byte("a")) == nil {
			t.Error("a write after the end is accepted")
		}
		nothing := func(k, v []byte) error { return nil }
		if tx.Scan(nil, nil, nothing) == nil || tx.ScanBack(nil, nil, nothing) == nil {
			t.Error("a scan after the end is accepted")
		}
	}
	wantNone(t, db, alice, "a")
}

func rollback(t *testing.T, db store.DB) {
	large, other := string(fill(1, 20000)), fill(2, 20000)
	put(t, db, alice, "kept", "1")
	put(t, db, alice, "large", large)
	put(t, db, alice, "gone?", "2")
	mine := errors.New("mine")
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		for i := range 100 {
			if err := tx.Put(fmt.Appendf(nil, "new/%03d", i), fill(i, i*40)); err != nil {
				return err
			}
		}
		return errors.Join(
			tx.Put([]byte("kept"), other), tx.Put([]byte("kept"), []byte("3")),
			tx.Put([]byte("large"), []byte("small now")), tx.Put([]byte("large"), other),
			tx.Delete([]byte("gone?")), tx.Put([]byte("gone?"), other), tx.Delete([]byte("gone?")),
			mine)
	})
	wantErr(t, err, mine)
	if got := fmt.Sprint(all(t, db, alice)); got != fmt.Sprint([]string{"gone?", "2", "kept", "1", "large", large}) {
		t.Errorf("left: %s", brief(got))
	}
	if err := db.Update(context.Background(), bob, func(tx store.Tx) error { return mine }); err != mine {
		t.Errorf("got %v, want the function's own error as it is", err)
	}
}

// rollbackAmong: one transaction's failure is nobody else's.
func rollbackAmong(t *testing.T, db store.DB) {
	mine := errors.New("mine")
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 20 {
				fail := (w+i)%3 == 0
				err := db.Update(context.Background(), alice, func(tx store.Tx) error {
					key := fmt.Appendf(nil, "%02d/%02d", w, i)
					if err := errors.Join(tx.Put(key, fill(i, 200*i)), bump(tx, "sum")); err != nil {
						return err
					}
					if fail {
						return mine
					}
					return nil
				})
				if fail != errors.Is(err, mine) || (err != nil) != fail {
					t.Errorf("writer %d, round %d: %v", w, i, err)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for w := range 16 {
		for i := range 20 {
			key := fmt.Sprintf("%02d/%02d", w, i)
			if (w+i)%3 == 0 {
				wantNone(t, db, alice, key)
				continue
			}
			n++
			want(t, db, alice, key, string(fill(i, 200*i)))
		}
	}
	want(t, db, alice, "sum", fmt.Sprint(n))
}

// bump adds one to a number kept as text.
func bump(tx store.Tx, key string) error {
	var n int
	v, err := tx.Get([]byte(key))
	if err == nil {
		_, err = fmt.Sscan(string(v), &n)
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return errors.Join(err, tx.Put([]byte(key), fmt.Append(nil, n+1)))
}

func panics(t *testing.T, db store.DB) {
	put(t, db, alice, "a", "1")
	for range 3 {
		err := db.Update(context.Background(), alice, func(tx store.Tx) error {
			if err := tx.Put([]byte("a"), []byte("2")); err != nil {
				return err
			}
			panic("boom")
		})
		if err == nil {
			t.Error("Update returned nil after a panic")
		}
	}
	want(t, db, alice, "a", "1")
	put(t, db, alice, "a", "3") // and the store goes on
	want(t, db, alice, "a", "3")
}

// runsAgain: a function that runs twice, as engines may have it run, does the
// same as one that runs once.
func runsAgain(t *testing.T, db store.DB) {
	runs := 0
	fn := func(tx store.Tx) error {
		runs++
		return errors.Join(bump(tx, "n"), tx.Put([]byte("state"), fill(7, 2000)))
	}
	failing := errors.New("the first run is given up")
	err := db.Update(context.Background(), alice, func(tx store.Tx) error { return errors.Join(fn(tx), failing) })
	wantErr(t, err, failing)
	update(t, db, alice, fn)
	if runs < 2 {
		t.Errorf("ran %d times", runs)
	}
	want(t, db, alice, "n", "1")
	want(t, db, alice, "state", string(fill(7, 2000)))
}

func ctxEnded(t *testing.T, db store.DB) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := db.Update(ctx, alice, func(tx store.Tx) error { return tx.Put([]byte("a"), nil) })
	wantErr(t, err, context.Canceled)
	wantErr(t, db.View(ctx, alice, func(store.Tx) error { return nil }), context.Canceled)
	wantNone(t, db, alice, "a")
}
