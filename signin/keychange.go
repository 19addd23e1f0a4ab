package signin

import (
	"context"
	"errors"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// What names a change of how an account is opened.
type What string

// The changes that leave something for the holder.
const (
	CodeRenewed What = "code"     // the holder has made a new recovery code
	Recovered   What = "recover"  // the holder came by the recovery code, and set a password
	CodeIssued  What = "operator" // two operators have made a recovery code
	Rotated     What = "rotate"   // new keys for what comes
	MemberAdded What = "member"   // another account opens this one
	MemberLeft  What = "left"     // and no longer does
)

// KeyChange is one change of how an account is opened.
type KeyChange struct {
	Account store.Owner
	What    What
	Actor   identity.Actor // who made it; of Kind Unknown: the operator
	Contact string         // where the holder is told, "" if nowhere
}

// witnessed is change with what it leaves for the holder.
func (s *Service) witnessed(ctx context.Context, owner store.Owner, what What, actor identity.Actor, fn func(a *account) error) error {
	return s.changeIn(ctx, owner, func(a *account, write func(tx store.Tx) error) error {
		return s.cfg.Witness(ctx, KeyChange{owner, what, actor, a.profile.Contact}, write)
	}, fn)
}

// lacksOperators reports whether a ring should have the operators' slot, and
// has not.
func (s *Service) lacksOperators(r *keyring.Ring) bool {
	return s.cfg.Operators != nil && !r.HasOperators(*s.cfg.Operators)
}

// complete gives an account the operators' slot that it lacks, by keys that
// are open. A failure is logged, and made good at the next sign-in.
func (s *Service) complete(ctx context.Context, owner store.Owner, keys *keyring.Bundle) {
	if s.cfg.Operators == nil {
		return
	}
	err := s.change(ctx, owner, func(a *account) error {
		if !s.lacksOperators(a.ring) {
			return errNothing
		}
		if err := keys.Refresh(a.ring); err != nil {
			return err
		}
		_, err := a.ring.AddOperators(keys, *s.cfg.Operators, s.cfg.Now())
		return err
	})
	if err != nil && !errors.Is(err, errNothing) && ctx.Err() == nil {
		s.cfg.Log.Warn("an account has no slot of the operators yet", "account", owner, "err", err)
	}
}

// errNothing ends a change that has nothing to do.
var errNothing = errors.New("signin: nothing to change")

// Complete gives an account whose server slot opens it the operators' slot, if
// it lacks it. Others get theirs at their next sign-in.
func (s *Service) Complete(ctx context.Context, owner store.Owner) error {
	a, err := s.load(ctx, owner)
	if err != nil || !s.lacksOperators(a.ring) {
		return err
	}
	keys, err := a.ring.OpenServer(s.cfg.Server)
	if errors.Is(err, keyring.ErrNoSlot) {
		return nil
	}
	if err != nil {
		return err
	}
	defer keys.Wipe()
	s.complete(ctx, owner, keys)
	return nil
}

// KeyState is how an account's keys stand.
type KeyState struct {
	Generation  uint32            // the newest, from 1
	Waiting     bool              // mail may lie under older ones
	Recipient   keyring.Recipient // of the newest
	Operators   bool              // the configured operators' keys open it together
	Code        bool              // it has a recovery code
	CodeCreated time.Time         // when that was made
	Server      bool              // the server itself can open it
	Activated   bool
}

// Keys returns how an account's keys stand.
func (s *Service) Keys(ctx context.Context, owner store.Owner) (KeyState, error) {
	a, err := s.load(ctx, owner)
	if err != nil {
		return KeyState{}, err
	}
	k := KeyState{Generation: a.ring.Generation(), Waiting: a.ring.Generations() > 1, Recipient: a.ring.Recipient(),
		Activated: a.profile.Login != ""}
	k.Operators = s.cfg.Operators != nil && !s.lacksOperators(a.ring)
	for _, slot := range a.ring.Slots() {
		switch slot.Kind {
		case keyring.Recovery:
			k.Code, k.CodeCreated = true, slot.Created
		case keyring.Server:
			k.Server = true
		}
	}
	return k, nil
}

// Rotate gives an account new keys for what comes from now on, without any
// credential: every slot opens them. Open sessions of this process know them
// at once. What was sealed before stays readable until Retire.
//
// Errors: NotFound; TooLarge when too many generations wait for their mail to
// be sealed again.
func (s *Service) Rotate(ctx context.Context, owner store.Owner) error {
	var now *account
	err := s.witnessed(ctx, owner, Rotated, identity.Actor{}, func(a *account) error {
		now = a
		return a.ring.Rotate(nil, s.cfg.Now())
	})
	if err != nil {
		return err
	}
	if keys := s.open.any(owner, now.ring.Recipient()); keys != nil && s.InUse(owner) {
		s.waiting(owner, now.profile.Actor, keys)
	}
	return nil
}

// waiting tells of keys under the older of which mail may lie.
func (s *Service) waiting(owner store.Owner, actor identity.Actor, keys *keyring.Bundle) {
	if s.cfg.Waiting != nil && keys.Generations() > 1 {
		s.cfg.Waiting(owner, actor, keys)
	}
}

// InUse reports whether anybody is signed in to an account in this process, at
// the portal or by a mail client.
func (s *Service) InUse(owner store.Owner) bool {
	return s.doors.in(owner) || s.watches.in(owner)
}

// Retire forgets the keys of an account older than the generation given: what
// is sealed to them can be opened by nobody from then on. The caller has seen
// that nothing is. keys are the account's: the slots that it has in others'
// accounts go over to its new key first. If there is a newer generation still,
// or this one was made after rotated, nothing is done.
func (s *Service) Retire(ctx context.Context, owner store.Owner, generation uint32, keys *keyring.Bundle, rotated time.Time) error {
	if err := s.moveSlots(ctx, owner, keys); err != nil {
		return err
	}
	err := s.change(ctx, owner, func(a *account) error {
		if a.ring.Generation() != generation || a.ring.Generations() == 1 || a.ring.Rotated().After(rotated) {
			return errNothing
		}
		a.ring.Retire()
		return nil
	})
	if errors.Is(err, errNothing) || errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}
