package bolt_test

import (
	"testing"

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
