package consent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/audit"
	"pli/consent"
	"pli/identity"
	"pli/notify"
	"pli/space"
	"pli/store"
	"pli/store/bolt"
	"pli/store/names"
	"pli/store/sealed"
)

var (
	doctor = identity.Actor{Kind: identity.Professional, ID: "10001234567", Name: "Dr Rose", Profession: "10", Address: "rose@medecin.pli.test"}
	nurse  = identity.Actor{Kind: identity.Professional, ID: "10007654321", Name: "Lis Brun", Profession: "60", Address: "brun@medecin.pli.test"}
)

// house is a gate on a real, sealed store.
type house struct {
	t    testing.TB
	db   store.DB
	now  time.Time
	gate *consent.Gate
	n    int
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return houseIn(t, t.TempDir())
}

func houseIn(t testing.TB, dir string) *house {
	t.Helper()
	db := sealedIn(t, dir)
	h := &house{t: t, db: db, now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	h.gate = consent.NewGate(consent.Config{DB: db, Now: h.clock, Outbox: notices{}})
	return h
}

// sealedIn opens a sealed store in dir, making it if there is none.
func sealedIn(t testing.TB, dir string) store.DB {
	t.Helper()
	master, err := sealed.LoadMaster(filepath.Join(dir, "master"))
	if errors.Is(err, os.ErrNotExist) {
		master, err = sealed.CreateMaster(filepath.Join(dir, "master"))
	}
	if err != nil {
		t.Fatal(err)
	}
	open := func(name string) store.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	keys, err := sealed.OpenKeys(open("keys"), master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return sealed.New(open("records"), keys, sealed.Config{})
}

func (h *house) clock() time.Time { return h.now }

// space makes a space in a state.
func (h *house) space(state space.State) space.Space {
	h.t.Helper()
	return h.spaceOf(state, "paule@courriel.test")
}

func (h *house) spaceOf(state space.State, contact string) space.Space {
	h.t.Helper()
	h.n++
	matricule := fmt.Sprintf("2790351215%05d", h.n)
	ins, err := identity.ParseINS(matricule, identity.OIDTestNIR, identity.INSOptions{AllowTest: true})
	if err != nil {
		h.t.Fatal(err)
	}
	address, err := identity.ParseAddress(matricule + "@patient.pli.test")
	if err != nil {
		h.t.Fatal(err)
	}
	spaces := space.NewService(space.Config{DB: h.db, Names: names.New(h.db, [32]byte{1}), Now: h.clock})
	home, err := spaces.Add(h.t.Context(), space.New{INS: ins, Address: address, Contact: contact, State: state})
	if err != nil {
		h.t.Fatal(err)
	}
	return home
}

// self is the holder of a space.
func self(home space.Space) identity.Actor {
	return identity.Actor{Kind: identity.Holder, ID: string(home.ID), Name: "Paule", Account: string(home.ID)}
}

// put is an act that writes a record.
func put(key, value string) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.Put([]byte(key), []byte(value)) }
}

// get returns what an act wrote, "" if nothing.
func (h *house) get(owner store.Owner, key string) (value string) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), owner, func(tx store.Tx) error {
		b, err := tx.Get([]byte(key))
		value = string(b)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		h.t.Fatal(err)
	}
	return value
}

// trace returns a space's lines, newest first, and checks the chain.
func (h *house) trace(owner store.Owner) (lines []audit.Entry) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), owner, func(tx store.Tx) (err error) {
		if _, err := audit.Verify(tx); err != nil {
			return err
		}
		lines, err = audit.List(tx, 0, audit.MaxPage)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return lines
}

// wantTrace checks a space's lines, newest first: "outcome act rule: reason".
func (h *house) wantTrace(owner store.Owner, want ...string) {
	h.t.Helper()
	var got []string
	for _, e := range h.trace(owner) {
		got = append(got, fmt.Sprintf("%s %s %s: %s", e.Outcome, e.Act, e.Rule, e.Reason))
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("the trace is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// notices is an outbox that keeps what it is given as records.
type notices struct{}

func (notices) Enqueue(tx store.Tx, key string, n notify.Notice, at time.Time) error {
	record := []byte("notice/" + key)
	if _, err := tx.Get(record); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	b, err := store.Encode(n)
	if err != nil {
		return err
	}
	return tx.PutDue(record, b, at)
}

// told returns the notices that wait in a space, by their keys.
func (h *house) told(owner store.Owner) map[string]notify.Notice {
	h.t.Helper()
	found := make(map[string]notify.Notice)
	err := h.db.View(h.t.Context(), owner, func(tx store.Tx) error {
		clear(found)
		return tx.Scan([]byte("notice/"), store.After([]byte("notice/")), func(key, value []byte) error {
			var n notify.Notice
			err := store.Decode(value, &n)
			found[strings.TrimPrefix(string(key), "notice/")] = n
			return err
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}
