package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"pli/certs/keyring"
	"pli/internal/errs"
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
			o.sealed, err = store.Load[stored](tx, keyOf(prefixStored, rows[i].id))
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

// Body is a message's opened text. ReadAt may be called from several
// goroutines. A blob's text is opened by pieces, as it is read.
type Body struct {
	r    io.ReaderAt
	size int64
	c    io.Closer // nil for an inline body
}

// ReadAt implements io.ReaderAt.
func (b *Body) ReadAt(p []byte, off int64) (int, error) { return b.r.ReadAt(p, off) }

// Size returns the message's length in bytes.
func (b *Body) Size() int64 { return b.size }

// Close frees the body.
func (b *Body) Close() error {
	if b.c == nil {
		return nil
	}
	return b.c.Close()
}

// Open opens a message's text; the caller closes it. Errors: errs.NotFound for
// a message that is gone.
func (v *View) Open(ctx context.Context, uid UID) (*Body, error) {
	rows := v.rows([]UID{uid})
	if len(rows) == 0 {
		return nil, errNoMessage()
	}
	return v.a.body(ctx, rows[0].id)
}

func (a *Account) body(ctx context.Context, id messageID) (*Body, error) {
	var m stored
	var sealed []byte
	err := a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) (err error) {
		if m, err = store.Load[stored](tx, keyOf(prefixStored, id)); err != nil || m.Blob != "" {
			return err
		}
		sealed, err = tx.Get(keyOf(prefixBody, id))
		sealed = bytes.Clone(sealed)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, errs.Wrap(err, errs.NotFound, "this message is no longer there")
	}
	if err != nil {
		return nil, err
	}
	key, err := a.sessionKey(id, m.PKESK)
	if err != nil {
		return nil, fmt.Errorf("mailbox: message %s: %w", id, err)
	}
	if m.Blob == "" {
		plain, err := key.Open(sealed)
		if err != nil {
			return nil, fmt.Errorf("mailbox: body of %s: %w", id, err)
		}
		return &Body{r: bytes.NewReader(plain), size: int64(len(plain))}, nil
	}
	return a.blobBody(ctx, m, key)
}

func (a *Account) blobBody(ctx context.Context, m stored, key keyring.SessionKey) (*Body, error) {
	b, err := a.s.cfg.Blobs.Open(ctx, m.Blob)
	if err != nil {
		return nil, fmt.Errorf("mailbox: blob %s: %w", m.Blob, err)
	}
	r, err := key.Reader(b, b.Size())
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("mailbox: blob %s: %w", m.Blob, err)
	}
	return &Body{r: r, size: r.Size(), c: b}, nil
}

// Vanished returns the UIDs expunged after a mod-sequence, ascending; complete
// is false if the log no longer reaches back so far (RFC 7162 3.2.5.2).
func (v *View) Vanished(ctx context.Context, since uint64) (uids []UID, complete bool, err error) {
	err = v.a.s.cfg.DB.View(ctx, v.a.Owner(), func(tx store.Tx) error {
		uids = nil
		c, err := store.Load[counters](tx, keyBox(v.id))
		if err != nil {
			return err
		}
		complete = since >= c.LogFloor
		return tx.Scan(keyGone(v.id, since+1), store.After(keyGone(v.id, 0)[:len(prefixGone)+4]), func(_, value []byte) error {
			var e expunged
			if err := store.Decode(value, &e); err != nil {
				return err
			}
			for _, r := range e.UIDs {
				for u := uint64(r.First); u <= uint64(r.Last); u++ {
					uids = append(uids, UID(u))
				}
			}
			return nil
		})
	})
	slices.Sort(uids)
	return slices.Compact(uids), complete, err
}
