package sealed_test

import (
	"fmt"
	"io"
	"testing"

	"pli/store"
	"pli/store/sealed"
	"pli/store/storetest"
)

func BenchmarkDeliver(b *testing.B) { storetest.BenchDeliver(b, newHouse(b).db) }

// BenchmarkKey asks for cached keys from all processors.
func BenchmarkKey(b *testing.B) {
	h := newHouse(b)
	var owners []store.Owner
	for i := range 100 {
		owners = append(owners, store.Owner(fmt.Sprint("s/", i)))
		if _, err := h.keys.Key(b.Context(), owners[i], "data", "role", true); err != nil {
			b.Fatal(err)
		}
	}
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := h.keys.Key(b.Context(), owners[i%100], "data", "role", true); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkStreamWrite(b *testing.B) {
	p := text(5 << 20)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		w := sealed.NewWriter(io.Discard, streamKey, "")
		for off := 0; off < len(p); off += 32 << 10 {
			w.Write(p[off : off+32<<10])
		}
		w.Close()
	}
}
