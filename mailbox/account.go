package mailbox

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// Account is one session's hold on an owner's mail. What it reads is shared
// with the other sessions on the same owner. Its methods may run at once.
type Account struct {
	s       *Service
	sh      *shared
	actor   identity.Actor
	keys    *keyring.Bundle
	changed chan struct{}
}

// Open opens owner's mail with its key bundle, which the caller keeps unwiped
// until Close; without one (nil) it tells of boxes and flags alone. On a space ("s/…") it passes the gate (consent.ActMailOpen); one
// actor's opens within an hour make one line in the trace. Errors: errs.NotFound
// without Provision, errs.Denied by the gate.
func (s *Service) Open(ctx context.Context, actor identity.Actor, owner store.Owner, keys *keyring.Bundle) (*Account, error) {
	if isSpace(owner) {
		if err := s.passOpen(ctx, actor, owner); err != nil {
			return nil, err
		}
	}
	if keys == nil {
		keys = new(keyring.Bundle) // opens nothing
	}
	a := &Account{s: s, sh: s.hold(owner), actor: actor, keys: keys, changed: make(chan struct{}, 1)}
	if err := a.begin(ctx); err != nil {
		a.sh.release()
		return nil, err
	}
	return a, nil
}

// Allowed asks the gate again whether the hold may go on: a space may have been
// closed since. Being allowed adds no line to the trace; a refusal does, and is
// Open's.
func (a *Account) Allowed(ctx context.Context) error {
	if !isSpace(a.Owner()) {
		return nil
	}
	req := consent.Request{Space: a.Owner(), Act: consent.ActMailOpen}
	return a.s.cfg.Gate.Do(ctx, a.actor, req, func(store.Tx) error { return consent.ErrNothing })
}

// begin reads what every session needs and finishes what a crash may have left
// of a deletion.
func (a *Account) begin(ctx context.Context) error {
	d, err := a.directory(ctx)
	if err != nil {
		return err
	}
	a.sh.mu.Lock()
	a.sh.accounts[a] = struct{}{}
	if gen := a.keys.Generation(); gen > a.sh.paged { // the first session, or the first with new keys
		a.sh.paged, a.sh.touched.all = gen, true
	}
	a.sh.kick()
	a.sh.mu.Unlock()
	for _, id := range d.Dying {
		if err := a.s.purge(ctx, a.Owner(), id); err != nil {
			a.s.cfg.Log.Warn("the messages of a deleted folder are not removed yet", "owner", string(a.Owner()), "err", err)
			break
		}
	}
	return nil
}

// directory reads the directory.
func (a *Account) directory(ctx context.Context) (d *directory, err error) {
	err = a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) error {
		d, err = loadDirectory(tx)
		return err
	})
	if err == nil {
		a.sh.mu.Lock()
		a.sh.learn(d.Keywords)
		a.sh.mu.Unlock()
	}
	return d, err
}

// Close ends the hold, and a pass that uses its keys. Its views must be closed
// before.
func (a *Account) Close() {
	a.sh.mu.Lock()
	_, open := a.sh.accounts[a]
	delete(a.sh.accounts, a)
	a.sh.mu.Unlock()
	if open {
		a.sh.leave(a)
		a.sh.release()
	}
}

// Owner returns whose mail it is.
func (a *Account) Owner() store.Owner { return a.sh.owner }

// Changed is ready after something changed in any box, by whomever. It is for
// one receiver.
func (a *Account) Changed() <-chan struct{} { return a.changed }

// update runs fn in a transaction on the account.
func (a *Account) update(ctx context.Context, fn func(tx store.Tx) error) error {
	return full(a.s.cfg.DB.Update(ctx, a.Owner(), fn))
}

// Appended says where a message went.
type Appended struct {
	UIDValidity uint32
	UID         UID
}

// Append adds a message to a box, sealed like all others. A zero at is now.
// Errors: errs.NotFound for a missing box (before r is read), errs.TooLarge.
func (a *Account) Append(ctx context.Context, box string, flags []Flag, at time.Time, r io.Reader) (Appended, error) {
	if err := a.s.checkFlags(flags); err != nil {
		return Appended{}, err
	}
	d, err := a.directory(ctx)
	if err != nil {
		return Appended{}, err
	}
	l, err := d.find(box)
	if err != nil {
		return Appended{}, err
	}
	done := Appended{UIDValidity: l.UIDValidity}
	p, err := a.s.Spool(ctx, []keyring.Recipient{a.keys.Recipient()})
	if err != nil {
		return done, err
	}
	defer p.Discard()
	if _, err := io.Copy(p, r); err != nil {
		return done, err
	}
	if err := p.Close(); err != nil {
		return done, err
	}
	known, letter := d.Keywords, p.Letter(0)
	var uid UID
	err = a.update(ctx, func(tx store.Tx) (err error) {
		uid, err = a.s.deliver(tx, letter, l.Name, flags, at, known)
		return err
	})
	if err != nil {
		return done, err
	}
	done.UID = uid
	return done, nil
}

// isSpace reports whether an owner is a space, whose mail lies behind the gate.
func isSpace(owner store.Owner) bool { return strings.HasPrefix(string(owner), "s/") }

// openings is the record of who opened a space's mail when, the latest last.
type openings struct {
	By []opening `cbor:"1,keyasint"`
}

type opening struct {
	Actor string    `cbor:"1,keyasint"`
	At    time.Time `cbor:"2,keyasint"`
}

// A new line for the same actor is traced after openingHour. maxOpenings bounds
// the record: an actor pushed out of it is merely traced again.
const (
	openingHour = time.Hour
	maxOpenings = 32
)

// passOpen asks the gate. It decides each time, also where no line is added.
func (s *Service) passOpen(ctx context.Context, actor identity.Actor, owner store.Owner) error {
	if s.cfg.Gate == nil {
		return errors.New("mailbox: a space without a gate")
	}
	who := actor.Kind.String() + " " + actor.ID + " " + actor.Account
	req := consent.Request{Space: owner, Act: consent.ActMailOpen}
	return s.cfg.Gate.Do(ctx, actor, req, func(tx store.Tx) error {
		if _, err := tx.Get([]byte(keyDirectory)); errors.Is(err, store.ErrNotFound) {
			return errs.New(errs.NotFound, "this account has no mailbox")
		}
		rec, err := store.Load[openings](tx, []byte(keyOpened))
		if err != nil && !lost(err) { // damaged, it is begun anew
			return err
		}
		now := s.cfg.Now()
		var keep []opening
		for _, o := range rec.By {
			age := now.Sub(o.At)
			if age < 0 || age >= openingHour {
				continue
			}
			if o.Actor == who {
				return consent.ErrNothing
			}
			keep = append(keep, o)
		}
		if len(keep) >= maxOpenings {
			keep = keep[1:]
		}
		keep = append(keep, opening{who, now})
		return store.Save(tx, []byte(keyOpened), openings{keep})
	})
}
