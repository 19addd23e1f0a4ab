package mailbox

import (
	"errors"
	"time"

	"pli/internal/errs"
	"pli/store"
)

// Deliver puts a letter into a box of tx's owner, with flags, and at as its
// internal date (zero: now). It does no cryptography: one record is read, four
// are written. A letter is delivered once. After the commit, sessions that have
// the account open are woken. Errors: errs.NotFound for a missing box,
// errs.TooLarge for a full one, and for a full account (with cause
// ErrOverQuota), errs.Conflict for a letter that was delivered or discarded.
func (s *Service) Deliver(tx store.Tx, l *Letter, box string, flags []Flag, at time.Time) (UID, error) {
	return s.deliver(tx, l, box, flags, at, nil)
}

// deliver is Deliver by a session, which knows the keywords.
func (s *Service) deliver(tx store.Tx, l *Letter, box string, flags []Flag, at time.Time, known []string) (UID, error) {
	first := l.state.CompareAndSwap(letterFresh, letterTaken)
	if !first && l.state.Load() != letterTaken {
		return 0, errs.New(errs.Conflict, "this message was delivered before, or given up")
	}
	if err := s.checkFlags(flags); err != nil {
		return 0, err
	}
	id, err := resolve(tx, box)
	if err != nil {
		return 0, err
	}
	b, err := s.box(tx, id, nil)
	if err != nil {
		return 0, err
	}
	if at.IsZero() {
		at = s.cfg.Now()
	}
	r := row{id: l.id, size: l.size}
	r.setDate(at)
	var keywords []string
	if r.flags, keywords, err = s.flagBits(tx, known, flags); err != nil {
		return 0, err
	}
	r.shown = r.flags.has(bitSeen) // who files it as read has read it
	uid, err := b.add(r)
	if err != nil {
		return 0, err
	}
	if err := l.put(tx); err != nil {
		return 0, err
	}
	b.grow(l.size)
	d, err := b.save()
	if errors.Is(err, ErrOverQuota) && first {
		l.state.Store(letterFresh) // nothing of it is committed: its blob goes at once
	}
	if err != nil {
		return 0, err
	}
	tx.AfterCommit(func() { l.state.Store(letterDelivered) })
	s.tell(tx, keywords, d)
	return uid, nil
}

// put writes the message's own records.
func (l *Letter) put(tx store.Tx) error {
	if err := tx.Put(keyOf(partStored, l.id), l.record); err != nil {
		return err
	}
	if l.body == nil {
		return nil
	}
	return tx.Put(keyOf(partBody, l.id), l.body)
}
