package signin

import (
	"container/list"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// Opened is what a mail client has signed in to.
type Opened struct {
	Actor   identity.Actor
	Account store.Owner
	Address identity.Address
	Keys    *keyring.Bundle // its own
	Slot    string          // id of the mail password used
}

var errWrongMail = errs.New(errs.Unauthenticated, "the address or the mail password is not right")

// Mail signs a mail client in, by the account's address and a mail password
// that AddMailPassword made; never by the password of a person. It derives no
// slow key: one opening takes a fraction of a millisecond.
//
// An unknown address and a wrong password are one error of kind
// Unauthenticated, with the same words and the same work, after the same time.
// A client that goes on with a password that was removed is answered from
// memory, and does not slow down the account's other clients; one that has
// signed in before does not wait for what others try, from its own address too.
func (s *Service) Mail(ctx context.Context, address, password string) (*Opened, error) {
	start := s.cfg.Now()
	opened, err := s.openMail(ctx, start, address, password)
	if err != nil {
		floor := s.cfg.MailFloor
		wait(ctx, floor-s.cfg.Now().Sub(start)%floor)
		return nil, err
	}
	return opened, nil
}

// wait lets d pass, or less if ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// openMail is Mail, which takes as long as it takes.
func (s *Service) openMail(ctx context.Context, now time.Time, address, password string) (*Opened, error) {
	name := nobody
	if at, err := identity.ParseAddress(address); err == nil {
		name = at.Key()
	}
	sum := s.mailHash(name, password)
	if s.wrong.has(sum, now) {
		return nil, errWrongMail
	}
	var turn *turn // nil: not counted
	if !s.right.has(sum, now) {
		var err error
		if turn, err = s.throttle.take(now, s.throttle.mail(ctx, name)...); err != nil {
			return nil, err
		}
	}
	a, err := s.find(ctx, kindAddress, name)
	if err != nil {
		turn.giveBack()
		return nil, err
	}
	keys, slot, err := a.ring.OpenGenerated(password, keyring.MailPassword)
	if err == nil && a.owner == decoy {
		keys.Wipe()
		err = errWrongMail
	}
	if errs.Is(err, errs.Unauthenticated) {
		s.wrong.add(sum, now)
		s.right.drop(sum)
		return nil, errWrongMail
	}
	turn.giveBack()
	if err != nil {
		return nil, err
	}
	s.right.add(sum, now)
	s.open.add(a.owner, keys)
	s.noteUse(ctx, a, slot, now)
	if s.lacksOperators(a.ring) {
		s.complete(ctx, a.owner, keys)
	}
	p := a.profile
	s.waiting(a.owner, p.Actor, keys)
	return &Opened{Actor: p.Actor, Account: a.owner, Address: p.Address, Keys: keys, Slot: slot}, nil
}

// mail returns the limits of a mail client's try. They are short: a mail
// password cannot be guessed, and what is spared is only work.
func (t *throttle) mail(ctx context.Context, address string) []limit {
	const free, most = 20, 10 * time.Second
	remote := remoteOf(ctx)
	if !remote.IsValid() {
		return []limit{{keyOf("mail", address, ""), free, most}}
	}
	return []limit{
		{keyOf("mail", address, place(remote)), free, most},
		{keyOf("mail remote", place(remote), ""), 10 * free, 6 * most},
	}
}

// mailHash returns what is remembered of a mail password.
func (s *Service) mailHash(address, password string) (sum [32]byte) {
	h := hmac.New(sha256.New, s.secret[:])
	h.Write([]byte("mail\x00" + address + "\x00" + password))
	h.Sum(sum[:0])
	return sum
}

// How long a mail password is remembered that was wrong, or right.
const (
	wrongFor = 10 * time.Minute
	rightFor = 30 * 24 * time.Hour
)

// secretSums remembers mail passwords by keyed hash, in bounded memory.
type secretSums struct {
	mu    sync.Mutex
	lasts time.Duration
	most  int
	until map[[32]byte]time.Time
	order *list.List // of [32]byte, oldest first
}

func newSecretSums(lasts time.Duration, most int) *secretSums {
	return &secretSums{lasts: lasts, most: most, until: make(map[[32]byte]time.Time), order: list.New()}
}

func (w *secretSums) has(sum [32]byte, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	until, ok := w.until[sum]
	return ok && now.Before(until) && until.Sub(now) <= w.lasts
}

func (w *secretSums) add(sum [32]byte, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.until[sum]; !ok {
		w.order.PushBack(sum)
	}
	w.until[sum] = now.Add(w.lasts)
	for w.order.Len() > w.most {
		delete(w.until, w.order.Remove(w.order.Front()).([32]byte))
	}
}

// drop forgets one; its place in the order stays until it is the oldest.
func (w *secretSums) drop(sum [32]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.until[sum]; ok {
		w.until[sum] = time.Time{}
	}
}

// reset forgets all: what was wrong at an address may be right when an account
// moves there. A new secret needs none: nobody had it before.
func (w *secretSums) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.until)
	w.order.Init()
}

