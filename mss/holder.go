package mss

import (
	"context"
	"errors"
	"slices"
	"time"

	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
	"pli/store/sealed"
)

// senderKey names whom unknown recipients are counted for.
func (t *Transaction) senderKey() string {
	if t.peer != nil {
		return "peer " + t.peer.key
	}
	return "member " + string(t.sender.Account)
}

// rcptHolder finds the space of a holder's address. Whether a space exists is
// itself a secret: every refusal of an address has the same words, does the
// same work, and takes a multiple of RefusalFloor.
func (t *Transaction) rcptHolder(ctx context.Context, r *recipient) error {
	if t.fromHolder() {
		return refuse(NoExchange) // never to another holder (mission D2)
	}
	if slices.ContainsFunc(t.rcpts, func(old recipient) bool { return old.holder }) {
		return refuse(SecondHolder)
	}
	start := t.s.cfg.Now()
	if t.s.shares.paused(t.senderKey(), start) {
		return refuse(TooManyUnknown)
	}
	known, err := t.findHolder(ctx, r)
	if err != nil {
		return err
	}
	holder := string(r.owner) // however its address is spelled
	if !known {
		holder = r.address.Key()
	}
	t.s.shares.note(t.senderKey(), holder, !known, start)
	if !known {
		floor := t.s.cfg.Limits.RefusalFloor
		t.s.wait(ctx, floor-t.s.cfg.Now().Sub(start)%floor)
		return refuse(UnknownRecipient)
	}
	return nil
}

// decoy is looked up where there is no space, so that it takes as long.
const decoy store.Owner = "s/aaaaaaaaaaaaaaaaaaaaaaaaaa"

// findHolder fills in a holder, and reports whether there is a space that
// takes mail.
func (t *Transaction) findHolder(ctx context.Context, r *recipient) (bool, error) {
	owner, err := t.s.cfg.Spaces.ByINS(ctx, r.address.Local())
	if errs.Is(err, errs.NotFound) {
		owner = decoy
	} else if err != nil {
		return false, err
	}
	state, err := t.s.cfg.Spaces.State(ctx, owner)
	if err != nil && !gone(err) {
		return false, err
	}
	exists := err == nil
	key, err := t.s.cfg.Signin.Recipient(ctx, owner)
	if err != nil && (!gone(err) || exists && state.AcceptsMail()) {
		return false, err
	}
	if exists && !state.AcceptsMail() {
		t.traceRejected(owner)
	}
	if !exists || !state.AcceptsMail() {
		return false, nil
	}
	r.owner, r.key, r.holder = owner, key, true
	return true, nil
}

// gone reports whether what was looked for is not there, or no longer: its
// keys were destroyed.
func gone(err error) bool { return errs.Is(err, errs.NotFound) || errors.Is(err, sealed.ErrDestroyed) }

// traceRejected traces a letter refused because the space takes none, off the
// reply path: its time must tell nothing.
func (t *Transaction) traceRejected(owner store.Owner) {
	actor := t.actor(t.from, "")
	req := consent.Request{Space: owner, Act: consent.ActMailReject, Title: t.from.String()}
	t.s.traceLater(func(ctx context.Context) error {
		return t.s.cfg.Gate.Trace(ctx, actor, req, "deny", "the space takes no mail")
	})
}

// actor returns who sends, under the name and address of From.
func (t *Transaction) actor(from identity.Address, name string) identity.Actor {
	if t.peer == nil {
		a := t.sender.Actor
		a.Address = from.String()
		return a
	}
	a := t.peer.actor
	a.Address = from.String()
	if name != "" {
		a.Name = name
	}
	return a
}

// wait returns after d, or when ctx ends.
func (s *Service) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
