package directory_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/certs"
	"pli/identity"
	"pli/internal/errs"
	"pli/mss/directory"
	"pli/space"
	"pli/store"
	"pli/store/bolt"
	"pli/store/names"
)

type house struct {
	*testing.T
	*directory.Directory
	db store.DB
}

var ctx = context.Background()

func newHouse(t *testing.T) *house {
	t.Helper()
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h := &house{T: t, db: db}
	h.reopen()
	h.must(h.AddDomain(ctx, directory.Domain{Name: "medecin.pli.test", Kind: directory.Local}))
	h.must(h.AddDomain(ctx, directory.Domain{Name: "patient.pli.test", Kind: directory.Patient}))
	return h
}

// reopen is a restart.
func (h *house) reopen() {
	h.Helper()
	var err error
	h.Directory, err = directory.New(ctx, directory.Config{DB: h.db, Names: names.New(h.db, [32]byte{1}), Now: time.Now})
	h.must(err)
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) address(s string) identity.Address {
	h.Helper()
	a, err := identity.ParseAddress(s)
	h.must(err)
	return a
}

func (h *house) box(address string, kind identity.ActorKind, id, body string, typ directory.Type) directory.Mailbox {
	h.Helper()
	return directory.Mailbox{Address: h.address(address), Type: typ, Account: space.NewOwner("m/"), Label: address,
		Actor: identity.Actor{Kind: kind, ID: id, Structure: body}}
}

func TestMailboxes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.box("Louise.Moreau@medecin.pli.test", identity.Professional, "10101343233", "", directory.PER)
	h.must(h.Add(ctx, doctor))
	h.must(h.Add(ctx, doctor)) // again
	second := h.box("cabinet@medecin.pli.test", identity.Professional, "10101343233", "", directory.CAB)
	second.Account = doctor.Account
	h.must(h.Add(ctx, second))
	h.reopen()
	got, err := h.Lookup(ctx, h.address("louise.MOREAU@MEDECIN.pli.test"))
	h.must(err)
	if got != doctor {
		t.Errorf("%+v", got)
	}
	if _, err := h.Lookup(ctx, h.address("nobody@medecin.pli.test")); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody: %v", err)
	}
	list, err := h.List(ctx)
	h.must(err)
	if len(list) != 2 {
		t.Errorf("%d mailboxes", len(list))
	}
}

func TestMailboxesThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.box("louise.moreau@medecin.pli.test", identity.Professional, "10101343233", "", directory.PER)
	h.must(h.Add(ctx, doctor))
	change := func(fn func(*directory.Mailbox)) directory.Mailbox {
		m := doctor
		fn(&m)
		return m
	}
	for name, c := range map[string]struct {
		m    directory.Mailbox
		want errs.Kind
	}{
		"another account's":  {change(func(m *directory.Mailbox) { m.Account = space.NewOwner("m/") }), errs.Conflict},
		"another type":       {change(func(m *directory.Mailbox) { m.Type = directory.ORG }), errs.Conflict},
		"another spelling":   {change(func(m *directory.Mailbox) { m.Address = h.address("LOUISE.moreau@medecin.pli.test") }), errs.Conflict},
		"another's domain":   {change(func(m *directory.Mailbox) { m.Address = h.address("a@patient.pli.test") }), errs.Invalid},
		"a foreign domain":   {change(func(m *directory.Mailbox) { m.Address = h.address("a@gmail.example") }), errs.Invalid},
		"no address":         {change(func(m *directory.Mailbox) { m.Address = identity.Address{} }), errs.Invalid},
		"no type":            {change(func(m *directory.Mailbox) { m.Address, m.Type = h.address("b@medecin.pli.test"), "PERS" }), errs.Invalid},
		"a space as account": {change(func(m *directory.Mailbox) { m.Account = space.NewOwner("s/") }), errs.Invalid},
		"a long label":       {change(func(m *directory.Mailbox) { m.Label = strings.Repeat("x", directory.MaxLabel+1) }), errs.TooLarge},
	} {
		if err := h.Add(ctx, c.m); !errs.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := h.Lookup(ctx, doctor.Address); err != nil || got != doctor {
		t.Errorf("%+v, %v", got, err)
	}
	for i := 1; i <= directory.MaxPerAccount; i++ {
		err := h.Add(ctx, change(func(m *directory.Mailbox) { m.Address = h.address(fmt.Sprintf("x%d@medecin.pli.test", i)) }))
		if full := i == directory.MaxPerAccount; errs.Is(err, errs.TooLarge) != full {
			t.Errorf("mailbox %d of an account: %v", i+1, err)
		}
	}
}

