package mailbox

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"pli/consent"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// Store changes flags and returns those messages of uids (nil: all) that were
// there and whose ModSeq was not above unchangedSince (0: no condition), as
// they are now, changed or not (RFC 7162 3.1.3). In a space, \Seen on a message
// for the first time passes the gate (consent.ActMailDisplay); denied, nothing
// is stored on it. Errors: errs.Denied, errs.Invalid for what is no flag,
// errs.TooLarge for a keyword too many.
func (v *View) Store(ctx context.Context, uids []UID, op FlagOp, flags []Flag, unchangedSince uint64) ([]Message, error) {
	if err := v.writable(); err != nil {
		return nil, err
	}
	if err := v.a.s.checkFlags(flags); err != nil {
		return nil, err
	}
	st := &storing{v: v, op: op, flags: flags, since: unchangedSince, known: v.a.sh.known()}
	rows := v.rows(uids)
	if seen, _ := knownBits(nil, flags); isSpace(v.a.Owner()) && op != FlagsRemove && seen.has(bitSeen) {
		if err := st.display(ctx, rows); err != nil {
			return nil, err
		}
	}
	var out []row
	for part := range slices.Chunk(rows, chunk) {
		done, err := st.chunk(ctx, part)
		if err != nil {
			return nil, err
		}
		out = append(out, done...)
	}
	messages, names, known := make([]Message, 0, len(out)), make(map[bits][]Flag), v.a.sh.known()
	for i := range out {
		messages = append(messages, v.message(&out[i], known, names))
	}
	return messages, nil
}

// storing is one Store at work.
type storing struct {
	v     *View
	op    FlagOp
	flags []Flag
	since uint64
	known []string // the account's keywords, as known before

	mu    sync.Mutex
	shown map[UID]bool // done by display; their mod-sequence no longer counts
}

