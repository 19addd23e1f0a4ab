package mailbox

import (
	"context"
	"errors"
	"runtime"

	"golang.org/x/sync/errgroup"

	"pli/certs/keyring"
	"pli/mailbox/message"
	"pli/store"
)

// Message returns one message with its index, or errs.NotFound.
func (v *View) Message(ctx context.Context, uid UID) (m Message, err error) {
	found := false
	err = v.Messages(ctx, []UID{uid}, true, func(got Message) error {
		m, found = got, true
		return nil
	})
	if err == nil && !found {
		err = errNoMessage()
	}
	return m, err
}

// Messages calls fn for each message of uids (nil: all) that the view numbers
// and that is still there, in the order of uids. Index is set if withIndex, but
// for its Text, which is for Search alone. A message whose index does not open
// is handed over as Damaged. fn may use the view and take its time. An error of
// fn ends it and is returned.
func (v *View) Messages(ctx context.Context, uids []UID, withIndex bool, fn func(Message) error) error {
	rows, names, known := v.rows(uids), make(map[bits][]Flag), v.a.sh.known()
	if !withIndex {
		for i := range rows {
			if err := fn(v.message(&rows[i], known, names)); err != nil {
				return err
			}
		}
		return nil
	}
	return v.a.indexes(ctx, rows, false, func(i int, o *openedIndex) error {
		m := v.message(&rows[i], known, names)
		m.Index, m.Damaged = o.index, o.damaged
		return fn(m)
	})
}

// Bounds of one batch of indexes: what is read in one view of the store, and
// opened on all processors.
const (
	batchRows  = 128
	batchBytes = 1 << 20
)

// openedIndex is one message's index on its way to whoever asked.
type openedIndex struct {
	index   *message.Index // nil: the message is gone
	damaged bool

	sealed stored
}

// indexes opens the indexes of rows, batch by batch, and calls fn for each that
// is there, by its place in rows. With text they carry their Text.
//
// A later form of stored indexes (pages re-sealed under the account's symmetric
// key) has its place here: nothing else reads them.
func (a *Account) indexes(ctx context.Context, rows []row, text bool, fn func(i int, o *openedIndex) error) error {
	for at := 0; at < len(rows); {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, err := a.batch(ctx, rows[at:], text)
		if err != nil {
			return err
		}
		a.openAll(rows[at:], batch, text)
		for i := range batch {
			if batch[i].index == nil {
				continue
			}
			if err := fn(at+i, &batch[i]); err != nil {
				return err
			}
		}
		at += len(batch)
	}
	return nil
}

// batch gathers the next few messages, from the cache or still sealed.
func (a *Account) batch(ctx context.Context, rows []row, text bool) (batch []openedIndex, err error) {
	rows = rows[:min(len(rows), batchRows)]
	first := make([]openedIndex, len(rows))
	missing := 0
	for i := range rows {
		if !text {
			if first[i].index = a.s.cache.get(a.sh, rows[i].id); first[i].index != nil {
				continue
			}
		}
		missing++
	}
	if missing == 0 {
		return first, nil
	}
	err = a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) error {
		batch = append([]openedIndex(nil), first...)
		size := 0
		for i := range batch {
			o := &batch[i]
			if o.index != nil {
				continue
			}
			if size > batchBytes {
				batch = batch[:i]
				return nil
			}
			var err error
			o.sealed, err = store.Load[stored](tx, keyOf(partStored, rows[i].id))
			o.damaged = errors.Is(err, store.ErrCorrupt)
			if err != nil && !o.damaged && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			size += len(o.sealed.Index)
		}
		return nil
	})
	return batch, err
}

// openAll opens what of a batch is still sealed.
func (a *Account) openAll(rows []row, batch []openedIndex, text bool) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	const stride = 16 // messages a goroutine takes at a time
	for from := 0; from < len(batch); from += stride {
		to := min(from+stride, len(batch))
		open := func() error {
			for i := from; i < to; i++ {
				a.openOne(&rows[i], &batch[i], text)
			}
			return nil
		}
		if len(batch) <= stride {
			open()
			return
		}
		g.Go(open)
	}
	g.Wait()
}

func (a *Account) openOne(r *row, o *openedIndex, text bool) {
	if o.index != nil || !o.damaged && o.sealed.PKESK == nil {
		return // from the cache, or gone
	}
	packed, err := a.unseal(r.id, o)
	var ix message.Index
	if err == nil {
		err = store.Decode(packed, &ix)
	}
	if err != nil {
		a.s.cfg.Log.Error("a message's index does not open", "owner", string(a.Owner()), "message", r.id.String(), "err", err)
		o.index, o.damaged = standIn(r.size), true
		return
	}
	o.index, o.sealed = &ix, stored{}
	if !text {
		size := int64(len(packed)-len(ix.Text))*3 + 512 // the decoded form is about so much larger
		ix.Text = ""
		a.s.cache.put(a.sh, &kept{id: r.id, index: &ix, size: size})
	}
}

func (a *Account) unseal(id messageID, o *openedIndex) ([]byte, error) {
	if o.damaged {
		return nil, store.ErrCorrupt
	}
	key, err := a.sessionKey(id, o.sealed.PKESK)
	if err != nil {
		return nil, err
	}
	return key.Open(o.sealed.Index)
}

// sessionKey returns what opens a message: 35 µs the first time.
func (a *Account) sessionKey(id messageID, pkesk []byte) (keyring.SessionKey, error) {
	if key, ok := a.s.cache.key(a.sh, id); ok {
		return key, nil
	}
	key, err := a.keys.Unwrap(pkesk)
	if err == nil {
		a.s.cache.putKey(a.sh, id, key)
	}
	return key, err
}
