package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"pli/store"
)

// crowd is a store each of whose updates runs in company: it and two that
// succeed queue behind one that waits, so that an engine which commits what
// has queued together does so with all three. A failing update that runs alone
// proves little: such an engine drops the whole commit.
type crowd struct{ store.DB }

func (c crowd) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	wg.Go(func() {
		c.DB.Update(context.Background(), "t/gate", func(store.Tx) error {
			once.Do(func() { close(entered) })
			<-leave
			return nil
		})
	})
	<-entered
	company := func(owner store.Owner) {
		c.DB.Update(context.Background(), owner, func(tx store.Tx) error { return bump(tx, "n") })
	}
	done := make(chan error, 1)
	wg.Go(func() { company("t/before") })
	time.Sleep(100 * time.Microsecond)
	wg.Go(func() { done <- c.DB.Update(ctx, owner, fn) })
	time.Sleep(100 * time.Microsecond)
	wg.Go(func() { company("t/after") })
	time.Sleep(100 * time.Microsecond)
	close(leave)
	return <-done
}

// crowded runs a test on updates in company.
func crowded(test func(*testing.T, store.DB)) func(*testing.T, store.DB) {
	return func(t *testing.T, db store.DB) { test(t, crowd{db}) }
}