// AddMailPassword makes a password for one mail client and returns it, to be
// shown once. label is what the holder calls the client, at most
// keyring.MaxLabel bytes. keys are the account's, opened in a session; nil
// opens them by the server's own slot, for an account that nobody has
// activated yet, or that has no other sign-in.
//
// Errors: NotFound; Conflict if keys is nil and there is no server slot;
// TooLarge for too long a label or too many passwords.
func (s *Service) AddMailPassword(ctx context.Context, owner store.Owner, keys *keyring.Bundle, label string) (string, error) {
	var secret string
	err := s.change(ctx, owner, func(a *account) (err error) {
		with := keys
		if with == nil {
			if with, err = a.ring.OpenServer(s.cfg.Server); errors.Is(err, keyring.ErrNoSlot) {
				return errs.New(errs.Conflict, "this account is activated: its holder makes mail passwords, signed in")
			} else if err != nil {
				return err
			}
			defer with.Wipe()
		} else if err := with.Refresh(a.ring); err != nil {
			return err
		}
		_, secret, err = a.ring.AddGenerated(with, keyring.MailPassword, label, s.cfg.Now())
		return err
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// MailPassword is one client's password, without its secret, which nobody has.
type MailPassword struct {
	keyring.SlotInfo
	Used time.Time // the day it was last signed in with, UTC; zero if never
}

// MailPasswords lists an account's mail passwords, oldest first.
func (s *Service) MailPasswords(ctx context.Context, owner store.Owner) ([]MailPassword, error) {
	a, err := s.load(ctx, owner)
	if err != nil {
		return nil, err
	}
	var list []MailPassword
	for _, slot := range a.ring.Slots() {
		if slot.Kind == keyring.MailPassword {
			list = append(list, MailPassword{slot, a.used.day(slot.ID)})
		}
	}
	return list, nil
}

// RemoveMailPassword makes a mail password useless from now on, and ends the
// sessions that it opened (Watch).
//
// Errors: NotFound; Conflict if it is the last way to open the account.
func (s *Service) RemoveMailPassword(ctx context.Context, owner store.Owner, id string) error {
	err := s.change(ctx, owner, func(a *account) error {
		if slot, ok := a.ring.Slot(id); !ok || slot.Kind != keyring.MailPassword {
			return keyring.ErrUnknownSlot
		}
		return a.ring.RemoveSlot(id)
	})
	if err == nil {
		s.watches.fire(owner, func(slot string) bool { return slot == id })
	}
	return err
}

// ServerCanOpen reports whether the server itself could open an account's mail,
// as its holder is to be shown.
func (s *Service) ServerCanOpen(ctx context.Context, owner store.Owner) (bool, error) {
	a, err := s.load(ctx, owner)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(a.ring.Slots(), func(i keyring.SlotInfo) bool { return i.Kind == keyring.Server }), nil
}
