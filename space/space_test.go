package space_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pli/identity"
	"pli/internal/errs"
	"pli/space"
	"pli/store"
	"pli/store/bolt"
	"pli/store/names"
	"pli/store/sealed"
)

// house is a Service on a real store, with a clock that tests move.
type house struct {
	t      testing.TB
	db     store.DB
	spaces *space.Service
	now    time.Time
}

func newHouse(t testing.TB) *house {
	t.Helper()
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h := &house{t: t, db: db, now: time.Date(2026, 3, 2, 12, 0, 0, 987654321, time.UTC)}
	h.spaces = h.service(db)
	return h
}

// service returns a Service whose spaces lie in db.
func (h *house) service(db store.DB) *space.Service {
	return space.NewService(space.Config{DB: db, Names: names.New(h.db, [32]byte{1}), Now: func() time.Time { return h.now }})
}

func (h *house) add(n space.New) space.Space {
	h.t.Helper()
	s, err := h.spaces.Add(context.Background(), n)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func ins(t testing.TB, matricule string) identity.INS {
	t.Helper()
	v, err := identity.ParseINS(matricule, identity.OIDTestNIR, identity.INSOptions{AllowTest: true})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// person returns what the i-th person's space is made of.
func person(t testing.TB, i int) space.New {
	t.Helper()
	matricule := fmt.Sprintf("2790351215%05d", i)
	address, err := identity.ParseAddress(matricule + "@patient.pli.test")
	if err != nil {
		t.Fatal(err)
	}
	return space.New{INS: ins(t, matricule), Address: address, Contact: "paule@courriel.test", Traits: identity.Traits{
		Family: "DUPONT", Given: "PAULE", Sex: "F", Birth: time.Date(1979, 3, 5, 0, 0, 0, 0, time.UTC), BirthPlace: "51215"}}
}

func TestAPersonHasOneSpace(t *testing.T) { // A1
	t.Parallel()
	h := newHouse(t)
	n := person(t, 1)
	made := h.add(n)
	if !space.IsSpace(made.ID) || made.State != space.Announced || !made.Created.Equal(h.now.Truncate(time.Millisecond)) {
		t.Errorf("made %+v", made)
	}
	read, err := h.spaces.ByID(t.Context(), made.ID)
	if err != nil || read != made || read.Traits != n.Traits || read.INS != n.INS {
		t.Errorf("read %+v, %v\nmade %+v", read, err, made)
	}
	for _, matricule := range []string{n.INS.Matricule(), strings.ToLower(n.INS.Matricule())} {
		if owner, err := h.spaces.ByINS(t.Context(), matricule); err != nil || owner != made.ID {
			t.Errorf("ByINS: %q, %v", owner, err)
		}
	}
	again := n
	again.Contact = "other@courriel.test"
	if _, err := h.spaces.Add(t.Context(), again); !errs.Is(err, errs.Conflict) {
		t.Errorf("a second space: %v", err)
	}
	if after, _ := h.spaces.ByID(t.Context(), made.ID); after != made {
		t.Errorf("the second Add changed the space to %+v", after)
	}
	if all, err := h.spaces.List(t.Context(), "", 10); err != nil || len(all) != 1 {
		t.Errorf("%d spaces, %v", len(all), err)
	}
}

func TestACorsicanIsFoundInEitherCase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := person(t, 1)
	n.INS = ins(t, "27903"+"2A"+"12151234")
	made := h.add(n)
	if owner, err := h.spaces.ByINS(t.Context(), strings.ToLower(n.INS.Matricule())); err != nil || owner != made.ID {
		t.Errorf("ByINS: %q, %v", owner, err)
	}
}

func TestUnknownSpaces(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.add(person(t, 1))
	for _, matricule := range []string{"", "279035121599999", strings.Repeat("9", 1<<20), "x\x00y"} {
		if owner, err := h.spaces.ByINS(t.Context(), matricule); !errs.Is(err, errs.NotFound) {
			t.Errorf("ByINS %.20q: %q, %v", matricule, owner, err)
		}
	}
	for _, owner := range []store.Owner{"", "s/", "m/abc", "sys/names-00", space.NewOwner("s/"), space.NewOwner("m/")} {
		if _, err := h.spaces.ByID(t.Context(), owner); !errs.Is(err, errs.NotFound) {
			t.Errorf("ByID %q: %v", owner, err)
		}
		if err := h.spaces.SetState(t.Context(), owner, space.Open); !errs.Is(err, errs.NotFound) {
			t.Errorf("SetState %q: %v", owner, err)
		}
	}
}

func TestUnfitSpacesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, spoil := range map[string]func(*space.New){
		"no INS":        func(n *space.New) { n.INS = identity.INS{} },
		"no address":    func(n *space.New) { n.Address = identity.Address{} },
		"a bad contact": func(n *space.New) { n.Contact = "paule at home\r\nBcc: x@y.test" },
		"a bad state":   func(n *space.New) { n.State = 42 },
	} {
		n := person(t, 1)
		spoil(&n)
		if _, err := h.spaces.Add(t.Context(), n); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.add(person(t, 1)) // what was refused has left no binding behind
}

// halfway is a store that stops before it has written a space.
type halfway struct{ store.DB }

var errStopped = errors.New("the machine stopped")

func (d halfway) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	if space.IsSpace(owner) {
		return errStopped
	}
	return d.DB.Update(ctx, owner, fn)
}

