// Package space keeps a person's space: who they are, where it stands in its
// life.
//
// A space is found by its INS through a keyed hash, never by a name in clear,
// and everything that belongs to it lies under its owner, "s/" and 26
// characters.
package space

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
	"time"

	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// Prefix begins the owner of every space.
const Prefix = "s/"

// Space is a person's space.
type Space struct {
	ID      store.Owner // "s/…"
	INS     identity.INS
	Traits  identity.Traits
	Address identity.Address // of its mailbox
	Contact string           // e-mail address outside, for notices and codes; "" if none
	State   State
	Created time.Time // UTC, to the millisecond
	Changed time.Time // of the record, UTC, to the millisecond
}

// New says what a new space is made of.
type New struct {
	INS     identity.INS // required
	Traits  identity.Traits
	Address identity.Address // required
	Contact string           // e-mail address outside; may be empty
	State   State            // to begin in; default Announced
}

// check returns n with its defaults, or what is wrong with it.
func (n New) check() (New, error) {
	if n.INS.IsZero() {
		return n, errs.New(errs.Invalid, "a space needs its holder's INS")
	}
	if n.Address.IsZero() {
		return n, errs.New(errs.Invalid, "a space needs the address of its mailbox")
	}
	if n.State == 0 {
		n.State = Announced
	}
	if n.State.String() == "" {
		return n, errs.New(errs.Invalid, "a space cannot begin in state %d", n.State)
	}
	if n.Contact != "" {
		a, err := identity.ParseAddress(n.Contact)
		if err != nil {
			return n, errs.Wrap(err, errs.Invalid, "the contact is no e-mail address")
		}
		n.Contact = a.String()
	}
	return n, nil
}

// lower is base32 (RFC 4648 6) in the letters that an owner may have.
var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewOwner returns a fresh owner: the prefix, such as "s/" or "m/", and 26
// characters of 128 random bits.
func NewOwner(prefix string) store.Owner {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return store.Owner(prefix + lower.EncodeToString(b[:]))
}

// IsSpace reports whether owner has the form of a space's.
func IsSpace(owner store.Owner) bool {
	id, ok := strings.CutPrefix(string(owner), Prefix)
	return ok && len(id) == 26 && owner.Valid()
}
