// Package directory knows the members of the trusted messaging space: their
// mailboxes, and the domains of the space with whoever operates each.
package directory

import (
	"context"
	"crypto/x509"
	"time"

	"pli/certs"
	"pli/identity"
	"pli/store"
	"pli/store/names"
)

// Type is what a mailbox is for (TRE_R257).
type Type string

// The types of mailbox.
const (
	PER Type = "PER" // one person's
	ORG Type = "ORG" // an organisation's
	APP Type = "APP" // a machine's
	CAB Type = "CAB" // a practice's
)

// Mailbox is one member's mailbox. Address and type never change once it is
// there (mssante.md 1.3).
type Mailbox struct {
	Address identity.Address `cbor:"1,keyasint"`
	Type    Type             `cbor:"2,keyasint"`
	Account store.Owner      `cbor:"3,keyasint"` // whose records hold its mail
	Actor   identity.Actor   `cbor:"4,keyasint"` // who acts through it
	Label   string           `cbor:"5,keyasint,omitempty"`
}

// Config says what a Directory works on.
type Config struct {
	DB    store.DB
	Names *names.Names
	Now   func() time.Time
}

// Directory is the mailboxes and domains of an instance. All methods may run
// at once.
type Directory struct{ cfg Config }

// New returns a Directory with the domains that the store holds.
func New(ctx context.Context, cfg Config) (*Directory, error) { return &Directory{cfg: cfg}, nil }

// Add makes a mailbox. An address that is taken is a Conflict; the same
// mailbox added twice is none.
func (d *Directory) Add(ctx context.Context, m Mailbox) error { return nil }

// Lookup returns the mailbox of an address, or errs.NotFound.
func (d *Directory) Lookup(ctx context.Context, a identity.Address) (Mailbox, error) {
	return Mailbox{}, nil
}

// List returns every mailbox, in order of their accounts.
func (d *Directory) List(ctx context.Context) ([]Mailbox, error) { return nil, nil }

// ByCertificate returns the mailboxes of whoever a certificate names.
func (d *Directory) ByCertificate(ctx context.Context, cert *x509.Certificate) ([]Mailbox, error) {
	return nil, nil
}

// Kind says whose a domain is.
type Kind uint8

// The kinds of domain.
const (
	Foreign Kind = iota // not of the trusted space
	Patient             // the holders' of this instance
	Local               // this instance's members'
	Peer                // another operator's
)

var kindNames = [...]string{"foreign", "patient", "local", "peer"}

// String returns the kind's word.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Foreign]
}

// Domain is one domain of the trusted space.
type Domain struct {
	Name      string // lower-case, ASCII
	Kind      Kind
	Operators []certs.Name // of a peer: the subjects that may speak for it
}

// AddDomain adds a domain, or further operators to one that is there.
func (d *Directory) AddDomain(ctx context.Context, dom Domain) error { return nil }

// RemoveDomain takes a domain out of the space.
func (d *Directory) RemoveDomain(ctx context.Context, name string) error { return nil }

// Domains returns the domains, in order of their names.
func (d *Directory) Domains() []Domain { return nil }

// Kind says whose a domain is.
func (d *Directory) Kind(domain string) Kind { return Foreign }

// PeersOf returns the peer domains that a certificate's subject may speak for.
func (d *Directory) PeersOf(subject certs.Name) []string { return nil }
