package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"pli/store"
)

// Crash kills a process that writes to a store, again and again, and checks
// each time that what was ever acknowledged is there, that each transaction is
// there whole or not at all, and that the store is sound. open opens the store
// in a folder, or makes it. See Kill for where to call it.
func Crash(t *testing.T, open func(t testing.TB, dir string) store.DB) {
	Kill(t, crashWriting(t, open), crashChecking(t, open))
}

// CrashOften is Crash as often as KillOften kills: for an engine that keeps
// all in the folder.
func CrashOften(t *testing.T, open func(t testing.TB, dir string) store.DB) {
	KillOften(t, crashWriting(t, open), crashChecking(t, open))
}

func crashWriting(t *testing.T, open func(t testing.TB, dir string) store.DB) func(dir string, ack func(string)) {
	return func(dir string, ack func(string)) {
		db := open(t, dir)
		var wg sync.WaitGroup
		for w := range crashWriters {
			wg.Go(func() { crashWrite(t, db, w, ack) })
		}
		wg.Wait()
	}
}

func crashChecking(t *testing.T, open func(t testing.TB, dir string) store.DB) func(dir string, acks []string) {
	var mu sync.Mutex
	folders := map[string]map[store.Owner]uint64{} // what was ever acknowledged in each
	return func(dir string, acks []string) {
		mu.Lock()
		acked := folders[dir]
		if acked == nil {
			acked = map[store.Owner]uint64{}
			folders[dir] = acked
		}
		mu.Unlock()
		db := open(t, dir)
		defer db.Close()
		for _, line := range acks {
			var owner store.Owner
			var n uint64
			if _, err := fmt.Sscan(line, &owner, &n); err == nil { // the last line may be cut
				acked[owner] = max(acked[owner], n)
			}
		}
		crashCheck(t, db, maps.Clone(acked))
		check(t, db)
	}
}

const (
	crashWriters = 8
	crashKept    = 6  // the last so many records of an owner are kept
	crashTurn    = 40 // transactions until a writer takes a new owner
)

// crashValue is the value of an owner's nth record.
func crashValue(owner store.Owner, n uint64) []byte {
	seed := int(n)
	for _, c := range []byte(owner) {
		seed = seed*31 + int(c)
	}
	return fill(seed, []int{30, 12_000, 0, 1_100, 200_000, 1_023}[n%6])
}

func crashKey(n uint64) []byte { return fmt.Appendf(nil, "rec/%08d", n) }

// crashWrite goes on where the writer was killed, and acknowledges each commit.
func crashWrite(t *testing.T, db store.DB, w int, ack func(string)) {
	for turn := 0; ; turn++ {
		owner := store.Owner(fmt.Sprintf("s/w%d-%d", w, turn))
		for {
			var n uint64
			err := db.Update(context.Background(), owner, func(tx store.Tx) (err error) {
				n, err = crashStep(tx)
				return err
			})
			if err != nil {
				t.Errorf("%s: %v", owner, err)
				return
			}
			if n == 0 {
				break // this owner has had its turn
			}
			ack(fmt.Sprintf("%s %d", owner, n))
		}
	}
}

// crashStep writes the next record, forgets an old one and moves the due time.
func crashStep(tx store.Tx) (uint64, error) {
	n, err := crashHead(tx)
	if err != nil || n == crashTurn {
		return 0, err
	}
	n++
	err = errors.Join(
		tx.Put(crashKey(n), crashValue(tx.Owner(), n)),
		tx.PutDue([]byte("due"), crashValue(tx.Owner(), n), time.UnixMilli(int64(n))),
		crashPutHead(tx, n))
	if n > crashKept {
		err = errors.Join(err, tx.Delete(crashKey(n-crashKept)))
	}
	return n, err
}

// crashHead returns how many steps an owner has come.
func crashHead(tx store.Tx) (uint64, error) {
	v, err := tx.Get([]byte("head"))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

func crashPutHead(tx store.Tx, n uint64) error {
	return tx.Put([]byte("head"), binary.BigEndian.AppendUint64(nil, n))
}

// crashCheck looks at every owner; acked says how far each had come for sure.
func crashCheck(t *testing.T, db store.DB, acked map[store.Owner]uint64) {
	t.Helper()
	due := map[store.Owner]int64{}
	list, err := db.Due(context.Background(), time.UnixMilli(1<<40), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		due[d.Owner] = d.At.UnixMilli()
	}
	heads := 0
	for after := store.Owner(""); ; {
		page, err := db.Owners(context.Background(), after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, owner := range page {
			after = owner
			heads++
			view(t, db, owner, func(tx store.Tx) error { return crashCheckOwner(t, tx, acked[owner], due[owner]) })
			delete(acked, owner)
		}
	}
	if len(acked) > 0 {
		t.Errorf("owners that were acknowledged are gone: %v", acked)
	}
	if heads != len(due) {
		t.Errorf("%d owners, %d due times", heads, len(due))
	}
}

// crashCheckOwner compares an owner's records with what its head says.
func crashCheckOwner(t *testing.T, tx store.Tx, acked uint64, due int64) error {
	head, err := crashHead(tx)
	if err != nil {
		return err
	}
	if head < acked || due != int64(head) {
		t.Errorf("%s stands at %d, due at %d; acknowledged %d", tx.Owner(), head, due, acked)
	}
	next := uint64(1)
	if head > crashKept {
		next = head - crashKept + 1
	}
	err = tx.Scan([]byte("rec/"), store.After([]byte("rec/")), func(k, v []byte) error {
		if string(k) != string(crashKey(next)) || string(v) != string(crashValue(tx.Owner(), next)) {
			t.Errorf("%s at %d: record %s of %d bytes in place of %d", tx.Owner(), head, k, len(v), next)
		}
		next++
		return nil
	})
	if next != head+1 {
		t.Errorf("%s at %d has records up to %d", tx.Owner(), head, next-1)
	}
	return err
}
