package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pli/store"
)

// model is what a store should hold: owner, key, value and due time (ms; 0 for none).
type model map[store.Owner]map[string]modelRecord

type modelRecord struct {
	seed, size int
	due        int64
}

func (r modelRecord) value() []byte { return fill(r.seed, r.size) }

// againstModel runs random transactions on a store and on plain maps, a third
// of them failing, and compares both after each.
func againstModel(t *testing.T, db store.DB) {
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		m := model{}
		for i := range 60 {
			owner := store.Owner(fmt.Sprintf("s/%d-%d", seed, rnd.IntN(3)))
			if m[owner] == nil {
				m[owner] = map[string]modelRecord{}
			}
			m.transact(t, db, owner, rnd)
			m.compare(t, db, owner)
			if t.Failed() {
				t.Fatalf("seed %d, transaction %d", seed, i)
			}
		}
		m.compareDue(t, db, seed)
	}
}

// transact runs one random transaction on both.
func (m model) transact(t *testing.T, db store.DB, owner store.Owner, rnd *rand.Rand) {
	fail := rnd.IntN(3) == 0
	steps, script := 1+rnd.IntN(120), rnd.Uint64()
	giveUp := errors.New("given up")
	var next map[string]modelRecord
	err := db.Update(context.Background(), owner, func(tx store.Tx) error {
		next = maps.Clone(m[owner])
		r := rand.New(rand.NewPCG(script, 0)) // the same steps if it runs again
		for range steps {
			if err := modelStep(t, tx, next, r); err != nil {
				return err
			}
		}
		if fail {
			return giveUp
		}
		return nil
	})
	switch {
	case fail && !errors.Is(err, giveUp), !fail && err != nil:
		t.Errorf("Update: %v", err)
	case !fail:
		m[owner] = next
	}
}

// modelStep does one random thing to both.
func modelStep(t *testing.T, tx store.Tx, m map[string]modelRecord, r *rand.Rand) error {
	key := fmt.Sprintf("%03d", r.IntN(300))
	rec := modelRecord{seed: r.IntN(1 << 20), size: []int{0, 20, 900, 1100, 9000}[r.IntN(5)]}
	switch r.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		m[key] = rec
		return tx.Put([]byte(key), rec.value())
	case 6, 7, 8:
		rec.due = 1 + r.Int64N(1000)
		m[key] = rec
		return tx.PutDue([]byte(key), rec.value(), time.UnixMilli(rec.due))
	case 9, 10, 11:
		delete(m, key)
		return tx.Delete([]byte(key))
	case 12: // a whole range goes
		d := directions[r.IntN(2)]
		to := fmt.Sprintf("%03d", r.IntN(300))
		return d.scan(tx, []byte(key), []byte(to), func(k, v []byte) error {
			delete(m, string(k))
			return tx.Delete(k)
		})
	case 13:
		return modelScan(t, tx, m, directions[r.IntN(2)])
	default:
		v, err := tx.Get([]byte(key))
		expected, ok := m[key]
		if ok != (err == nil) || ok && string(v) != string(expected.value()) {
			t.Errorf("Get %s: %d bytes, %v; expected %+v", key, len(v), err, expected)
		}
		return nil
	}
}

// modelScan compares all records, met in one direction.
func modelScan(t *testing.T, tx store.Tx, m map[string]modelRecord, d direction) error {
	expected := d.turned(slices.Sorted(maps.Keys(m)))
	i := 0
	err := d.scan(tx, nil, nil, func(k, v []byte) error {
		if i >= len(expected) || expected[i] != string(k) || string(v) != string(m[string(k)].value()) {
			t.Errorf("%s: record %d is %q (%d bytes)", d.name, i, k, len(v))
			return store.Stop
		}
		i++
		return nil
	})
	if i != len(expected) {
		t.Errorf("%s met %d of %d records", d.name, i, len(expected))
	}
	return err
}

func (m model) compare(t *testing.T, db store.DB, owner store.Owner) {
	for _, d := range directions {
		view(t, db, owner, func(tx store.Tx) error { return modelScan(t, tx, m[owner], d) })
	}
}

// compareDue compares the index of due times.
func (m model) compareDue(t *testing.T, db store.DB, seed uint64) {
	expected := map[string]int64{}
	for owner, records := range m {
		for k, r := range records {
			if r.due != 0 {
				expected[string(owner)+" "+k] = r.due
			}
		}
	}
	list, err := db.Due(context.Background(), time.UnixMilli(2000), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i, d := range list {
		if i > 0 && d.At.Before(list[i-1].At) {
			t.Errorf("due times out of order")
		}
		if ms, ok := expected[string(d.Owner)+" "+string(d.Key)]; ok && ms == d.At.UnixMilli() {
			found++
		} else if m[d.Owner] != nil {
			t.Errorf("%s %s is not due at %d", d.Owner, d.Key, d.At.UnixMilli())
		}
	}
	if found != len(expected) {
		t.Errorf("seed %d: %d of %d due times found", seed, found, len(expected))
	}
}
