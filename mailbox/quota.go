package mailbox

import (
	"context"
	"errors"

	"pli/consent"
	"pli/internal/errs"
	"pli/store"
)

// ErrOverQuota is the cause of the errs.TooLarge of whatever would bring an
// account above its quota (RFC 9208 6, OVERQUOTA).
var ErrOverQuota = errors.New("mailbox: over quota")

// Quota is how much an account's mail holds, and may hold. Every message
// counts with its size, once, in however many boxes it lies: a copy takes
// nothing, and the last expunge gives the message's size back.
type Quota struct {
	Used  int64 // bytes of all messages
	Limit int64 // bytes; 0: none
	Own   bool  // Limit is the account's own, not the instance's
}

// nearly says from which share of its limit on an account is nearly full: its
// holder is told, once. They may be told again after use has been below again.
const (
	nearly = 90 // percent
	again  = 80
)

// Near reports whether the account is nearly full.
func (q Quota) Near() bool { return beyond(q.Used, q.Limit, nearly) }

// Full reports whether not one byte more may come.
func (q Quota) Full() bool { return q.Limit > 0 && q.Used >= q.Limit }

// beyond reports whether used is more than so many percent of limit.
func beyond(used, limit, percent int64) bool {
	return limit > 0 && used > limit/100*percent+limit%100*percent/100
}

// use is what the counters of INBOX, and of no other box, say of the whole
// account: a delivery reads and writes them anyway.
type use struct {
	Counted bool  `cbor:"10,keyasint,omitempty"` // false before the first write since there are quotas: Used is not known
	Used    int64 `cbor:"11,keyasint,omitempty"` // as Quota has it
	Limit   int64 `cbor:"12,keyasint,omitempty"` // as directory has it
	Told    uint8 `cbor:"13,keyasint,omitempty"` // what the holder was told last
}

// What the holder has been told.
const (
	toldNear = 1
	toldFull = 2
)

// quota returns what a use means for an owner.
func (s *Service) quota(owner store.Owner, u use) Quota {
	q := Quota{Used: u.Used, Limit: u.Limit, Own: u.Limit != 0}
	switch {
	case u.Limit == noLimit:
		q.Limit = 0
	case q.Own:
	case isSpace(owner):
		q.Limit = s.cfg.HolderQuota
	default:
		q.Limit = s.cfg.MemberQuota
	}
	return q
}

// noLimit is the record of an account of its own without a limit.
const noLimit = -1

// grow notes that the transaction brings messages of n bytes to the account,
// or, negative, takes them away. save settles it.
func (b *boxTx) grow(n int64) { b.grown += n }

// settle brings the account's use up to date. The caller saves b after it. More
// than the quota allows is errs.TooLarge with cause ErrOverQuota.
func (b *boxTx) settle() error {
	if b.d.box == inboxID {
		return b.s.charge(b.tx, &b.c.use, b.grown, true)
	}
	return b.s.settle(b.tx, b.grown, true)
}

// settle is for transactions that have saved what they change in INBOX. Where
// INBOX's counters are lost or damaged nothing is counted nor refused, until
// they are mended.
func (s *Service) settle(tx store.Tx, grown int64, bounded bool) error {
	if grown == 0 {
		return nil
	}
	c, err := store.Load[counters](tx, keyBox(inboxID))
	if lost(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.charge(tx, &c.use, grown, bounded); err != nil {
		return err
	}
	return store.Save(tx, keyBox(inboxID), &c)
}

// charge adds n to what u says is used, and tells the holder when the account
// becomes nearly full.
func (s *Service) charge(tx store.Tx, u *use, n int64, bounded bool) (err error) {
	if u.Counted {
		u.Used += n
	} else if u.Used, err = countUse(tx); err != nil {
		return err
	}
	u.Counted = true
	q, owner := s.quota(tx.Owner(), *u), tx.Owner()
	if bounded && n > 0 && q.Limit > 0 && q.Used > q.Limit {
		s.tight.Store(owner, true) // a hint to Room, true whether this runs again or not
		return errs.Wrap(ErrOverQuota, errs.TooLarge, "the mailbox is full: there is no room for %d bytes more", n)
	}
	switch {
	case q.Near() && u.Told < toldNear:
		u.Told = toldNear
		err = s.notice(tx, consent.KindNearlyFull)
	case !beyond(q.Used, q.Limit, again):
		u.Told = 0
	}
	if near := q.Near(); near || n < 0 {
		tx.AfterCommit(func() { s.noteTight(owner, near) })
	}
	return err
}

// noteTight keeps in memory which accounts are worth a look before a message
// is taken.
func (s *Service) noteTight(owner store.Owner, near bool) {
	if near {
		s.tight.Store(owner, true)
	} else {
		s.tight.Delete(owner)
	}
}

// notice puts a notice for the holder of a space into tx.
func (s *Service) notice(tx store.Tx, kind string) error {
	if !isSpace(tx.Owner()) || s.cfg.Gate == nil {
		return nil
	}
	return s.cfg.Gate.Tell(tx, kind)
}

// countUse counts what the account's entries name.
func countUse(tx store.Tx) (used int64, err error) {
	seen := make(map[messageID]struct{})
	err = store.ScanAround(tx, []byte(prefixEntry), store.After([]byte(prefixEntry)), func(_, v []byte) error {
		var e entry
		if store.Decode(v, &e) != nil || len(e.ID) != len(messageID{}) {
			return nil
		}
		id := messageID(e.ID)
		if _, ok := seen[id]; !ok {
			seen[id] = struct{}{}
			used += e.Size
		}
		return nil
	}, nil)
	return used, err
}

// loadUse reads an account's use, counting it where it is not known.
func loadUse(tx store.Tx) (use, error) {
	c, err := loadCounters(tx, inboxID)
	if errors.Is(err, store.ErrNotFound) {
		return use{}, errs.New(errs.NotFound, "this account has no mailbox")
	}
	if err == nil && !c.Counted {
		c.Used, err = countUse(tx)
	}
	return c.use, err
}

// Quota returns how much an owner's mail holds and may hold. Errors:
// errs.NotFound without a mailbox.
func (s *Service) Quota(ctx context.Context, owner store.Owner) (q Quota, err error) {
	err = s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		u, err := loadUse(tx)
		q = s.quota(owner, u)
		return err
	})
	return q, err
}

