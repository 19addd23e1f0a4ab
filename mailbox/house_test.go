package mailbox_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/mailbox"
	"pli/notify"
	"pli/store"
	"pli/store/blob"
	"pli/store/blob/dir"
	"pli/store/bolt"
	"pli/store/sealed"
)

// house is a mailbox on real stores: bolt, sealed, and blobs in a folder.
type house struct {
	t      testing.TB
	folder string
	db     store.DB
	bare   store.DB // below the seal
	blobs  *dir.Store
	hub    *notify.Hub
	gate   *consent.Gate
	mail   *mailbox.Service
	now    atomic.Int64 // seconds since 1970
	made   []*person
}

func newHouse(t testing.TB, limits ...func(*mailbox.Config)) *house {
	t.Helper()
	h := &house{t: t, hub: notify.NewHub()}
	h.now.Store(time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC).Unix())
	h.folder = t.TempDir()
	h.db = h.store(h.folder)
	var err error
	if h.blobs, err = dir.Open(filepath.Join(h.folder, "blobs"), dir.Config{}); err != nil {
		t.Fatal(err)
	}
	h.gate = consent.NewGate(consent.Config{DB: h.db, Now: h.clock, Log: quiet()})
	h.mail = h.service(limits...)
	t.Cleanup(h.check)
	return h
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (h *house) store(folder string) store.DB {
	h.t.Helper()
	open := func(name string) store.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(folder, name), Log: quiet()})
		if err != nil {
			h.t.Fatal(err)
		}
		return db
	}
	master, err := sealed.CreateMaster(filepath.Join(folder, "master"))
	if err != nil {
		h.t.Fatal(err)
	}
	keyDB := open("keys")
	h.t.Cleanup(func() { keyDB.Close() })
	keys, err := sealed.OpenKeys(keyDB, master, sealed.KeysConfig{Log: quiet()})
	if err != nil {
		h.t.Fatal(err)
	}
	h.bare = open("data")
	db := sealed.New(h.bare, keys, sealed.Config{})
	h.t.Cleanup(func() { db.Close() })
	return db
}

// service returns another service on the same stores, as after a restart.
func (h *house) service(limits ...func(*mailbox.Config)) *mailbox.Service {
	cfg := mailbox.Config{DB: h.db, Blobs: h.blobs, Gate: h.gate, Hub: h.hub, Now: h.clock, Log: quiet(), PageDelay: time.Millisecond}
	for _, l := range limits {
		l(&cfg)
	}
	return mailbox.New(cfg)
}

func (h *house) clock() time.Time { return time.Unix(h.now.Load(), 0).UTC() }

// check ends each test: nothing may be wrong with anybody's mail, and no blob
// may lie there without a name.
func (h *house) check() {
	ctx := context.Background()
	named := map[blob.ID]bool{}
	for _, p := range h.made {
		if p.broken {
			return
		}
		problems, err := h.mail.Verify(ctx, p.owner)
		if err != nil {
			h.t.Errorf("verify %s: %v", p.owner, err)
		}
		for _, problem := range problems {
			h.t.Errorf("verify %s: %s", p.owner, problem)
		}
		h.mail.Blobs(ctx, p.owner, func(id blob.ID, _ int64) error {
			named[id] = true
			return nil
		})
	}
	for _, id := range h.blobIDs() {
		if !named[id] {
			h.t.Errorf("blob %s lies there without a record", id)
		}
	}
}

