package signin

import (
	"context"
	"errors"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// Profile is who an account is of.
type Profile struct {
	// Actor is whom sessions of this account act as. Its Account is the
	// account's owner, and so is a holder's ID.
	Actor   identity.Actor
	Address identity.Address // of the mailbox; what mail clients sign in with
	Contact string           // e-mail address outside, where codes go; "" if none
}

// Provision makes an account: its keys, which the server can open until
// SetPassword, its profile, and the address that mail clients sign in with.
// For an account that is there it keeps the keys and writes the profile anew;
// so it repairs what a crash left halfway. The owner's records may hold more.
//
// Errors: Invalid; Conflict if the address is another account's, or the
// account is somebody else's.
func (s *Service) Provision(ctx context.Context, owner store.Owner, p Profile) error {
	p, err := p.check(owner)
	if err != nil {
		return err
	}
	switch there, err := s.Member(ctx, owner); {
	case err == nil && (there.Actor.Kind != p.Actor.Kind || there.Actor.ID != p.Actor.ID):
		return errs.New(errs.Conflict, "this account is somebody else's")
	case err != nil && !errs.Is(err, errs.NotFound):
		return err
	}
	if err := s.cfg.Names.Bind(ctx, kindAddress, p.Address.Key(), owner); errs.Is(err, errs.Conflict) {
		return errs.Wrap(err, errs.Conflict, "this address is another account's")
	} else if err != nil {
		return err
	}
	fresh, err := s.newRing(p)
	if err != nil {
		return err
	}
	var left identity.Address
	err = s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		left = identity.Address{}
		a, err := read(tx)
		switch {
		case errs.Is(err, errs.NotFound):
			a = &account{owner: owner, ring: fresh, profile: profile{p.Actor, p.Address, p.Contact, ""}}
			return a.save(tx)
		case err != nil:
			return err
		}
		if a.profile.Address.Key() != p.Address.Key() {
			left = a.profile.Address
		}
		return store.Save(tx, profileKey(), profile{p.Actor, p.Address, p.Contact, a.profile.Login})
	})
	if err != nil {
		return err
	}
	s.wrong.reset()
	if left.IsZero() {
		return nil
	}
	return s.cfg.Names.Unbind(ctx, kindAddress, left.Key())
}

// newRing makes an account's first keys, with a server slot: nobody else could
// open them yet.
func (s *Service) newRing(p Profile) (*keyring.Ring, error) {
	ring, keys, err := keyring.New(p.Address.String(), s.cfg.Now())
	if err != nil {
		return nil, err
	}
	defer keys.Wipe()
	if _, err = ring.AddServer(keys, s.cfg.Server); err == nil && s.cfg.Operators != nil {
		_, err = ring.AddOperators(keys, *s.cfg.Operators, s.cfg.Now())
	}
	return ring, err
}

// check returns p as it is kept, or what is wrong with it.
func (p Profile) check(owner store.Owner) (Profile, error) {
	if !owner.Valid() {
		return p, errs.New(errs.Invalid, "an account needs an owner")
	}
	if p.Address.IsZero() {
		return p, errs.New(errs.Invalid, "an account needs the address of its mailbox")
	}
	if p.Actor.Kind == identity.Unknown {
		return p, errs.New(errs.Invalid, "an account needs somebody to act as")
	}
	if p.Actor.Account != "" && p.Actor.Account != string(owner) {
		return p, errs.New(errs.Invalid, "the actor has another account")
	}
	p.Actor.Account = string(owner)
	if p.Actor.Kind == identity.Holder {
		if p.Actor.ID != "" && p.Actor.ID != string(owner) {
			return p, errs.New(errs.Invalid, "a holder's account is their space")
		}
		p.Actor.ID = string(owner)
	}
	if p.Contact != "" {
		a, err := identity.ParseAddress(p.Contact)
		if err != nil {
			return p, errs.Wrap(err, errs.Invalid, "the contact is no e-mail address")
		}
		p.Contact = a.String()
	}
	return p, nil
}

// Member returns an account's profile, or an error of kind NotFound.
func (s *Service) Member(ctx context.Context, owner store.Owner) (Profile, error) {
	if !owner.Valid() {
		return Profile{}, errNoAccount
	}
	var p profile
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) (err error) {
		p, err = store.Load[profile](tx, profileKey())
		return err
	})
	if err != nil {
		return Profile{}, noAccount(err)
	}
	return Profile{Actor: p.Actor, Address: p.Address, Contact: p.Contact}, nil
}

// Recipient returns to whom an account's mail is sealed, or an error of kind
// NotFound. It costs one get.
func (s *Service) Recipient(ctx context.Context, owner store.Owner) (keyring.Recipient, error) {
	if !owner.Valid() {
		return keyring.Recipient{}, errNoAccount
	}
	var r keyring.Recipient
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) (err error) {
		r, err = store.Load[keyring.Recipient](tx, recipientKey())
		return err
	})
	if errors.Is(err, store.ErrCorrupt) { // the ring knows it too
		a, err := s.load(ctx, owner)
		if err != nil {
			return r, err
		}
		return a.ring.Recipient(), nil
	}
	return r, noAccount(err)
}

// Fingerprints returns the fingerprints of the keys, of every generation, that
// mail for an account is or was sealed to.
func (s *Service) Fingerprints(ctx context.Context, owner store.Owner) ([][32]byte, error) {
	a, err := s.load(ctx, owner)
	if err != nil {
		return nil, err
	}
	return a.ring.Fingerprints(), nil
}

// Rebind makes an account's address and login lead to it again, after damage
// to names.
func (s *Service) Rebind(ctx context.Context, owner store.Owner) error {
	a, err := s.load(ctx, owner)
	if err != nil {
		return err
	}
	err = s.cfg.Names.Rebind(ctx, kindAddress, a.profile.Address.Key(), owner)
	if a.profile.Login != "" {
		err = errors.Join(err, s.cfg.Names.Rebind(ctx, kindLogin, a.profile.Login, owner))
	}
	return err
}

// Refresh lets opened keys learn what the account's ring has had since.
func (s *Service) Refresh(ctx context.Context, owner store.Owner, keys *keyring.Bundle) error {
	a, err := s.load(ctx, owner)
	if err != nil {
		return err
	}
	return keys.Refresh(a.ring)
}
