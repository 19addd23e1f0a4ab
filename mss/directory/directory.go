// Package directory knows the members of the trusted messaging space: their
// mailboxes, and the domains of the space with whoever operates each.
package directory

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"pli/identity"
	"pli/internal/errs"
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

// Valid reports whether t is one of the four types.
func (t Type) Valid() bool { return t == PER || t == ORG || t == APP || t == CAB }

// Mailbox is one member's mailbox. Address and type never change once it is
// there (mssante.md 1.3).
type Mailbox struct {
	Address identity.Address `cbor:"1,keyasint"`
	Type    Type             `cbor:"2,keyasint"`
	Account store.Owner      `cbor:"3,keyasint"` // whose records hold its mail
	Actor   identity.Actor   `cbor:"4,keyasint"` // who acts through it
	Label   string           `cbor:"5,keyasint,omitempty"`
}

// Limits of a directory.
const (
	MaxPerAccount = 16  // mailboxes of one account
	MaxPerBearer  = 64  // accounts of one professional or structure
	MaxLabel      = 256 // bytes of a label
)

// Config says what a Directory works on.
type Config struct {
	DB    store.DB
	Names *names.Names
	Now   func() time.Time
}

// Directory is the mailboxes and domains of an instance. All methods may run
// at once.
type Directory struct {
	cfg     Config
	writing sync.Mutex // one change of domains at a time
	domains atomic.Pointer[snapshot]
}

// New returns a Directory with the domains that the store holds.
func New(ctx context.Context, cfg Config) (*Directory, error) {
	d := &Directory{cfg: cfg}
	list, err := d.loadDomains(ctx)
	if err != nil {
		return nil, err
	}
	d.domains.Store(newSnapshot(list))
	return d, nil
}

var errUnknown = errs.New(errs.NotFound, "no mailbox has this address")
