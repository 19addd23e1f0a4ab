package backup_test

import (
	"context"
	"fmt"
	"testing"

	"pli/backup"
	"pli/store"
)

// stock is about 100 MB of records and 100 MB of blobs.
func stock(b *testing.B) *house {
	h := newHouse(b)
	for i := range 20 {
		var sizes []int
		for range 300 {
			sizes = append(sizes, 600, 15_000, 400)
		}
		h.put(store.Owner(fmt.Sprintf("s/%03d", i)), sizes...)
	}
	for range 100 {
		h.blob(1 << 20)
	}
	return h
}

// BenchmarkBackup copies an instance to an empty folder.
func BenchmarkBackup(b *testing.B) {
	h := stock(b)
	for b.Loop() {
		b.StopTimer()
		var err error
		if h.repo, err = backup.OpenFolder(b.TempDir(), true); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		r := h.run()
		b.SetBytes(r.RecordBytes + r.BlobBytes)
	}
}

// BenchmarkUnchanged copies an instance of which all is there already.
func BenchmarkUnchanged(b *testing.B) {
	h := stock(b)
	h.run()
	for b.Loop() {
		r := h.run()
		b.SetBytes(r.RecordBytes + r.BlobBytes)
	}
}

// BenchmarkRestore brings an instance back from a folder.
func BenchmarkRestore(b *testing.B) {
	h := stock(b)
	r := h.run()
	b.SetBytes(r.RecordBytes + r.BlobBytes)
	for b.Loop() {
		b.StopTimer()
		to, o := newInstance(b), h.restoring()
		b.StartTimer()
		if _, err := h.open("").Restore(context.Background(), to, o); err != nil {
			b.Fatal(err)
		}
	}
}
