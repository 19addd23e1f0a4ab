package instance

import (
	"context"
	"errors"
	"sync"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
)

// retireAfter is how long after a rotation the older keys are kept although
// nothing is seen under them: a delivery that began before it, however slow,
// has ended by then.
const retireAfter = 24 * time.Hour

// maxResealing is how many accounts are sealed anew at once: each reads and
// writes all that lies there.
const maxResealing = 2

// resealing seals anew, in the background of sessions, the mail of accounts
// whose keys were renewed, and then retires the older keys.
type resealing struct {
	in *Instance

	mu    sync.Mutex
	ctx   context.Context // of workers; nil before the doors open
	turns chan struct{}
	busy  map[store.Owner]bool
	clean map[store.Owner]keyring.Recipient // under whose key all was seen to lie, before retireAfter
}

// start lets the work begin; what signs in before waits for its next time.
func (r *resealing) start(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ctx, r.turns = ctx, make(chan struct{}, maxResealing)
	r.busy, r.clean = make(map[store.Owner]bool), make(map[store.Owner]keyring.Recipient)
}

// begin takes an account up, unless it is already at work or has nothing to do
// yet.
func (r *resealing) begin(owner store.Owner, actor identity.Actor, keys *keyring.Bundle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil || r.busy[owner] || r.clean[owner] == keys.Recipient() && !r.due(keys.Rotated()) {
		return
	}
	r.busy[owner] = true
	r.in.wg.Go(func() {
		defer r.end(owner)
		select {
		case r.turns <- struct{}{}:
			defer func() { <-r.turns }()
		case <-r.ctx.Done():
			return
		}
		if err := r.run(r.ctx, owner, actor, keys); err != nil && r.ctx.Err() == nil && !errors.Is(err, keyring.ErrWiped) && !errors.Is(err, errLeft) {
			r.in.deps.Log.Warn("mail under older keys is not sealed anew yet", "account", string(owner), "err", err)
		}
	})
}

func (r *resealing) end(owner store.Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, owner)
}

// due reports whether the keys older than those of a rotation may be retired.
func (r *resealing) due(rotated time.Time) bool {
	return r.in.deps.Now().Sub(rotated) >= retireAfter
}

// errLeft ends the work on an account that nobody is signed in to any more.
var errLeft = errors.New("the session has ended")

// run seals an account's mail anew; where nothing is left under older keys, it
// retires them when that is due.
func (r *resealing) run(ctx context.Context, owner store.Owner, actor identity.Actor, keys *keyring.Bundle) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The session may end, and wipe its keys, at any time: what is asked of
	// them is asked here.
	to, generation, rotated := keys.Recipient(), keys.Generation(), keys.Rotated()
	if generation == 0 {
		return errLeft
	}
	mail, err := r.in.mail.Open(ctx, actor, owner, keys)
	if err != nil {
		return err
	}
	defer mail.Close()
	done, err := mail.Reseal(ctx, func(p mailbox.Resealed) {
		r.in.deps.Log.Info("mail is sealed anew", "account", string(owner), "done", p.Done, "left", p.Left)
		if !r.in.signin.InUse(owner) {
			cancel(errLeft)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil || done.Left > 0 {
		return err
	}
	if !r.due(rotated) {
		r.mu.Lock()
		r.clean[owner] = to
		r.mu.Unlock()
		return nil
	}
	// What has come since it was looked through lies under the newest keys; a
	// last look finds what a delivery from before the rotation may have left.
	if left, err := r.in.mail.Stale(ctx, owner, to); err != nil || left > 0 {
		return err
	}
	if err := r.in.signin.Retire(ctx, owner, generation, keys, r.in.deps.Now().Add(-retireAfter)); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	r.mu.Lock()
	delete(r.clean, owner)
	r.mu.Unlock()
	return nil
}