func (h *house) blobIDs() (ids []blob.ID) {
	list, err := h.blobs.List(context.Background(), "", 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range list {
		ids = append(ids, b.ID)
	}
	return ids
}

// person is somebody with a mailbox.
type person struct {
	h      *house
	owner  store.Owner
	keys   *keyring.Bundle
	broken bool // the test damages the mail: no check at its end
}

func (h *house) person(name string) *person { return h.owner(store.Owner("m/" + name)) }

func (h *house) owner(owner store.Owner) *person {
	h.t.Helper()
	_, keys, err := keyring.New(string(owner), h.clock())
	if err != nil {
		h.t.Fatal(err)
	}
	p := &person{h: h, owner: owner, keys: keys}
	h.must(h.db.Update(h.t.Context(), owner, h.mail.Provision))
	h.made = append(h.made, p)
	return p
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (p *person) actor() identity.Actor {
	return identity.Actor{Kind: identity.Professional, ID: "10001234567", Account: string(p.owner)}
}

// open opens the mail until the test ends.
func (p *person) open() *mailbox.Account {
	p.h.t.Helper()
	a, err := p.h.mail.Open(p.h.t.Context(), p.actor(), p.owner, p.keys)
	p.h.must(err)
	p.h.t.Cleanup(a.Close)
	return a
}

// view selects a box until the test ends.
func (p *person) view(a *mailbox.Account, box string) *mailbox.View {
	p.h.t.Helper()
	v, err := a.Select(p.h.t.Context(), box, false)
	p.h.must(err)
	p.h.t.Cleanup(v.Close)
	return v
}

// letters spools a message for people.
func (h *house) letters(raw string, to ...*person) (*mailbox.Spool, error) {
	var keys []keyring.Recipient
	for _, p := range to {
		keys = append(keys, p.keys.Recipient())
	}
	s, err := h.mail.Spool(h.t.Context(), keys)
	if err != nil {
		return nil, err
	}
	// By pieces of 4 KiB, as from a line; without WriterTo, which would copy all.
	if _, err := io.CopyBuffer(s, struct{ io.Reader }{strings.NewReader(raw)}, make([]byte, 4096)); err != nil {
		s.Discard()
		return nil, err
	}
	return s, s.Close()
}

// deliver brings a message to people's INBOX.
func (h *house) deliver(raw string, to ...*person) (uids []mailbox.UID) {
	h.t.Helper()
	uids, err := h.tryDeliver(raw, mailbox.Inbox, to...)
	h.must(err)
	return uids
}

func (h *house) tryDeliver(raw, box string, to ...*person) (uids []mailbox.UID, err error) {
	s, err := h.letters(raw, to...)
	if s != nil {
		defer s.Discard()
	}
	if err != nil {
		return nil, err
	}
	for i, p := range to {
		var uid mailbox.UID
		l := s.Letter(i)
		err := h.db.Update(h.t.Context(), p.owner, func(tx store.Tx) (err error) {
			uid, err = h.mail.Deliver(tx, l, box, nil, h.clock())
			return err
		})
		if err != nil {
			return nil, err
		}
		uids = append(uids, uid)
	}
	return uids, nil
}

// letter writes a small message.
func letter(subject, text string) string {
	return "From: Dr Rosé <rose@medecin.pli.test>\r\nTo: Paule <paule@patient.pli.test>\r\n" +
		"Date: Mon, 2 Mar 2026 09:30:00 +0100\r\nMessage-ID: <" + strings.ReplaceAll(subject, " ", "-") + "@medecin.pli.test>\r\n" +
		"Subject: " + subject + "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n"
}

// sized writes a message of exactly size bytes.
func sized(size int) string {
	head := letter("sized", "")
	var b strings.Builder
	b.WriteString(head)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d of a long report\r\n", i)
	}
	return b.String()[:size]
}

// read returns a message's whole text.
func (h *house) read(v *mailbox.View, uid mailbox.UID) string {
	h.t.Helper()
	b, err := v.Open(h.t.Context(), uid)
	h.must(err)
	defer b.Close()
	var out bytes.Buffer
	_, err = io.Copy(&out, io.NewSectionReader(b, 0, b.Size()))
	h.must(err)
	return out.String()
}

// list returns a view's messages as "seq uid flags subject" lines.
func (h *house) list(v *mailbox.View) (lines []string) {
	h.t.Helper()
	h.must(v.Messages(h.t.Context(), nil, true, func(m mailbox.Message) error {
		lines = append(lines, fmt.Sprintf("%d %d %v %s", m.Seq, m.UID, m.Flags, m.Index.Envelope.Subject))
		return nil
	}))
	return lines
}

// deliverTo is a delivery as a transaction's function.
func deliverTo(h *house, l *mailbox.Letter, box string) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := h.mail.Deliver(tx, l, box, nil, h.clock())
		return err
	}
}
