package signin

import (
	"context"
	"errors"
	"slices"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// serves is the record, in a member's account, of which other accounts may
// have a slot that the member's keys open.
type serves struct {
	Accounts []store.Owner `cbor:"1,keyasint"`
}

// AddMember lets another account's keys open an account: a representative, a
// member of an organisation's mailbox. keys are the account's, opened in a
// session of actor's.
//
// Errors: NotFound if either account is none; TooLarge for too long a label or
// too many slots.
func (s *Service) AddMember(ctx context.Context, owner store.Owner, keys *keyring.Bundle, actor identity.Actor, member store.Owner, label string) error {
	if member == owner {
		return errs.New(errs.Invalid, "an account is no member of itself")
	}
	// First the member's own record: one that names too many does no harm.
	if err := s.serve(ctx, member, func(list []store.Owner) []store.Owner {
		if slices.Contains(list, owner) {
			return list
		}
		return append(list, owner)
	}); err != nil {
		return err
	}
	to, err := s.Recipient(ctx, member)
	if err != nil {
		return err
	}
	return s.witnessed(ctx, owner, MemberAdded, actor, func(a *account) error {
		if err := keys.Refresh(a.ring); err != nil {
			return err
		}
		_, err := a.ring.AddAccount(keys, string(member), to, label, s.cfg.Now())
		return err
	})
}

// serve changes the record of what a member's keys open.
func (s *Service) serve(ctx context.Context, member store.Owner, fn func([]store.Owner) []store.Owner) error {
	return s.cfg.DB.Update(ctx, member, func(tx store.Tx) error {
		if _, err := read(tx); err != nil {
			return err
		}
		rec, err := store.Load[serves](tx, servesKey())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return store.Save(tx, servesKey(), serves{fn(rec.Accounts)})
	})
}

// OpenAs opens an account by a member's own opened keys. The bundle learns
// later generations for as long as the member has a slot.
//
// Errors: NotFound; Unauthenticated if the member has no slot.
func (s *Service) OpenAs(ctx context.Context, owner store.Owner, member *keyring.Bundle) (*keyring.Bundle, error) {
	a, err := s.load(ctx, owner)
	if err != nil {
		return nil, err
	}
	keys, _, err := a.ring.OpenAccount(member)
	if err != nil {
		return nil, err
	}
	s.open.add(owner, keys)
	return keys, nil
}

// RemoveMember takes a member's slot away and renews the keys: what comes from
// then on opens to none of theirs. Errors: NotFound.
func (s *Service) RemoveMember(ctx context.Context, owner store.Owner, actor identity.Actor, member store.Owner) error {
	var slot keyring.SlotInfo
	err := s.witnessed(ctx, owner, MemberLeft, actor, func(a *account) error {
		var ok bool
		if slot, ok = a.ring.MemberSlot(string(member)); !ok {
			return keyring.ErrUnknownSlot
		}
		if err := a.ring.RemoveSlot(slot.ID); err != nil {
			return err
		}
		return a.ring.Rotate(nil, s.cfg.Now())
	})
	if err != nil {
		return err
	}
	s.watches.fire(owner, func(id string) bool { return id == slot.ID })
	return s.serve(ctx, member, func(list []store.Owner) []store.Owner {
		return slices.DeleteFunc(list, func(o store.Owner) bool { return o == owner })
	})
}

// moveSlots makes the slots that a member has in other accounts open by the
// newest of the member's keys.
func (s *Service) moveSlots(ctx context.Context, member store.Owner, keys *keyring.Bundle) error {
	var list serves
	err := s.cfg.DB.View(ctx, member, func(tx store.Tx) (err error) {
		list, err = store.Load[serves](tx, servesKey())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, owner := range list.Accounts {
		err := s.change(ctx, owner, func(a *account) error {
			slot, ok := a.ring.MemberSlot(string(member))
			if !ok {
				return errNothing
			}
			opened, _, err := a.ring.OpenAccount(keys)
			if err != nil {
				return err
			}
			defer opened.Wipe()
			_, err = a.ring.AddAccount(opened, string(member), keys.Recipient(), slot.Label, slot.Created)
			return err
		})
		if err != nil && !errors.Is(err, errNothing) && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	return nil
}
