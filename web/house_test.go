package web_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"mime"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/certs"
	"pli/certs/keyring"
	"pli/consent"
	"pli/dossier"
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
	"pli/web"
)

const password = "trois petits pots 7"

// house is a portal on real rooms and stores.
type house struct {
	t         testing.TB
	db        store.DB
	spaces    *space.Service
	signin    *signin.Service
	directory *directory.Directory
	gate      *consent.Gate
	hub       *notify.Hub
	mail      *mailbox.Service
	dossier   *dossier.Service
	mss       *mss.Service
	codes     codes
	log       logged
	portal    *web.Server
	server    *httptest.Server
	serial    int
	people    []*person
}

// person is a holder or a professional with an account.
type person struct {
	h       *house
	owner   store.Owner
	actor   identity.Actor
	address identity.Address
	login   string
	contact string
}

// codes keeps the last notice to each contact.
type codes struct {
	mu   sync.Mutex
	last map[string]notify.Notice
}

func (c *codes) Send(_ context.Context, n notify.Notice) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[string]notify.Notice{}
	}
	c.last[n.To] = n
	return nil
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// code returns the one-time code that went to a contact.
func (c *codes) code(to string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sixDigits.FindString(c.last[to].Body)
}

// logged keeps what the house logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHouse(t testing.TB, change ...func(*web.Config)) *house {
	t.Helper()
	h := &house{t: t}
	log := slog.New(slog.NewTextHandler(&h.log, nil))
	folder := t.TempDir()
	master, err := sealed.CreateMaster(filepath.Join(folder, "master"))
	h.must(err)
	open := func(name string) store.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(folder, name)})
		h.must(err)
		t.Cleanup(func() { db.Close() })
		return db
	}
	keys, err := sealed.OpenKeys(open("keys"), master, sealed.KeysConfig{})
	h.must(err)
	h.db = sealed.New(open("data"), keys, sealed.Config{})
	blobs, err := dir.Open(filepath.Join(folder, "blobs"), dir.Config{})
	h.must(err)
	found := names.New(h.db, master.Derive("names"))
	h.hub = notify.NewHub()
	h.spaces = space.NewService(space.Config{DB: h.db, Names: found, Now: time.Now})
	h.gate = consent.NewGate(consent.Config{DB: h.db, Now: time.Now})
	h.signin, err = signin.New(signin.Config{DB: h.db, Names: found, Server: master.Derive("server slots"), Sender: &h.codes,
		Now: time.Now, Argon: keyring.Params{Memory: 64, Passes: 1, Threads: 1}})
	h.must(err)
	h.directory, err = directory.New(t.Context(), directory.Config{DB: h.db, Names: found, Now: time.Now})
	h.must(err)
	h.mail = mailbox.New(mailbox.Config{DB: h.db, Blobs: blobs, Gate: h.gate, Hub: h.hub, Now: time.Now, Log: log})
	h.dossier, err = dossier.New(dossier.Config{DB: h.db, Blobs: blobs, Gate: h.gate, Keys: keys, Now: time.Now, Log: log})
	h.must(err)
	h.openSpace()
	cfg := web.Config{Signin: h.signin, Mail: h.mail, MSS: h.mss, Directory: h.directory, Dossier: h.dossier, Spaces: h.spaces,
		Gate: h.gate, Hub: h.hub, Now: time.Now, Log: log, BaseURL: "https://portail.pli.test"}
	for _, c := range change {
		c(&cfg)
	}
	h.portal, err = web.New(cfg)
	h.must(err)
	h.server = httptest.NewTLSServer(h.portal)
	t.Cleanup(h.close)
	return h
}

// openSpace makes the messaging space with its two domains.
func (h *house) openSpace() {
	authority, err := certs.NewAuthority("Test authority", time.Now())
	h.must(err)
	trust, err := certs.NewTrust(authority.CertPEM())
	h.must(err)
	for name, kind := range map[string]directory.Kind{"patient.pli.test": directory.Patient, "medecin.pli.test": directory.Local} {
		h.must(h.directory.AddDomain(h.t.Context(), directory.Domain{Name: name, Kind: kind}))
	}
	h.mss = mss.New(mss.Config{DB: h.db, Spaces: h.spaces, Directory: h.directory, Mail: h.mail, Gate: h.gate, Signin: h.signin,
		Trust: trust, Hostname: "mx.pli.test", Product: "PLI", Now: time.Now, Secret: [32]byte{7}, Limits: mss.Limits{RefusalFloor: time.Millisecond}})
}

