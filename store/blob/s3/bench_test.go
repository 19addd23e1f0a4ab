package s3_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"pli/internal/engines"
	"pli/store/blob"
	"pli/store/blob/dir"
	"pli/store/blob/s3"
)

// BenchmarkBlobs writes and reads whole blobs one after the other, on an S3
// server of this machine and, beside it, on files.
func BenchmarkBlobs(b *testing.B) {
	files, err := dir.Open(b.TempDir(), dir.Config{})
	if err != nil {
		b.Fatal(err)
	}
	bucket, err := s3.Open(b.Context(), s3.Config{URL: engines.S3(b), Spool: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{300_000, 5_000_000} {
		for name, s := range map[string]blob.Store{"dir": files, "s3": bucket} {
			data := content(1, size)
			var id blob.ID
			b.Run(fmt.Sprintf("put/%d/%s", size, name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					w, err := s.Create(context.Background())
					if err != nil {
						b.Fatal(err)
					}
					w.Write(data)
					if id, err = w.Commit(); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("get/%d/%s", size, name), func(b *testing.B) {
				b.SetBytes(int64(size))
				piece := make([]byte, 64<<10)
				for b.Loop() {
					r, err := s.Open(context.Background(), id)
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{io.NewSectionReader(r, 0, r.Size())}, piece)
					if r.Close(); err != nil || n != int64(size) {
						b.Fatal(n, err)
					}
				}
			})
		}
	}
}
