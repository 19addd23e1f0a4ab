package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"pli/store"
)

// BenchDeliver measures durable transactions as a delivery makes them, from 64
// goroutines over 100 owners: one value of 10 kB, one of 1.5 kB, three small
// ones of which one replaces another's. It reports commits a second as seen by
// the callers.
func BenchDeliver(b *testing.B, db store.DB) {
	const writers, owners = 64, 100
	body, index, small := fill(1, 10_000), fill(2, 1_500), fill(3, 90)
	var next atomic.Uint64
	deliver := func() bool {
		n := next.Add(1)
		if n > uint64(b.N) {
			return false
		}
		owner := store.Owner(fmt.Sprintf("s/%026d", n%owners))
		id := func(prefix string) []byte { return binary.BigEndian.AppendUint64([]byte(prefix), n) }
		err := db.Update(context.Background(), owner, func(tx store.Tx) error {
			_, err := tx.Get([]byte("box"))
			if errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			return errors.Join(err,
				tx.Put(id("body/"), body), tx.Put(id("index/"), index), tx.Put(id("uid/"), small),
				tx.Put(id("audit/"), small), tx.Put([]byte("box"), small))
		})
		if err != nil {
			b.Error(err)
		}
		return err == nil
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for deliver() {
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}
