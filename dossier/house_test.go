package dossier_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pli/audit"
	"pli/consent"
	"pli/dossier"
	"pli/identity"
	"pli/space"
	"pli/store"
	"pli/store/blob"
	"pli/store/blob/dir"
	"pli/store/bolt"
	"pli/store/names"
	"pli/store/sealed"
)

// house is a dossier on real parts: sealed records in bbolt files, blobs in a
// folder, the gate.
type house struct {
	testing.TB
	path    string
	db      store.DB
	bare    store.DB // below the seal
	keys    *sealed.Keys
	blobs   *dir.Store
	dossier *dossier.Service
	home    space.Space

	mu  sync.Mutex
	now time.Time
}

// newHouse makes a house with one active space.
func newHouse(t testing.TB, change ...func(*dossier.Config)) *house {
	t.Helper()
	h := &house{TB: t, path: t.TempDir(), now: time.Date(2026, 3, 3, 8, 15, 0, 0, time.UTC)}
	master, err := sealed.CreateMaster(filepath.Join(h.path, "master"))
	h.must(err)
	bare := func(name string) store.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(h.path, name)})
		h.must(err)
		t.Cleanup(func() { db.Close() })
		return db
	}
	h.keys, err = sealed.OpenKeys(bare("keys"), master, sealed.KeysConfig{})
	h.must(err)
	h.bare = bare("records")
	h.db = sealed.New(h.bare, h.keys, sealed.Config{})
	h.blobs, err = dir.Open(filepath.Join(h.path, "blobs"), dir.Config{})
	h.must(err)
	cfg := dossier.Config{DB: h.db, Blobs: h.blobs, Keys: h.keys, Now: h.clock,
		Gate: consent.NewGate(consent.Config{DB: h.db, Now: h.clock})}
	for _, c := range change {
		c(&cfg)
	}
	h.dossier, err = dossier.New(cfg)
	h.must(err)
	h.home = h.space(1)
	t.Cleanup(h.verify)
	return h
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// space makes an active space.
func (h *house) space(n int) space.Space {
	h.Helper()
	matricule := fmt.Sprintf("2790351215%05d", n)
	ins, err := identity.ParseINS(matricule, identity.OIDTestNIR, identity.INSOptions{AllowTest: true})
	h.must(err)
	address, err := identity.ParseAddress(matricule + "@patient.pli.test")
	h.must(err)
	spaces := space.NewService(space.Config{DB: h.db, Names: names.New(h.db, [32]byte{1}), Now: h.clock})
	home, err := spaces.Add(h.Context(), space.New{INS: ins, Address: address, State: space.Active})
	h.must(err)
	return home
}

func self(home space.Space) identity.Actor {
	return identity.Actor{Kind: identity.Holder, ID: string(home.ID), Name: "Paule", Account: string(home.ID)}
}

var doctor = identity.Actor{Kind: identity.Professional, ID: "10001234567", Name: "Dr Rose", Profession: "10", Address: "rose@medecin.pli.test"}

const pdf = "%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"

// report is a new document as the portal files it.
func report(source string) dossier.NewDocument {
	return dossier.NewDocument{
		Title: "Analyses de mars", Type: "11502-2", Date: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC),
		Author: identity.Actor{Name: "Laboratoire", Address: "labo@labo.test"}, MIME: "application/pdf",
		Filename: "analyses.pdf", Source: source,
	}
}

func (h *house) file(n dossier.NewDocument, content string) (dossier.Document, error) {
	return h.dossier.File(h.Context(), self(h.home), h.home.ID, n, bytes.NewReader([]byte(content)))
}

func (h *house) filed(n dossier.NewDocument, content string) dossier.Document {
	h.Helper()
	d, err := h.file(n, content)
	h.must(err)
	return d
}

// content opens a document and returns what is in it.
func (h *house) content(actor identity.Actor, id string) (string, error) {
	_, c, err := h.dossier.Open(h.Context(), actor, h.home.ID, id)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	return string(b), err
}

// trace returns the lines of the space, oldest first: "outcome act title".
func (h *house) trace() (lines []string) {
	h.Helper()
	h.must(h.db.View(h.Context(), h.home.ID, func(tx store.Tx) error {
		entries, err := audit.List(tx, 0, audit.MaxPage)
		lines = nil
		for i := range entries {
			e := entries[len(entries)-1-i]
			lines = append(lines, fmt.Sprintf("%s %s %s", e.Outcome, e.Act, e.Title))
		}
		return err
	}))
	return lines
}

// verify checks at the end of each test: the chain, the dossier, and that
// there is no blob without its document.
func (h *house) verify() {
	if h.Failed() {
		return
	}
	ctx := context.Background() // the test's own has ended
	problems, err := h.dossier.Verify(ctx, h.home.ID)
	if err != nil || len(problems) > 0 {
		h.Errorf("verify: %v %v", problems, err)
	}
	named := map[blob.ID]bool{}
	if err := h.dossier.Blobs(ctx, h.home.ID, func(id blob.ID, _ int64) error { named[id] = true; return nil }); err != nil {
		h.Error(err)
	}
	all, err := h.blobs.List(ctx, "", 1000)
	if err != nil {
		h.Error(err)
	}
	for _, b := range all {
		if !named[b.ID] {
			h.Errorf("blob %s of %d bytes is nobody's", b.ID, b.Size)
		}
	}
	err = h.db.View(ctx, h.home.ID, func(tx store.Tx) error {
		_, err := audit.Verify(tx)
		return err
	})
	if err != nil {
		h.Error(err)
	}
}

// errSource is a failing source's own error.
var errSource = errors.New("the source broke")
