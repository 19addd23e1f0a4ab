package dir_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"pli/store/blob/dir"
)

// BenchmarkCommit measures durable blobs of 200 kB from 64 goroutines.
func BenchmarkCommit(b *testing.B) {
	s, err := dir.Open(b.TempDir(), dir.Config{})
	if err != nil {
		b.Fatal(err)
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), 200_000/16)
	b.SetBytes(int64(len(content)))
	var next atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				w, err := s.Create(b.Context())
				if err != nil {
					b.Error(err)
					return
				}
				w.Write(content)
				if _, err := w.Commit(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blobs/s")
}
