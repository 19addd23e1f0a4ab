package mailbox

import (
	"context"
	"slices"

	"pli/internal/errs"
	"pli/store"
)

// Copied says where messages went; Source and Dest go in pairs.
type Copied struct {
	UIDValidity uint32
	Source      []UID
	Dest        []UID
}

// Copy puts messages into another box, all or none (RFC 9051 6.4.7), with
// their flags and dates; bodies are shared, not copied. Messages that are gone
// are left out. Errors: errs.NotFound for a missing box, errs.TooLarge for more
// than MaxCopy messages or a full box.
func (v *View) Copy(ctx context.Context, uids []UID, dest string) (Copied, error) {
	if err := v.alive(); err != nil {
		return Copied{}, err
	}
	l, err := v.destination(ctx, dest)
	if err != nil {
		return Copied{}, err
	}
	rows := v.rows(uids)
	if len(rows) > v.a.s.cfg.MaxCopy {
		return Copied{}, errs.New(errs.TooLarge, "at most %d messages are copied at once", v.a.s.cfg.MaxCopy)
	}
	done, err := v.transfer(ctx, rows, l.ID, false)
	done.UIDValidity = l.UIDValidity
	return done, err
}

// Move is Copy, after which the messages are gone here (RFC 6851): each message
// is moved whole, many of them by chunks. Their numbers stay until Poll(true).
// After an error Copied tells of those that were moved.
func (v *View) Move(ctx context.Context, uids []UID, dest string) (Copied, error) {
	if err := v.writable(); err != nil {
		return Copied{}, err
	}
	l, err := v.destination(ctx, dest)
	if err != nil {
		return Copied{}, err
	}
	all := Copied{UIDValidity: l.UIDValidity}
	for part := range slices.Chunk(v.rows(uids), chunk) {
		done, err := v.transfer(ctx, part, l.ID, true)
		all.Source, all.Dest = append(all.Source, done.Source...), append(all.Dest, done.Dest...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (v *View) destination(ctx context.Context, name string) (*listed, error) {
	d, err := v.a.directory(ctx)
	if err != nil {
		return nil, err
	}
	return d.find(name)
}

func (v *View) transfer(ctx context.Context, rows []row, dest boxID, move bool) (done Copied, err error) {
	if len(rows) == 0 {
		return done, nil
	}
	uids := make([]UID, len(rows))
	for i := range rows {
		uids[i] = rows[i].uid
	}
	err = v.a.update(ctx, func(tx store.Tx) (err error) {
		done, err = v.a.s.transfer(tx, transfer{v, v.id, dest, uids, move})
		return err
	})
	if err != nil {
		return Copied{}, err
	}
	return done, nil
}

// transfer says which messages go where.
type transfer struct {
	author   *View
	from, to boxID
	uids     []UID
	move     bool
}

func (s *Service) transfer(tx store.Tx, t transfer) (done Copied, err error) {
	from, err := s.box(tx, t.from, t.author)
	if err != nil {
		return done, err
	}
	to := from
	if t.to != t.from {
		if to, err = s.box(tx, t.to, nil); err != nil {
			return done, err
		}
	}
	for _, uid := range t.uids {
		r, ok, err := from.get(uid)
		if err != nil {
			return done, err
		}
		if !ok {
			continue
		}
		if t.move {
			err = from.remove(r)
		} else {
			err = ref(tx, r.id)
		}
		if err != nil {
			return done, err
		}
		dest, err := to.add(r)
		if err != nil {
			return done, err
		}
		done.Source, done.Dest = append(done.Source, uid), append(done.Dest, dest)
	}
	return done, s.saveBoth(tx, from, to)
}

// saveBoth saves one box or two.
func (s *Service) saveBoth(tx store.Tx, from, to *boxTx) error {
	d, err := from.save()
	if err != nil || from == to {
		s.tell(tx, nil, d)
		return err
	}
	e, err := to.save()
	s.tell(tx, nil, d, e)
	return err
}
