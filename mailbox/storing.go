package mailbox

import (
	"context"
	"slices"
	"sync"

	"pli/store"
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
