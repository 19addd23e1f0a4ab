package bolt_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pli/store"
	"pli/store/bolt"
	"pli/store/storetest"
)

func BenchmarkDeliver(b *testing.B) {
	db := open(b, bolt.Config{})
	defer db.Close()
	storetest.BenchDeliver(b, db)
	if s := db.Stats(); s.Commits > 0 {
		b.ReportMetric(float64(s.Transactions)/float64(s.Commits), "tx/commit")
	}
}

// BenchmarkCompact compacts a file of which nine tenths are free, of a
// gigabyte, while 16 writers go on. It reports how long a compaction takes and
// how long it holds writers up at the longest, beside the longest wait that
// any of them had for a commit while it ran.
func BenchmarkCompact(b *testing.B) {
	db := open(b, bolt.Config{})
	defer db.Close()
	hollow(b, db, 100_000)
	size := db.Stats().Shards[0]
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var longest, commits atomic.Int64
	for w := range 16 {
		owner, value := store.Owner(fmt.Sprintf("s/writer-%d", w)), random(2000)
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				began := time.Now()
				if err := put(db, owner, fmt.Sprint(i%1000), value); err != nil {
					b.Error(err)
				}
				commits.Add(1)
				if took := int64(time.Since(began)); took > longest.Load() {
					longest.Store(took)
				}
			}
		})
	}
	time.Sleep(time.Second)
	before, rate := longest.Load(), commits.Load()
	longest.Store(0)
	commits.Store(0)
	var pause time.Duration
	again := 0
	b.ResetTimer()
	for range b.N {
		done, err := db.Compact(context.Background(), 0, nil)
		if err != nil {
			b.Fatal(err)
		}
		pause = max(pause, done.Pause)
		again += done.Again
	}
	b.StopTimer()
	b.ReportMetric(float64(longest.Load())/1e6, "ms-wait")
	b.ReportMetric(float64(commits.Load())/b.Elapsed().Seconds(), "commits/s")
	stop()
	wg.Wait()
	b.ReportMetric(float64(before)/1e6, "ms-wait-before")
	b.ReportMetric(float64(rate), "commits/s-before")
	b.ReportMetric(float64(pause)/1e6, "ms-pause")
	b.ReportMetric(float64(again)/float64(b.N), "copied-again")
	b.ReportMetric(float64(size.Bytes)/1e6, "MB-file")
	b.ReportMetric(float64(size.Bytes-size.Free)/1e6, "MB-live")
}
