package mailbox

import (
	"errors"
	"math"
	"slices"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// boxTx is one box inside a transaction. All writes to entries go through it,
// so that the counters, the mod-sequence, the expunge log and what open
// sessions hear can never differ from the entries.
type boxTx struct {
	s  *Service
	tx store.Tx
	c  counters
	d  delta

	grown int64 // bytes of messages that come to the account, see grow
}

// delta is what one transaction did to one box. It is told to open sessions
// after the commit.
type delta struct {
	box     boxID
	prev    uint64   // the box's mod-sequence before
	after   counters // the box's counters since
	added   []row    // by ascending UID
	changed []row
	removed []UID
	author  *View // whose act it was, nil if no view's
}

// box opens a box for writing.
func (s *Service) box(tx store.Tx, id boxID, author *View) (*boxTx, error) {
	c, err := loadCounters(tx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && c.Dead {
		return nil, errNoBox()
	}
	if err != nil {
		return nil, err
	}
	return &boxTx{s: s, tx: tx, c: c, d: delta{box: id, prev: c.ModSeq, author: author}}, nil
}

// step returns the mod-sequence of this transaction's changes.
func (b *boxTx) step() uint64 {
	if b.c.ModSeq == b.d.prev {
		b.c.ModSeq++
	}
	return b.c.ModSeq
}

// count adds r to the counters, n times (1 or -1).
func (b *boxTx) count(r *row, n int) {
	b.c.Messages += uint32(n)
	b.c.Size += int64(n) * r.size
	if !r.flags.has(bitSeen) {
		b.c.Unseen += uint32(n)
	}
	if r.flags.has(bitDeleted) {
		b.c.Deleted += uint32(n)
	}
}

// get reads an entry; ok is false if there is none.
func (b *boxTx) get(uid UID) (r row, ok bool, err error) {
	e, err := store.Load[entry](b.tx, keyEntry(b.d.box, uid))
	if errors.Is(err, store.ErrNotFound) {
		return r, false, nil
	}
	return e.row(uid), err == nil, err
}

// add gives r the next UID.
func (b *boxTx) add(r row) (UID, error) {
	if b.c.Messages >= uint32(b.s.cfg.MaxMessages) {
		return 0, errs.New(errs.TooLarge, "a folder holds at most %d messages", b.s.cfg.MaxMessages)
	}
	if b.c.UIDNext == math.MaxUint32 {
		return 0, errs.New(errs.TooLarge, "this folder has used up its message numbers; move its messages to a new one")
	}
	r.uid, r.modseq = b.c.UIDNext, b.step()
	b.c.UIDNext++
	b.count(&r, 1)
	b.d.added = append(b.d.added, r)
	return r.uid, store.Save(b.tx, keyEntry(b.d.box, r.uid), r.entry())
}

// change writes r in place of old, under a new mod-sequence.
func (b *boxTx) change(old, r row) (row, error) {
	r.modseq = b.step()
	b.count(&old, -1)
	b.count(&r, 1)
	b.d.changed = append(b.d.changed, r)
	return r, store.Save(b.tx, keyEntry(b.d.box, r.uid), r.entry())
}

// remove takes an entry out of the box. What becomes of its message is the
// caller's matter: unref, or another entry.
func (b *boxTx) remove(r row) error {
	b.step()
	b.count(&r, -1)
	b.d.removed = append(b.d.removed, r.uid)
	return b.tx.Delete(keyEntry(b.d.box, r.uid))
}

// drop takes a damaged entry out of the box. The counters do not hold it any
// more.
func (b *boxTx) drop(uid UID) error {
	b.step()
	b.d.removed = append(b.d.removed, uid)
	return b.tx.Delete(keyEntry(b.d.box, uid))
}

// save writes the counters and the expunge log, and returns what was done; nil
// if nothing was.
func (b *boxTx) save() (*delta, error) {
	if b.c.ModSeq == b.d.prev {
		return nil, nil
	}
	if len(b.d.removed) > 0 {
		if err := b.log(); err != nil {
			return nil, err
		}
	}
	if b.grown != 0 {
		if err := b.settle(); err != nil {
			return nil, err
		}
	}
	b.d.after = b.c
	return &b.d, store.Save(b.tx, keyBox(b.d.box), &b.c)
}

// log writes the expunged UIDs down and forgets the oldest records beyond the
// limit (RFC 7162 3.2.5.2 lets a server forget).
func (b *boxTx) log() error {
	slices.Sort(b.d.removed)
	if err := store.Save(b.tx, keyGone(b.d.box, b.c.ModSeq), expunged{ranges(b.d.removed)}); err != nil {
		return err
	}
	b.c.LogLen++
	if b.c.LogLen <= b.s.cfg.MaxExpungeLog {
		return nil
	}
	drop := b.c.LogLen/4 + 1
	var old []uint64
	take := func(modseq uint64) error {
		if len(old) == drop {
			return store.Stop
		}
		old = append(old, modseq)
		return nil
	}
	err := scanGone(b.tx, b.d.box, 0, func(modseq uint64, _ expunged) error { return take(modseq) }, take)
	for _, modseq := range old {
		b.c.LogLen--
		b.c.LogFloor = max(b.c.LogFloor, modseq)
		err = errors.Join(err, b.tx.Delete(keyGone(b.d.box, modseq)))
	}
	return err
}

// ranges returns ascending UIDs as ranges.
func ranges(uids []UID) []Range {
	var out []Range
	for _, u := range uids {
		if n := len(out); n > 0 && out[n-1].Last+1 == uint32(u) {
			out[n-1].Last++
			continue
		}
		out = append(out, Range{uint32(u), uint32(u)})
	}
	return out
}

// ref counts one more entry of a message.
func ref(tx store.Tx, id messageID) error {
	r, err := loadRefs(tx, id)
	if err != nil {
		return err
	}
	r.Count++
	return r.save(tx, id)
}

// loadRefs reads how many entries a message has. A damaged count is made anew
// from the entries.
func loadRefs(tx store.Tx, id messageID) (refs, error) {
	r, err := store.Load[refs](tx, keyOf(partRefs, id))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return refs{Count: 1}, nil
	case errors.Is(err, store.ErrCorrupt):
		r = refs{}
		r.Count, err = countEntries(tx, id)
	}
	return r, err
}

// save writes the count down where it says more than its absence.
func (r refs) save(tx store.Tx, id messageID) error {
	if r.Count <= 1 {
		return tx.Delete(keyOf(partRefs, id))
	}
	return store.Save(tx, keyOf(partRefs, id), r)
}

// unref counts one entry of a message less. With the last one the message is
// gone; its blob, if it has one, is returned for deletion after the commit.
func unref(tx store.Tx, id messageID) (gone bool, b blob.ID, err error) {
	r, err := store.Load[refs](tx, keyOf(partRefs, id))
	switch {
	case errors.Is(err, store.ErrCorrupt): // the entries that are left decide, each time
		if n, err := countEntries(tx, id); err != nil || n > 0 {
			return false, "", err
		}
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return false, "", err
	case r.Count > 1:
		r.Count--
		return false, "", store.Save(tx, keyOf(partRefs, id), r)
	}
	b, err = dropMessage(tx, id)
	return true, b, err
}

// dropMessage removes a message's records, and returns its blob if it names one.
func dropMessage(tx store.Tx, id messageID) (blob.ID, error) {
	m, err := store.Load[stored](tx, keyOf(partStored, id))
	if err != nil && !lost(err) {
		return "", err // a missing or damaged message may go all the same
	}
	for _, p := range []part{partRefs, partStored, partBody} {
		if err := tx.Delete(keyOf(p, id)); err != nil {
			return "", err
		}
	}
	return m.Blob, nil
}
