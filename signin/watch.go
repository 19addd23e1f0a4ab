package signin

import (
	"context"
	"sync"

	"pli/internal/errs"
	"pli/store"
)

// watches knows the open sessions of mail clients, by account: whom to tell
// when what they signed in with is taken away. The faces bound how many there
// are; each holds a few words.
type watches struct {
	mu   sync.Mutex
	held map[store.Owner]map[*watch]struct{}
}

// watch is one open session.
type watch struct {
	slot string
	end  func()
}

func newWatches() *watches { return &watches{held: make(map[store.Owner]map[*watch]struct{})} }

// Watch calls end, once and on a goroutine of its own, when the mail password
// of that slot is removed, or when RevokeAll ends everything of the account;
// slot "" is for a session that no mail password opened. stop ends the watch:
// after it, end may still run if it had begun.
//
// It tells of what this process does; Holds tells of the rest, and of what was
// done before the watch began.
func (s *Service) Watch(account store.Owner, slot string, end func()) (stop func()) {
	w := &watch{slot, end}
	d := s.watches
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held[account] == nil {
		d.held[account] = make(map[*watch]struct{})
	}
	d.held[account][w] = struct{}{}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.drop(account, w)
	}
}

// drop forgets a watch; the caller holds the lock.
func (d *watches) drop(account store.Owner, w *watch) {
	delete(d.held[account], w)
	if len(d.held[account]) == 0 {
		delete(d.held, account)
	}
}

// in reports whether an account has a session of a mail client.
func (d *watches) in(owner store.Owner) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.held[owner]) > 0
}

// fire ends the sessions of an account that fit.
func (d *watches) fire(account store.Owner, fits func(slot string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.held[account] {
		if fits(w.slot) {
			d.drop(account, w)
			go w.end()
		}
	}
}

var errTakenAway = errs.New(errs.Unauthenticated, "what this session signed in with is no longer good")

// Holds returns nil while a slot opens an account, as Opened named it: what an
// open session asks from time to time. For slot "", the account must be there.
//
// Errors: Unauthenticated when the slot is gone; NotFound when the account is.
func (s *Service) Holds(ctx context.Context, account store.Owner, slot string) error {
	a, err := s.load(ctx, account)
	if err != nil || slot == "" {
		return err
	}
	if _, ok := a.ring.Slot(slot); !ok {
		return errTakenAway
	}
	return nil
}