func TestAddAfterACrashHalfway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := person(t, 1)
	if _, err := h.service(halfway{h.db}).Add(t.Context(), n); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	bound, err := h.spaces.ByINS(t.Context(), n.INS.Matricule())
	if err != nil {
		t.Fatalf("the binding comes first: %v", err)
	}
	if _, err := h.spaces.ByID(t.Context(), bound); !errs.Is(err, errs.NotFound) {
		t.Fatalf("half a space: %v", err)
	}
	if made := h.add(n); made.ID != bound {
		t.Errorf("made %q, bound %q", made.ID, bound)
	}
	if _, err := h.spaces.Add(t.Context(), n); !errs.Is(err, errs.Conflict) {
		t.Errorf("once more: %v", err)
	}
}

func TestOneOfManyAddsOfOnePersonWins(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := person(t, 1)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			switch _, err := h.spaces.Add(t.Context(), n); {
			case err == nil:
				won.Add(1)
			case !errs.Is(err, errs.Conflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

func TestSpacesAreListedInPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const n = 23
	var mu sync.Mutex
	var made []store.Owner
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			s, err := h.spaces.Add(context.Background(), person(t, i))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			made = append(made, s.ID)
		})
	}
	wg.Wait()
	// Others' records, before and after the spaces', and a space that is only bound.
	for _, owner := range []store.Owner{"m/abc", "a/abc", "sys/zz", space.NewOwner(space.Prefix)} {
		if err := h.db.Update(t.Context(), owner, func(tx store.Tx) error { return tx.Put([]byte("k"), []byte("v")) }); err != nil {
			t.Fatal(err)
		}
	}
	var listed []store.Owner
	for after := store.Owner(""); ; {
		page, err := h.spaces.List(t.Context(), after, 5)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page {
			listed = append(listed, s.ID)
		}
		if len(page) < 5 {
			break
		}
		after = page[4].ID
	}
	slices.Sort(made)
	if !slices.Equal(listed, made) {
		t.Errorf("listed %d, made %d", len(listed), len(made))
	}
}

// No name, number or address of a person lies in a record's key.
func TestKeysAreOpaque(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := person(t, 1)
	h.add(n)
	owners, err := h.db.Owners(t.Context(), "", 100)
	if err != nil || len(owners) < 2 {
		t.Fatalf("%d owners, %v", len(owners), err)
	}
	for _, owner := range owners {
		err := h.db.View(t.Context(), owner, func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(key, _ []byte) error {
				if s := string(owner) + string(key); strings.Contains(s, n.INS.Matricule()) || strings.Contains(s, "DUPONT") {
					t.Errorf("%q", s)
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestNewOwner(t *testing.T) {
	t.Parallel()
	a, b := space.NewOwner("s/"), space.NewOwner("s/")
	if a == b || len(a) != 28 || !a.Valid() || !space.IsSpace(a) {
		t.Errorf("%q, %q", a, b)
	}
}

// A space whose keys are destroyed is as if it had never been.
func TestADeletedSpaceIsGone(t *testing.T) { // A4
	t.Parallel()
	h := newHouse(t)
	master, err := sealed.CreateMaster(filepath.Join(t.TempDir(), "master"))
	if err != nil {
		t.Fatal(err)
	}
	keysDB, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keysDB.Close() })
	keys, err := sealed.OpenKeys(keysDB, master, sealed.KeysConfig{})
	if err != nil {
		t.Fatal(err)
	}
	h.db = sealed.New(h.db, keys, sealed.Config{})
	h.spaces = h.service(h.db)
	gone, stays := h.add(person(t, 1)), h.add(person(t, 2))
	if err := keys.Destroy(t.Context(), gone.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := h.spaces.ByID(t.Context(), gone.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("ByID: %v", err)
	}
	if all, err := h.spaces.List(t.Context(), "", 10); err != nil || len(all) != 1 || all[0] != stays {
		t.Errorf("List: %v, %v", all, err)
	}
}
