package sealed_test

import (
	"context"
	"errors"
	"testing"

	"pli/store"
	"pli/store/storetest"
)

// whole closes the key store with the sealed one.
type whole struct {
	store.DB
	h *house
}

func (w whole) Close() error { return errors.Join(w.DB.Close(), w.h.keysDB.Close()) }

func (w whole) Check(ctx context.Context) error { return w.DB.(store.Checker).Check(ctx) }

// TestCrash also proves that a data key is durable before what it seals: a
// record whose key is missing is damage.
func TestCrash(t *testing.T) {
	t.Parallel()
	storetest.Crash(t, openWhole)
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	storetest.Outbox(t, openWhole)
}

func openWhole(t testing.TB, dir string) store.DB {
	h := openHouse(t, dir)
	return whole{h.db, h}
}