// Quota returns how much the account's mail holds and may hold.
func (a *Account) Quota(ctx context.Context) (Quota, error) { return a.s.Quota(ctx, a.Owner()) }

// Room is Service.Room for the account.
func (a *Account) Room(ctx context.Context, size int64) error {
	return a.s.Room(ctx, a.Owner(), size)
}

// The limits that SetQuota knows besides bytes.
const (
	DefaultQuota int64 = 0 // the instance's
	NoQuota      int64 = noLimit
)

// SetQuota gives an account a limit of its own, in bytes, or DefaultQuota, or
// NoQuota. What is there stays, above the limit too. It passes no gate: it is
// an act of the operator's and shows nothing. Errors: errs.Invalid,
// errs.NotFound without a mailbox.
func (s *Service) SetQuota(ctx context.Context, owner store.Owner, limit int64) (q Quota, err error) {
	if limit < noLimit {
		return q, errs.New(errs.Invalid, "a quota is a number of bytes")
	}
	err = full(s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		d, err := loadDirectory(tx)
		if err != nil {
			return err
		}
		c, err := loadCounters(tx, inboxID)
		if err != nil {
			return err
		}
		d.Limit, c.Limit = limit, limit
		if err := s.charge(tx, &c.use, 0, false); err != nil {
			return err
		}
		q = s.quota(owner, c.use)
		return errors.Join(d.save(tx), store.Save(tx, keyBox(inboxID), &c))
	}))
	if err == nil {
		s.noteTight(owner, true) // whatever it is now: the next look tells
	}
	return q, err
}

// Room refuses a message of size bytes (0: not known) before it is taken, if
// there is no room for it: errs.TooLarge with cause ErrOverQuota. It looks only
// where that is worth a record's reading, for a message above InlineMax and for
// an account that is known to be nearly full; so nil promises nothing, and the
// delivery's own transaction decides.
func (s *Service) Room(ctx context.Context, owner store.Owner, size int64) error {
	if _, tight := s.tight.Load(owner); !tight && size <= s.cfg.InlineMax {
		return nil
	}
	q, err := s.Quota(ctx, owner)
	if err != nil {
		return err
	}
	if q.Limit > 0 && q.Used+max(size, 1) > q.Limit {
		return errs.Wrap(ErrOverQuota, errs.TooLarge, "the mailbox is full: there is no room for %d bytes more", size)
	}
	s.noteTight(owner, q.Near())
	return nil
}

// NoteRefused lets the holder of a space know, once until there is room again,
// that a letter was refused because the mailbox is full. Its sender has been
// told so already; an error changes nothing of that.
func (s *Service) NoteRefused(ctx context.Context, owner store.Owner) error {
	told := false
	look := func(tx store.Tx) (c counters, err error) {
		c, err = loadCounters(tx, inboxID)
		told = c.Told >= toldFull
		return c, err
	}
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		_, err := look(tx)
		return err
	})
	if err != nil || told {
		return err
	}
	return full(s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		c, err := look(tx)
		if err != nil || told {
			return err
		}
		c.Told = toldFull
		return errors.Join(s.notice(tx, consent.KindFull), store.Save(tx, keyBox(inboxID), &c))
	}))
}

// recount makes the account's use agree with its entries.
func (s *Service) recount(tx store.Tx) error {
	c, err := store.Load[counters](tx, keyBox(inboxID))
	if err != nil {
		return err
	}
	before := c.use
	if c.Used, err = countUse(tx); err != nil {
		return err
	}
	if c.Counted = true; c.use == before {
		return nil
	}
	return store.Save(tx, keyBox(inboxID), &c)
}

// limitLeft returns the account's own limit from INBOX's counters, for a
// directory that is made anew; DefaultQuota where they are lost too.
func limitLeft(tx store.Tx) int64 {
	c, _ := store.Load[counters](tx, keyBox(inboxID))
	return c.Limit
}
