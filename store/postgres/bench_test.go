package postgres_test

import (
	"testing"

	"pli/store/postgres"
	"pli/store/storetest"
)

func BenchmarkDeliver(b *testing.B) {
	db := open(b, postgres.Config{})
	defer db.Close()
	storetest.BenchDeliver(b, db)
	b.ReportMetric(float64(db.Stats().Conns), "conns")
}