// A certificate opens its bearer's mailboxes: a hospital's not those of the
// people who work there.
func TestByCertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	now := time.Now()
	authority, err := certs.NewAuthority("Test", now)
	h.must(err)
	number, err := identity.ParseRPPS("10101343233")
	h.must(err)
	finess, err := identity.ParseFINESS("770816478")
	h.must(err)
	for _, m := range []directory.Mailbox{
		h.box("dr@medecin.pli.test", identity.Professional, "10101343233", "1770816478", directory.PER),
		h.box("dr.bis@medecin.pli.test", identity.Professional, "10101343233", "", directory.PER),
		h.box("other@medecin.pli.test", identity.Professional, "10101343233"[:10]+"9", "1770816478", directory.PER),
		h.box("labo@medecin.pli.test", identity.Establishment, "770816478", "770816478", directory.PER),
		h.box("app@medecin.pli.test", identity.Application, "", "1770816478", directory.APP),
	} {
		h.must(h.Add(ctx, m))
		h.must(h.Add(ctx, m))
	}
	issue := func(i certs.Issued, err error) *x509.Certificate {
		h.must(err)
		return i.Cert
	}
	for name, c := range map[string]struct {
		cert *x509.Certificate
		want []string
	}{
		"the doctor":       {issue(authority.IssueProfessional(now, certs.Person{RPPS: number})), []string{"dr.bis@medecin.pli.test", "dr@medecin.pli.test"}},
		"the laboratory":   {issue(authority.IssueOrganisation(now, finess.Structure(), "Labo", "")), []string{"app@medecin.pli.test", "labo@medecin.pli.test"}},
		"a peer operator":  {issue(authority.IssueOperator(now, "smtp.autre.test", "mss.autre.test")), nil},
		"a server of ours": {issue(authority.IssueServer(now, "localhost")), nil},
	} {
		list, err := h.ByCertificate(ctx, c.cert)
		if len(c.want) == 0 {
			if !errs.Is(err, errs.NotFound) {
				t.Errorf("%s: %v, %v", name, list, err)
			}
			continue
		}
		h.must(err)
		var got []string
		for _, m := range list {
			got = append(got, m.Address.String())
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestDomains(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	name := func(dn string) certs.Name {
		n, err := certs.ParseDN(dn)
		h.must(err)
		return n
	}
	one, two := name("CN=smtp-1.autre.test,OU=318310021300028,O=Autre,ST=Haute-Garonne (31),C=FR"), name("CN=smtp-2.autre.test,O=Autre\\, SA,C=FR")
	before := h.Version()
	h.must(h.AddDomain(ctx, directory.Domain{Name: "MSS.Autre.test.", Kind: directory.Peer, Operators: []certs.Name{one}}))
	h.must(h.AddDomain(ctx, directory.Domain{Name: "mss.autre.test", Kind: directory.Peer, Operators: []certs.Name{two, one}}))
	h.must(h.AddDomain(ctx, directory.Domain{Name: "labo.autre.test", Kind: directory.Peer, Operators: []certs.Name{one}}))
	if h.Version() == before {
		t.Error("nothing shows that the domains changed")
	}
	for range 2 {
		if got := h.PeersOf(name("cn=SMTP-1.autre.test, o=autre, ou=318310021300028, c=fr, st=Haute-Garonne (31)")); !slices.Equal(got, []string{"labo.autre.test", "mss.autre.test"}) {
			t.Errorf("one: %q", got)
		}
		if got := h.PeersOf(two); !slices.Equal(got, []string{"mss.autre.test"}) {
			t.Errorf("two: %q", got)
		}
		if got := h.PeersOf(name("CN=smtp-3.autre.test,O=Autre,C=FR")); len(got) != 0 {
			t.Errorf("nobody: %q", got)
		}
		for domain, kind := range map[string]directory.Kind{"mss.autre.test": directory.Peer, "patient.pli.test": directory.Patient, "medecin.pli.test": directory.Local, "x.mss.autre.test": directory.Foreign} {
			if got := h.Kind(domain); got != kind {
				t.Errorf("%s: %v", domain, got)
			}
		}
		h.reopen()
	}
	if got := h.Of(directory.Local); !slices.Equal(got, []string{"medecin.pli.test"}) {
		t.Errorf("%q", got)
	}
	if got := h.Domains(); len(got) != 4 || got[0].Name != "labo.autre.test" || len(got[2].Operators) != 2 {
		t.Errorf("%+v", got)
	}
	h.must(h.RemoveDomain(ctx, "labo.autre.test"))
	h.must(h.RemoveDomain(ctx, "never.there.test"))
	h.reopen()
	if got := h.PeersOf(one); !slices.Equal(got, []string{"mss.autre.test"}) {
		t.Errorf("after removal: %q", got)
	}
}

func TestDomainsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	op, err := certs.ParseDN("CN=a,C=FR")
	h.must(err)
	for _, c := range []struct {
		d    directory.Domain
		want errs.Kind
	}{
		{directory.Domain{Name: "medecin.pli.test", Kind: directory.Peer, Operators: []certs.Name{op}}, errs.Conflict},
		{directory.Domain{Name: "x.test", Kind: directory.Peer}, errs.Invalid},
		{directory.Domain{Name: "x.test", Kind: directory.Local, Operators: []certs.Name{op}}, errs.Invalid},
		{directory.Domain{Name: "x.test", Kind: directory.Foreign}, errs.Invalid},
		{directory.Domain{Name: "no domain", Kind: directory.Local}, errs.Invalid},
		{directory.Domain{Name: "", Kind: directory.Local}, errs.Invalid},
	} {
		if err := h.AddDomain(ctx, c.d); !errs.Is(err, c.want) {
			t.Errorf("%+v: %v", c.d, err)
		}
	}
	var many []certs.Name
	for i := range directory.MaxOperators {
		n, err := certs.ParseDN(fmt.Sprintf("CN=a%d,C=FR", i))
		h.must(err)
		many = append(many, n)
	}
	h.must(h.AddDomain(ctx, directory.Domain{Name: "y.test", Kind: directory.Peer, Operators: many}))
	if err := h.AddDomain(ctx, directory.Domain{Name: "y.test", Kind: directory.Peer, Operators: []certs.Name{op}}); !errs.Is(err, errs.TooLarge) {
		t.Errorf("%v", err)
	}
}
