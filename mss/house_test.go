package mss_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pli/audit"
	"pli/certs"
	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/mailbox"
	"pli/mss"
	"pli/mss/directory"
	"pli/notify"
	"pli/signin"
	"pli/space"
	"pli/store"
	"pli/store/blob/dir"
	"pli/store/bolt"
	"pli/store/names"
	"pli/store/sealed"
)

// The domains of the house, and of its two peers.
const (
	patientDomain = "patient.pli.test"
	localDomain   = "medecin.pli.test"
	peerDomain    = "mss.autre.test"
	otherDomain   = "mss.tiers.test"
)

// house is the messaging space on real stores.
type house struct {
	t         testing.TB
	offset    atomic.Int64 // of the clock, from real time
	folder    string
	db        store.DB
	keys      *sealed.Keys
	signin    *signin.Service
	spaces    *space.Service
	directory *directory.Directory
	gate      *consent.Gate
	mail      *mailbox.Service
	mss       *mss.Service
	authority *certs.Authority
	peer      *mss.Peer // speaks for peerDomain
	serial    int
	people    []*person
}

// person is a holder or a member with a mailbox.
type person struct {
	h       *house
	owner   store.Owner
	address identity.Address
	actor   identity.Actor
	secret  string // mail password
}

type unsent struct{}

func (unsent) Send(context.Context, notify.Notice) error { return nil }

func newHouse(t testing.TB, change ...func(*mss.Config)) *house {
	t.Helper()
	h := &house{t: t, folder: t.TempDir()}
	h.openStores()
	h.mss = mss.New(h.config(change...))
	t.Cleanup(func() {
		if err := h.mss.Close(context.Background()); err != nil {
			t.Error(err)
		}
		h.check()
	})
	var err error
	if h.peer, err = h.mss.Peer(h.operator("smtp.autre.test", peerDomain)); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.offset.Load())) }

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) openStores() {
	master, err := sealed.CreateMaster(filepath.Join(h.folder, "master"))
	h.must(err)
	open := func(name string) store.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(h.folder, name)})
		h.must(err)
		h.t.Cleanup(func() { db.Close() })
		return db
	}
	h.keys, err = sealed.OpenKeys(open("keys"), master, sealed.KeysConfig{})
	h.must(err)
	h.db = sealed.New(open("data"), h.keys, sealed.Config{})
	blobs, err := dir.Open(filepath.Join(h.folder, "blobs"), dir.Config{})
	h.must(err)
	found := names.New(h.db, master.Derive("names"))
	h.spaces = space.NewService(space.Config{DB: h.db, Names: found, Now: h.now})
	h.signin, err = signin.New(signin.Config{DB: h.db, Names: found, Server: master.Derive("server slots"), Sender: unsent{}, Now: h.now})
	h.must(err)
	h.directory, err = directory.New(context.Background(), directory.Config{DB: h.db, Names: found, Now: h.now})
	h.must(err)
	h.gate = consent.NewGate(consent.Config{DB: h.db, Now: h.now})
	h.mail = mailbox.New(mailbox.Config{DB: h.db, Blobs: blobs, Gate: h.gate, Hub: notify.NewHub(), Now: h.now, Log: quiet()})
	h.authority, err = certs.NewAuthority("Test authority", h.now())
	h.must(err)
	for name, kind := range map[string]directory.Kind{patientDomain: directory.Patient, localDomain: directory.Local} {
		h.must(h.directory.AddDomain(context.Background(), directory.Domain{Name: name, Kind: kind}))
	}
}

func (h *house) config(change ...func(*mss.Config)) mss.Config {
	trust, err := certs.NewTrust(h.authority.CertPEM())
	h.must(err)
	cfg := mss.Config{
		DB: h.db, Spaces: h.spaces, Directory: h.directory, Mail: h.mail, Gate: h.gate, Signin: h.signin, Trust: trust,
		Hostname: "mx.pli.test", Product: "PLI", Now: h.now, Secret: [32]byte{7},
		Limits: mss.Limits{RefusalFloor: time.Millisecond},
	}
	for _, c := range change {
		c(&cfg)
	}
	return cfg
}

// operator issues an operator's certificate and puts its name on the
// allow-list for a domain; the state is that of a connection which shows it.
func (h *house) operator(cn, domain string) tls.ConnectionState {
	h.t.Helper()
	issued, err := h.authority.IssueOperator(h.now(), cn, domain)
	h.must(err)
	name, err := certs.Subject(issued.Cert)
	h.must(err)
	h.must(h.directory.AddDomain(context.Background(), directory.Domain{Name: domain, Kind: directory.Peer, Operators: []certs.Name{name}}))
	return showing(issued.Cert)
}

func showing(cert *x509.Certificate) tls.ConnectionState {
	return tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
}

// matricule returns the nth made-up number with its key.
func matricule(n int) string {
	body := int64(1800175001000 + n)
	return fmt.Sprintf("%013d%02d", body, 97-body%97)
}

