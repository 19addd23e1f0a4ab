package mailbox

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"pli/consent"
	"pli/store"
)

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
		first, err := firstShown(tx, old.id)
		if err != nil {
			return err
		}
		if !first {
			return consent.ErrNothing
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
	return true, store.Save(tx, keyOf(partRefs, id), r)
}
