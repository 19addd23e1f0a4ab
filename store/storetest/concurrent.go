package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pli/store"
)

// twoWriters: transactions on one owner happen one after the other.
func twoWriters(t *testing.T, db store.DB) {
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 100 {
				if err := db.Update(context.Background(), alice, func(tx store.Tx) error { return bump(tx, "n") }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want(t, db, alice, "n", "200")
}

// manyOwners writes and reads many owners at once; each reader sees whole
// transactions only.
func manyOwners(t *testing.T, db store.DB) {
	const owners, rounds = 24, 12
	ctx := context.Background()
	var wg sync.WaitGroup
	for o := range owners {
		owner := store.Owner(fmt.Sprintf("s/%d", o))
		wg.Go(func() {
			for i := range rounds {
				err := db.Update(ctx, owner, func(tx store.Tx) error {
					return errors.Join(tx.Put([]byte("left"), fill(o*100+i, 50)), tx.Put([]byte("right"), fill(o*100+i, 3000)))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				err := db.View(ctx, owner, func(tx store.Tx) error {
					left, err := tx.Get([]byte("left"))
					if errors.Is(err, store.ErrNotFound) {
						return nil
					}
					right, err2 := tx.Get([]byte("right"))
					if err == nil && err2 == nil && string(left) != string(right[:50]) {
						t.Errorf("%s: half a transaction is seen", owner)
					}
					return errors.Join(err, err2)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for o := range owners {
		want(t, db, store.Owner(fmt.Sprintf("s/%d", o)), "right", string(fill(o*100+rounds-1, 3000)))
	}
}

// afterCommit: run once, after the commit, before Update returns; not at all
// for what is rolled back.
func afterCommit(t *testing.T, db store.DB) {
	var ran []string
	update(t, db, alice, func(tx store.Tx) error {
		tx.AfterCommit(func() {
			v, ok := fetch(t, db, alice, "a") // outside all locks
			ran = append(ran, fmt.Sprint("first sees ", v, ok))
		})
		err := tx.Put([]byte("a"), []byte("1"))
		tx.AfterCommit(func() { ran = append(ran, "second") })
		return err
	})
	if !slices.Equal(ran, []string{"first sees 1true", "second"}) {
		t.Errorf("ran %q", ran)
	}
	mine := errors.New("mine")
	wantErr(t, db.Update(context.Background(), alice, func(tx store.Tx) error {
		tx.AfterCommit(func() { t.Error("run after a rollback") })
		return mine
	}), mine)
	ran = nil
	update(t, db, alice, func(tx store.Tx) error { // also without a write
		tx.AfterCommit(func() { ran = append(ran, "third") })
		return nil
	})
	if !slices.Equal(ran, []string{"third"}) {
		t.Errorf("ran %q", ran)
	}
}

// afterCommitOrder: for one owner, in the order of the commits.
func afterCommitOrder(t *testing.T, db store.DB) {
	var mu sync.Mutex
	var order []string
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				err := db.Update(context.Background(), alice, func(tx store.Tx) error {
					err := bump(tx, "n")
					v, err2 := tx.Get([]byte("n"))
					n := string(v)
					tx.AfterCommit(func() {
						mu.Lock()
						defer mu.Unlock()
						order = append(order, n)
					})
					return errors.Join(err, err2)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(order) != 200 {
		t.Fatalf("%d ran, want 200", len(order))
	}
	for i, n := range order {
		if n != fmt.Sprint(i+1) {
			t.Fatalf("commit %d's function ran at place %d", i+1, i)
		}
	}
}

// closed: Close waits for what runs; afterwards all is refused.
func closed(t *testing.T, db store.DB) {
	put(t, db, alice, "a", "1")
	inside, leave, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		db.View(context.Background(), alice, func(tx store.Tx) error {
			close(inside)
			<-leave
			if v, err := tx.Get([]byte("a")); err != nil || string(v) != "1" {
				t.Errorf("a view that Close must wait for: %q, %v", v, err)
			}
			return nil
		})
	}()
	<-inside
	shut := make(chan error)
	go func() { shut <- db.Close() }()
	select {
	case err := <-shut:
		t.Errorf("Close did not wait for a running view: %v", err)
	case <-time.After(20 * time.Millisecond):
		close(leave)
		if err := <-shut; err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	<-done
	nothing := func(store.Tx) error { return nil }
	wantErr(t, db.View(context.Background(), alice, nothing), store.ErrClosed)
	wantErr(t, db.Update(context.Background(), alice, nothing), store.ErrClosed)
	_, err := db.Due(context.Background(), noon, 1)
	wantErr(t, err, store.ErrClosed)
	_, err = db.Owners(context.Background(), "", 1)
	wantErr(t, err, store.ErrClosed)
	if err := db.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}