// holder makes a space in a state, with its account.
func (h *house) holder(state space.State) *person {
	h.t.Helper()
	ctx := context.Background()
	h.serial++
	ins, err := identity.ParseINS(matricule(h.serial), identity.OIDNIR, identity.INSOptions{})
	h.must(err)
	p := &person{h: h, address: h.address(ins.Matricule() + "@" + patientDomain)}
	made, err := h.spaces.Add(ctx, space.New{INS: ins, Address: p.address, State: space.Announced,
		Traits: identity.Traits{Family: "ROUX", Given: "Camille", Sex: "F", Birth: time.Date(1979, 3, 12, 0, 0, 0, 0, time.UTC), BirthPlace: "35238"}})
	h.must(err)
	p.owner = made.ID
	p.actor = identity.Actor{Kind: identity.Holder, ID: string(made.ID), Name: "Camille ROUX", Address: p.address.String(), Account: string(made.ID)}
	h.provision(p)
	for _, step := range pathTo(state) {
		h.must(h.spaces.SetState(ctx, p.owner, step))
	}
	return p
}

// pathTo is how a space that was announced comes to a state.
func pathTo(s space.State) []space.State {
	switch s {
	case space.Closed:
		return []space.State{space.Active, space.Closed}
	case space.Archived:
		return []space.State{space.Active, space.Closed, space.Archived}
	case space.Deleted:
		return []space.State{space.Active, space.Closed, space.Archived, space.Deleted}
	}
	return []space.State{s}
}

// member makes a member's mailbox.
func (h *house) member(local string) *person {
	h.t.Helper()
	h.serial++
	p := &person{h: h, address: h.address(local + "@" + localDomain), owner: space.NewOwner("m/")}
	p.actor = identity.Actor{Kind: identity.Professional, ID: rpps(h.serial), Name: local, Profession: "10", Address: p.address.String(), Account: string(p.owner)}
	h.provision(p)
	h.must(h.directory.Add(context.Background(), directory.Mailbox{Address: p.address, Type: directory.PER, Account: p.owner, Actor: p.actor, Label: local}))
	return p
}

// rpps returns the nth made-up number with its Luhn digit.
func rpps(n int) string {
	for d := range 10 {
		if r, err := identity.ParseRPPS(fmt.Sprintf("1%09d%d", n, d)); err == nil {
			return r.String()
		}
	}
	panic("no digit passes")
}

func (h *house) provision(p *person) {
	h.t.Helper()
	ctx := context.Background()
	h.must(h.signin.Provision(ctx, p.owner, signin.Profile{Actor: p.actor, Address: p.address}))
	h.must(h.db.Update(ctx, p.owner, h.mail.Provision))
	var err error
	p.secret, err = h.signin.AddMailPassword(ctx, p.owner, nil, "test")
	h.must(err)
	h.people = append(h.people, p)
}

func (h *house) address(s string) identity.Address {
	h.t.Helper()
	a, err := identity.ParseAddress(s)
	h.must(err)
	return a
}

func (p *person) sender() mss.Sender {
	return mss.Sender{Actor: p.actor, Addresses: []identity.Address{p.address}, Account: p.owner}
}

func (p *person) keys() *keyring.Bundle {
	p.h.t.Helper()
	opened, err := p.h.signin.Mail(context.Background(), p.address.String(), p.secret)
	p.h.must(err)
	return opened.Keys
}

// letters returns the messages of a person's inbox, as they are kept.
func (p *person) letters() []string {
	p.h.t.Helper()
	ctx := context.Background()
	account, err := p.h.mail.Open(ctx, p.actor, p.owner, p.keys())
	p.h.must(err)
	defer account.Close()
	view, err := account.Select(ctx, mailbox.Inbox, true)
	p.h.must(err)
	defer view.Close()
	var all []string
	p.h.must(view.Messages(ctx, nil, false, func(m mailbox.Message) error {
		body, err := view.Open(ctx, m.UID)
		if err != nil {
			return err
		}
		defer body.Close()
		b, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
		all = append(all, string(b))
		return err
	}))
	return all
}

// trace returns the lines of a space, oldest first, as act outcome title.
func (p *person) trace() []string {
	p.h.t.Helper()
	var lines []string
	p.h.must(p.h.db.View(context.Background(), p.owner, func(tx store.Tx) error {
		list, err := audit.List(tx, 0, 500)
		lines = nil
		for i := len(list) - 1; i >= 0; i-- {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", list[i].Act, list[i].Outcome, list[i].Title)))
		}
		return err
	}))
	return lines
}

// check ends each test: nothing may be wrong with anybody's mail or trace.
func (h *house) check() {
	ctx := context.Background()
	for _, p := range h.people {
		problems, err := h.mail.Verify(ctx, p.owner)
		if err != nil {
			h.t.Errorf("verify: %v", err)
		}
		for _, problem := range problems {
			h.t.Errorf("verify %s: %v", p.owner, problem)
		}
		if err := h.db.View(ctx, p.owner, func(tx store.Tx) error { _, err := audit.Verify(tx); return err }); err != nil {
			h.t.Errorf("trace of %s: %v", p.owner, err)
		}
	}
}

// mailText is a message as a client writes it.
func mailText(fields ...string) string {
	var b bytes.Buffer
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	b.WriteString("\r\nBonjour.\r\n")
	return b.String()
}