// close ends each test: nothing may be wrong with anybody's mail or dossier.
func (h *house) close() {
	h.server.Close()
	h.portal.Close()
	if err := h.mss.Close(context.Background()); err != nil {
		h.t.Error(err)
	}
	for _, p := range h.people {
		problems, err := h.mail.Verify(context.Background(), p.owner)
		if err != nil || len(problems) > 0 {
			h.t.Errorf("mail of %s: %v %v", p.owner, problems, err)
		}
		if p.actor.Kind == identity.Holder {
			problems, err := h.dossier.Verify(context.Background(), p.owner)
			if err != nil || len(problems) > 0 {
				h.t.Errorf("dossier of %s: %v %v", p.owner, problems, err)
			}
		}
	}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// holder makes an active space with its sign-in.
func (h *house) holder(given, family string) *person {
	h.t.Helper()
	h.serial++
	body := int64(1800175001000 + h.serial)
	ins, err := identity.ParseINS(fmt.Sprintf("%013d%02d", body, 97-body%97), identity.OIDNIR, identity.INSOptions{})
	h.must(err)
	p := &person{h: h, login: fmt.Sprintf("holder-%d", h.serial), contact: fmt.Sprintf("h%d@courriel.test", h.serial)}
	p.address, err = identity.ParseAddress(ins.Matricule() + "@patient.pli.test")
	h.must(err)
	made, err := h.spaces.Add(h.t.Context(), space.New{INS: ins, Address: p.address, State: space.Active,
		Traits: identity.Traits{Family: family, Given: given, Sex: "F", Birth: time.Date(1979, 3, 12, 0, 0, 0, 0, time.UTC), BirthPlace: "35238"}})
	h.must(err)
	p.owner = made.ID
	p.actor = identity.Actor{Kind: identity.Holder, ID: string(made.ID), Name: given + " " + family, Address: p.address.String(), Account: string(made.ID)}
	h.provision(p)
	return p
}

// member makes a professional's mailbox with its sign-in.
func (h *house) member(local, name, profession string) *person {
	h.t.Helper()
	h.serial++
	p := &person{h: h, owner: space.NewOwner("m/"), login: local, contact: local + "@courriel.test"}
	var err error
	p.address, err = identity.ParseAddress(local + "@medecin.pli.test")
	h.must(err)
	p.actor = identity.Actor{Kind: identity.Professional, ID: fmt.Sprintf("1000%07d", h.serial), Name: name, Profession: profession,
		Address: p.address.String(), Account: string(p.owner)}
	h.provision(p)
	h.must(h.directory.Add(h.t.Context(), directory.Mailbox{Address: p.address, Type: directory.PER, Account: p.owner, Actor: p.actor, Label: name}))
	return p
}

func (h *house) provision(p *person) {
	h.t.Helper()
	ctx := h.t.Context()
	h.must(h.signin.Provision(ctx, p.owner, signin.Profile{Actor: p.actor, Address: p.address, Contact: p.contact}))
	h.must(h.db.Update(ctx, p.owner, h.mail.Provision))
	h.must(h.signin.SetPassword(ctx, p.owner, p.login, password))
	h.people = append(h.people, p)
}

// attachment is one file of a message.
type attachment struct {
	kind, name string // media type with its parameters, file name
	content    string
}

// letter is a message as a mail client writes it.
type letter struct {
	subject string
	text    string
	html    string
	header  string // further header lines, each ended by CRLF
	files   []attachment
}

// send brings a letter from one person to another through the messaging space.
func (p *person) send(to *person, l letter) {
	p.h.t.Helper()
	p.h.must(p.trySend(to, l))
}

func (p *person) trySend(to *person, l letter) error { return p.sendRaw(to, p.raw(to, l)) }

// sendRaw is send of bytes.
func (p *person) sendRaw(to *person, raw string) error {
	ctx := p.h.t.Context()
	tr, err := p.h.mss.FromMember(ctx, mss.Sender{Actor: p.actor, Addresses: []identity.Address{p.address}, Account: p.owner},
		p.address.String(), mss.Params{})
	if err != nil {
		return err
	}
	defer tr.Close()
	if err := tr.Rcpt(ctx, to.address.String(), mss.RcptParams{}); err != nil {
		return err
	}
	_, err = tr.Data(ctx, strings.NewReader(raw))
	return err
}

// raw writes a letter as bytes.
func (p *person) raw(to *person, l letter) string {
	p.h.serial++
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s <%s>\r\nTo: %s <%s>\r\nDate: %s\r\nMessage-ID: <%d@medecin.pli.test>\r\nSubject: %s\r\n%sMIME-Version: 1.0\r\n",
		mime.QEncoding.Encode("utf-8", p.actor.Name), p.address, mime.QEncoding.Encode("utf-8", to.actor.Name), to.address,
		time.Now().Format(time.RFC1123Z), p.h.serial, mime.QEncoding.Encode("utf-8", l.subject), l.header)
	body := part("text/plain; charset=utf-8", "", l.text)
	if l.html != "" {
		body = parts("alternative", body, part("text/html; charset=utf-8", "", l.html))
	}
	if len(l.files) > 0 {
		list := []string{body}
		for _, f := range l.files {
			list = append(list, part(f.kind, f.name, f.content))
		}
		body = parts("mixed", list...)
	}
	return b.String() + body
}

// part writes one part with its header.
func part(kind, name, content string) string {
	head := "Content-Type: " + kind + "\r\nContent-Transfer-Encoding: base64\r\n"
	if name != "" {
		disposition := "attachment"
		if strings.HasPrefix(name, "cid:") {
			head += "Content-ID: <" + name[4:] + ">\r\n"
			disposition, name = "inline", "image"
		}
		head += "Content-Disposition: " + mime.FormatMediaType(disposition, map[string]string{"filename": name}) + "\r\n"
	}
	text := base64.StdEncoding.EncodeToString([]byte(content))
	var lines strings.Builder
	for len(text) > 76 {
		lines.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	return head + "\r\n" + lines.String() + text + "\r\n"
}

func parts(kind string, list ...string) string {
	boundary := "limit-" + kind
	out := "Content-Type: multipart/" + kind + "; boundary=" + boundary + "\r\n\r\n"
	for _, p := range list {
		out += "--" + boundary + "\r\n" + p
	}
	return out + "--" + boundary + "--\r\n"
}

// pdf returns a small PDF with a line of text.
func pdf(text string) string {
	stream := "BT /F1 24 Tf 60 760 Td (" + text + ") Tj ET"
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(stream), stream), "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"}
	out := "%PDF-1.4\n"
	var at []int
	for i, o := range objects {
		at = append(at, len(out))
		out += fmt.Sprintf("%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := len(out)
	out += fmt.Sprintf("xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, n := range at {
		out += fmt.Sprintf("%010d 00000 n \n", n)
	}
	return out + fmt.Sprintf("trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
}

func itoa(n int) string { return strconv.Itoa(n) }
