package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"pli/internal/engines"
	"pli/store"
	"pli/store/postgres"
	"pli/store/sealed"
	"pli/store/storetest"
)

func TestMain(m *testing.M) { engines.Main(m) }

const alice = store.Owner("s/alice")

// open opens a store in a database of its own, unless cfg names one.
func open(t testing.TB, cfg postgres.Config) *postgres.DB {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = engines.Postgres(t)
	}
	db, err := postgres.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

var schemas atomic.Uint64

// schema returns a name that no other test uses.
func schema() string { return fmt.Sprint("t", schemas.Add(1)) }

func TestStore(t *testing.T) {
	t.Parallel()
	url := engines.Postgres(t)
	storetest.Run(t, func(t testing.TB) store.DB { return open(t, postgres.Config{URL: url, Schema: schema()}) })
}

// serializable has a URL's sessions run at the strictest level of isolation, as
// databases do that know no other.
func serializable(url string) string {
	return url + "&options=-c%20default_transaction_isolation%3Dserializable"
}

// whole closes the key store with the sealed one.
type whole struct {
	store.DB
	keys store.DB
}

func (w whole) Close() error { return errors.Join(w.DB.Close(), w.keys.Close()) }

func (w whole) Check(ctx context.Context) error { return w.DB.(store.Checker).Check(ctx) }

// openSealed opens a sealed store whose records and data keys lie in two
// schemas of one database.
func openSealed(t testing.TB, url, name string) store.DB {
	t.Helper()
	master, err := sealed.CreateMaster(filepath.Join(t.TempDir(), "master"))
	if err != nil {
		t.Fatal(err)
	}
	keysDB := open(t, postgres.Config{URL: url, Schema: name + "_keys"})
	keys, err := sealed.OpenKeys(keysDB, master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return whole{sealed.New(open(t, postgres.Config{URL: url, Schema: name}), keys, sealed.Config{}), keysDB}
}

// TestStoreSealed also runs at another level of isolation.
func TestStoreSealed(t *testing.T) {
	t.Parallel()
	url := serializable(engines.Postgres(t))
	storetest.Run(t, func(t testing.TB) store.DB { return openSealed(t, url, schema()) })
}
