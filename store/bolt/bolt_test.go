package bolt_test

import (
	"testing"

	"pli/store"
	"pli/store/bolt"
	"pli/store/storetest"
)

// open opens a store in a folder of the test's own.
func open(t testing.TB, cfg bolt.Config) *bolt.DB {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	db, err := bolt.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) store.DB { return open(t, bolt.Config{}) })
}

func TestStoreShards(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) store.DB { return open(t, bolt.Config{Shards: 4}) })
}

// TestStoreSmallBatches commits after every few writes.
func TestStoreSmallBatches(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) store.DB { return open(t, bolt.Config{BatchBytes: 4096, MapBytes: 1 << 20}) })
}

func TestCrash(t *testing.T) {
	t.Parallel()
	storetest.CrashOften(t, func(t testing.TB, dir string) store.DB { return open(t, bolt.Config{Dir: dir}) })
}

func TestCrashShards(t *testing.T) {
	t.Parallel()
	storetest.Crash(t, func(t testing.TB, dir string) store.DB {
		return open(t, bolt.Config{Dir: dir, Shards: 3, BatchBytes: 100_000})
	})
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	storetest.Outbox(t, func(t testing.TB, dir string) store.DB { return open(t, bolt.Config{Dir: dir, Shards: 2}) })
}
