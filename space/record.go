package space

import (
	"errors"
	"fmt"
	"time"

	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// record is the stored form of a Space. A number, once given, keeps its
// meaning.
type record struct {
	INS     identity.INS     `cbor:"1,keyasint"`
	Traits  identity.Traits  `cbor:"2,keyasint"`
	Address identity.Address `cbor:"3,keyasint"`
	Contact string           `cbor:"4,keyasint,omitempty"`
	State   string           `cbor:"5,keyasint"`
	Created int64            `cbor:"6,keyasint"` // milliseconds since 1970, UTC
	Changed int64            `cbor:"7,keyasint"`
}

func recordKey() []byte { return []byte("space") }

// Load returns the space whose records tx holds, or an error of kind NotFound.
func Load(tx store.Tx) (Space, error) {
	r, err := store.Load[record](tx, recordKey())
	if errors.Is(err, store.ErrNotFound) {
		return Space{}, errs.Wrap(err, errs.NotFound, "there is no such space")
	}
	if err != nil {
		return Space{}, err
	}
	state, err := ParseState(r.State)
	if err != nil {
		return Space{}, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return Space{
		ID: tx.Owner(), INS: r.INS, Traits: r.Traits, Address: r.Address, Contact: r.Contact, State: state,
		Created: time.UnixMilli(r.Created).UTC(), Changed: time.UnixMilli(r.Changed).UTC(),
	}, nil
}

// StateOf returns only the state of the space whose records tx holds, and its
// contact: what every act on a space asks for, without reading the person's
// identity. Errors as Load.
func StateOf(tx store.Tx) (State, string, error) {
	r, err := store.Load[struct {
		Contact string `cbor:"4,keyasint,omitempty"`
		State   string `cbor:"5,keyasint"`
	}](tx, recordKey())
	if errors.Is(err, store.ErrNotFound) {
		return 0, "", errs.Wrap(err, errs.NotFound, "there is no such space")
	}
	if err != nil {
		return 0, "", err
	}
	state, err := ParseState(r.State)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return state, r.Contact, nil
}

func save(tx store.Tx, s Space) error {
	return store.Save(tx, recordKey(), record{
		INS: s.INS, Traits: s.Traits, Address: s.Address, Contact: s.Contact, State: s.State.String(),
		Created: s.Created.UnixMilli(), Changed: s.Changed.UnixMilli(),
	})
}

// Change moves the space whose records tx holds to another state, inside a
// transaction that may do more, such as the gate's. The state it has already
// is no error and changes nothing.
//
// Errors: NotFound, Conflict if the state does not follow from the present one.
func Change(tx store.Tx, to State, now time.Time) (Space, error) {
	s, err := Load(tx)
	if err != nil || s.State == to {
		return s, err
	}
	if !s.State.CanBecome(to) {
		return Space{}, errs.New(errs.Conflict, "a space that is %s cannot become %s", s.State, to)
	}
	s.State, s.Changed = to, now.UTC().Truncate(time.Millisecond)
	return s, save(tx, s)
}
