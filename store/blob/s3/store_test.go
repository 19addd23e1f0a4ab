package s3_test

import (
	"testing"

	"pli/internal/engines"
	"pli/store/blob"
	"pli/store/blob/blobtest"
	"pli/store/blob/s3"
)

func open(t testing.TB, url string, limits s3.Limits) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), s3.Config{URL: url, Spool: t.TempDir(), Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t testing.TB) blob.Store { return open(t, engines.S3(t), s3.Limits{}) })
}
