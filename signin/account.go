package signin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// The kinds of name that lead to an account.
const (
	kindLogin   = "login"
	kindAddress = "signin address"
)

// Where an account keeps its records. recipientKey holds what the ring's
// newest generation is, alone, for deliveries: they need nothing else.
func ringKey() []byte      { return []byte("signin/ring") }
func profileKey() []byte   { return []byte("signin/profile") }
func recipientKey() []byte { return []byte("signin/recipient") }
func usedKey() []byte      { return []byte("signin/used") }
func servesKey() []byte    { return []byte("signin/serves") }

// profile is the stored form of a Profile. A number, once given, keeps its
// meaning.
type profile struct {
	Actor   identity.Actor   `cbor:"1,keyasint"`
	Address identity.Address `cbor:"2,keyasint"`
	Contact string           `cbor:"3,keyasint,omitempty"`
	Login   string           `cbor:"4,keyasint,omitempty"` // normalised; "" before activation
}

var errNoAccount = errs.New(errs.NotFound, "there is no such account")

// account is what is read of an account at once.
type account struct {
	owner   store.Owner
	profile profile
	ring    *keyring.Ring
	stored  []byte // the ring's record as read
	used    used
}

// load reads an account, or returns an error of kind NotFound.
func (s *Service) load(ctx context.Context, owner store.Owner) (*account, error) {
	if !owner.Valid() {
		return nil, errNoAccount
	}
	var a *account
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) (err error) {
		a, err = read(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.ring = new(keyring.Ring)
	return a, a.ring.UnmarshalCBOR(a.stored)
}

// decoy is the account of nobody. It is read in place of the account of a name
// that leads to none, so that the answer does the same work: for a holder's
// address, whether it exists is itself a secret.
const decoy store.Owner = "sys/signin-decoy"

// nobody is a name that no account has.
const nobody = " "

// addDecoy writes the account of nobody, unless it is there.
func (s *Service) addDecoy(ctx context.Context) error {
	if _, err := s.load(ctx, decoy); !errs.Is(err, errs.NotFound) && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, keyring.ErrDamaged) {
		return err
	}
	ring, keys, err := keyring.New("", s.cfg.Now())
	if err != nil {
		return err
	}
	defer keys.Wipe()
	if _, _, err := ring.AddGenerated(keys, keyring.MailPassword, "", s.cfg.Now()); err != nil {
		return err // the secret is kept by nobody
	}
	return s.cfg.DB.Update(ctx, decoy, (&account{owner: decoy, ring: ring}).save)
}

// find returns the account that a name leads to, or that of nobody.
func (s *Service) find(ctx context.Context, kind, name string) (*account, error) {
	owner, err := s.cfg.Names.Find(ctx, kind, name)
	if errs.Is(err, errs.NotFound) {
		owner = decoy
	} else if err != nil {
		return nil, err
	}
	a, err := s.load(ctx, owner)
	if errs.Is(err, errs.NotFound) { // bound, but a crash came before the account was written
		a, err = s.load(ctx, decoy)
	}
	if err != nil {
		return nil, err
	}
	if kind == kindLogin && a.profile.Login != name || kind == kindAddress && a.profile.Address.Key() != name {
		a.owner = decoy // a name of before
	}
	return a, nil
}

func read(tx store.Tx) (*account, error) {
	p, err := store.Load[profile](tx, profileKey())
	if err != nil {
		return nil, noAccount(err)
	}
	stored, err := tx.Get(ringKey())
	if err != nil {
		return nil, noAccount(err)
	}
	u, err := store.Load[used](tx, usedKey())
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
		return nil, err
	}
	return &account{owner: tx.Owner(), profile: p, stored: slices.Clone(stored), used: u}, nil
}

// noAccount gives the absence of a record its kind.
func noAccount(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errNoAccount
	}
	return err
}

// save writes the account's records.
func (a *account) save(tx store.Tx) error {
	b, err := a.ring.MarshalCBOR()
	if err != nil {
		return err
	}
	if err := tx.Put(ringKey(), b); err != nil {
		return err
	}
	if err := store.Save(tx, recipientKey(), a.ring.Recipient()); err != nil {
		return err
	}
	return store.Save(tx, profileKey(), a.profile)
}

// changeLocks is how many locks keep changes of this process apart.
const changeLocks = 64

// changeTries bounds how often a change begins again because another process
// changed the same account meanwhile.
const changeTries = 16

var errBusy = errs.New(errs.Unavailable, "this account is being changed elsewhere: try again")

// change applies fn to an account and writes it back, if nobody else changed
// its keys meanwhile; else it begins again. fn runs outside the transaction:
// deriving a key takes long. An error of fn ends it.
func (s *Service) change(ctx context.Context, owner store.Owner, fn func(a *account) error) error {
	return s.changeIn(ctx, owner, func(_ *account, write func(tx store.Tx) error) error {
		return s.cfg.DB.Update(ctx, owner, write)
	}, fn)
}

// changeIn is change, whose transaction is update's.
func (s *Service) changeIn(ctx context.Context, owner store.Owner, update func(a *account, write func(tx store.Tx) error) error, fn func(a *account) error) error {
	lock := &s.changing[sha256.Sum256([]byte(owner))[0]%changeLocks]
	lock.Lock()
	defer lock.Unlock()
	for range changeTries {
		a, err := s.load(ctx, owner)
		if err != nil {
			return err
		}
		if err := fn(a); err != nil {
			return err
		}
		err = update(a, func(tx store.Tx) error {
			now, err := tx.Get(ringKey())
			if err != nil {
				return noAccount(err)
			}
			if !bytes.Equal(now, a.stored) {
				return errBusy
			}
			tx.AfterCommit(func() { s.open.refresh(owner, a.ring) })
			return a.save(tx)
		})
		if err == nil || !errors.Is(err, errBusy) {
			return err
		}
	}
	return errBusy
}