// chunk stores on some rows in one transaction and returns them as they are now.
func (st *storing) chunk(ctx context.Context, rows []row) (now []row, err error) {
	v := st.v
	var before []row
	var modseq uint64
	err = v.a.update(ctx, func(tx store.Tx) error {
		now, before, modseq = nil, nil, 0
		b, err := v.a.s.box(tx, v.id, v)
		if err != nil {
			return err
		}
		f, keywords, err := st.bits(tx)
		if err != nil {
			return err
		}
		for _, want := range rows {
			old, ok, err := b.get(want.uid)
			if err != nil {
				return err
			}
			if !ok || st.since != 0 && old.modseq > st.since && !st.shown[old.uid] {
				continue
			}
			r := old
			if r.flags = old.flags.apply(st.op, f); r.flags != old.flags {
				if r, err = b.change(old, r); err != nil {
					return err
				}
				before = append(before, old)
			}
			now = append(now, r)
		}
		modseq, err = v.commit(tx, keywords, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	if modseq != 0 {
		v.mine(modseq, before)
	}
	return now, nil
}

// bits returns the bits of the flags; a keyword to be removed that the account
// does not have is nothing.
func (st *storing) bits(tx store.Tx) (bits, []string, error) {
	if st.op != FlagsRemove {
		return st.v.a.s.flagBits(tx, st.known, st.flags)
	}
	if f, ok := knownBits(st.known, st.flags); ok {
		return f, nil, nil
	}
	d, err := loadDirectory(tx)
	if err != nil {
		return bits{}, nil, err
	}
	f, _ := knownBits(d.Keywords, st.flags)
	return f, d.Keywords, nil
}

// commit saves a box, lets sessions hear of it, and returns the new
// mod-sequence, 0 if nothing changed.
func (v *View) commit(tx store.Tx, keywords []string, b *boxTx) (uint64, error) {
	d, err := b.save()
	if err != nil || d == nil {
		return 0, err
	}
	v.a.s.tell(tx, keywords, d)
	return d.after.ModSeq, nil
}

// displaying is how many gates are passed at once: each is a transaction of its
// own, and the store commits together what waits together.
const displaying = 16

// display passes the gate for each row that was never displayed, and stores the
// flags with it, so that mark, flags and trace are one transaction.
func (st *storing) display(ctx context.Context, rows []row) error {
	st.shown = make(map[UID]bool)
	first := slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		return r.shown || r.flags.has(bitSeen) || st.since != 0 && r.modseq > st.since
	})
	if len(first) == 0 {
		return nil
	}
	if err := st.displayOne(ctx, first[0]); err != nil {
		return err // one refusal is traced, not one for each
	}
	var g errgroup.Group
	g.SetLimit(displaying)
	for _, r := range first[1:] {
		g.Go(func() error { return st.displayOne(ctx, r) })
	}
	return g.Wait()
}

func (st *storing) displayOne(ctx context.Context, want row) error {
	v, s := st.v, st.v.a.s
	req := consent.Request{Space: v.a.Owner(), Act: consent.ActMailDisplay, Object: want.id.String()}
	var before []row
	var modseq uint64
	err := s.cfg.Gate.Do(ctx, v.a.actor, req, func(tx store.Tx) error {
		before, modseq = nil, 0
		b, err := s.box(tx, v.id, v)
		if err != nil {
			return err
		}
		old, ok, err := b.get(want.uid)
		if err != nil {
			return err
		}
		if !ok || old.shown || st.since != 0 && old.modseq > st.since {
			return consent.ErrNothing
		}
		if first, err := firstShown(tx, old.id); err != nil || !first {
			return cmpErr(err, consent.ErrNothing)
		}
		f, keywords, err := st.bits(tx)
		if err != nil {
			return err
		}
		r := old
		r.flags, r.shown = old.flags.apply(st.op, f), true
		if _, err := b.change(old, r); err != nil {
			return err
		}
		before = []row{old}
		modseq, err = v.commit(tx, keywords, b)
		return err
	})
	if err == nil && modseq != 0 {
		st.mu.Lock()
		defer st.mu.Unlock()
		v.mine(modseq, before)
		st.shown[want.uid] = true
	}
	return err
}

// cmpErr returns err, or other if it is nil.
func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// firstShown marks a message with several entries as displayed, and says
// whether it was not yet.
func firstShown(tx store.Tx, id messageID) (bool, error) {
	r, err := loadRefs(tx, id)
	if err != nil || r.Shown {
		return false, err
	}
	if r.Count == 1 {
		return true, nil // the entry's own mark suffices
	}
	r.Shown = true
	return true, store.Save(tx, keyOf(prefixRefs, id), r)
}

// Expunge removes the messages of uids (nil: all of the view) that are flagged
// \Deleted (RFC 9051 6.4.3, 6.4.9), and returns which, ascending. Their numbers
// stay until Poll(true).
func (v *View) Expunge(ctx context.Context, uids []UID) ([]UID, error) {
	if err := v.writable(); err != nil {
		return nil, err
	}
	rows := v.rows(uids)
	rows = slices.DeleteFunc(rows, func(r row) bool { return !r.flags.has(bitDeleted) })
	var gone []UID
	for part := range slices.Chunk(rows, chunk) {
		done, err := v.expunge(ctx, part)
		if err != nil {
			return gone, err
		}
		gone = append(gone, done...)
	}
	slices.Sort(gone)
	return gone, nil
}

// expunge removes some rows in one transaction, then their blobs.
func (v *View) expunge(ctx context.Context, rows []row) (gone []UID, err error) {
	var blobs []blob.ID
	err = v.a.update(ctx, func(tx store.Tx) error {
		gone, blobs = nil, nil
		b, err := v.a.s.box(tx, v.id, v)
		if err != nil {
			return err
		}
		for _, want := range rows {
			r, ok, err := b.get(want.uid)
			if err != nil {
				return err
			}
			if !ok || !r.flags.has(bitDeleted) {
				continue
			}
			if err := b.remove(r); err != nil {
				return err
			}
			id, err := unref(tx, r.id)
			if err != nil {
				return err
			}
			gone, blobs = append(gone, r.uid), append(blobs, id)
		}
		_, err = v.commit(tx, nil, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	v.a.s.deleteBlobs(ctx, blobs)
	return gone, nil
}

// isGone reports whether an error says that the box is deleted.
func isGone(err error) bool { return errs.Is(err, errs.NotFound) }
