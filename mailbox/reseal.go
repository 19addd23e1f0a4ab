package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// Resealed is how far a Reseal is.
type Resealed struct {
	Done    int // messages sealed anew
	Left    int // messages still under older keys
	Damaged int // of these, those that do not open: they are left as they are
}

// Bounds of Reseal: what it holds in memory and writes in one transaction, and
// what it looks at in one view of the store.
const (
	resealBytes = 4 << 20 // of messages, at least one
	resealMost  = 50      // messages
	resealLook  = 500     // records
)

// Stale counts the messages of an account that are sealed to another key than
// to. It opens nothing.
func (s *Service) Stale(ctx context.Context, owner store.Owner, to keyring.Recipient) (int, error) {
	ids, err := s.stale(ctx, owner, to)
	return len(ids), err
}

// stale returns the messages that are sealed to another key than to. Damaged
// records tell nothing of theirs: they count among them.
func (s *Service) stale(ctx context.Context, owner store.Owner, to keyring.Recipient) (ids []messageID, err error) {
	from, end := []byte(prefixMessage), store.After([]byte(prefixMessage))
	for from != nil {
		var found []messageID
		var next []byte
		err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
			found, next = nil, nil
			seen := 0
			look := func(key []byte, isStale func() bool) error {
				if seen++; seen > resealLook {
					next = bytes.Clone(key)
					return store.Stop
				}
				if id, p, ok := partOf(key); ok && p == partStored && isStale() {
					found = append(found, id)
				}
				return nil
			}
			return store.ScanAround(tx, from, end, func(key, v []byte) error {
				return look(key, func() bool {
					var m stored
					return store.Decode(v, &m) != nil || !sealedTo(m.PKESK, to)
				})
			}, func(d *store.Damage) error { return look(d.Key, func() bool { return true }) })
		})
		if err != nil {
			return nil, err
		}
		ids, from = append(ids, found...), next
	}
	return ids, nil
}

func sealedTo(pkesk []byte, to keyring.Recipient) bool {
	of, err := keyring.WrappedFor(pkesk)
	return err == nil && of == to.Fingerprint
}

// Reseal seals anew, under fresh session keys, every message that lies under
// older keys than the newest that the session knows, and calls tell after each
// transaction. At any moment each message opens, by the old keys or the new.
// Stopped at any point, it goes on from there when called again: what it has
// done it does not do twice. A message that does not open is left and counted.
func (a *Account) Reseal(ctx context.Context, tell func(Resealed)) (Resealed, error) {
	to := a.keys.Recipient()
	if to.IsZero() {
		return Resealed{}, keyring.ErrWiped
	}
	ids, err := a.s.stale(ctx, a.Owner(), to)
	r := Resealed{Left: len(ids)}
	for err == nil && len(ids) > 0 {
		b := &resealing{a: a, to: to}
		n := 0
		if n, err = b.fill(ctx, ids); err == nil {
			err = b.commit(ctx)
		}
		if err == nil {
			ids = ids[n:]
			r.Done, r.Damaged, r.Left = r.Done+len(b.ready), r.Damaged+b.damaged, r.Left-n+b.damaged
			tell(r)
		}
		b.discard(ctx)
	}
	return r, err
}

// resealing is one batch: sealed anew, and then written.
type resealing struct {
	a       *Account
	to      keyring.Recipient
	ready   []resealed
	damaged int
	spare   []blob.ID // that no record names
}

// resealed is one message under its new key.
type resealed struct {
	id     messageID
	was    []byte // the record of before: replaced only while it is this
	record []byte // the new one
	body   []byte // nil if it is a blob
	before blob.ID
	blob   blob.ID
}

// fill seals the next messages, and returns how many it has looked at.
func (b *resealing) fill(ctx context.Context, ids []messageID) (n int, err error) {
	size := int64(0)
	for n < min(len(ids), resealMost) && size < resealBytes {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		bytes, err := b.seal(ctx, ids[n])
		switch {
		case err == nil:
			size += bytes
		case errs.Is(err, errs.NotFound): // expunged meanwhile
		case unreadable(err), errors.Is(err, keyring.ErrWrongKey):
			b.a.s.cfg.Log.Error("a damaged message is not sealed anew", "owner", string(b.a.Owner()), "message", ids[n].String(), "err", err)
			b.damaged++
		default:
			return n, err
		}
		n++
	}
	return n, nil
}

// seal seals one message anew. A large one goes into a blob of its own, and
// counts as nothing that is held.
func (b *resealing) seal(ctx context.Context, id messageID) (held int64, err error) {
	was, body, err := b.a.sealedMessage(ctx, id)
	if err != nil {
		return 0, err
	}
	var m stored
	if err := store.Decode(was, &m); err != nil {
		return 0, err
	}
	old, err := b.a.keys.Unwrap(m.PKESK)
	if err != nil {
		return 0, err
	}
	fresh, err := keyring.NewSession()
	if err != nil {
		return 0, err
	}
	out := resealed{id: id, was: was, before: m.Blob}
	index, err := old.Open(m.Index)
	if err != nil {
		return 0, err
	}
	if m.Index, err = fresh.Seal(index); err != nil {
		return 0, err
	}
	if m.Blob != "" {
		err = b.copyBlob(ctx, id, &m, old, fresh)
		out.blob = m.Blob
	} else if body, err = old.Open(body); err == nil {
		if out.body, err = fresh.Seal(body); err == nil {
			m.PKESK, err = b.to.Wrap(fresh)
		}
	}
	if err == nil {
		out.record, err = store.Encode(&m)
	}
	if err != nil {
		return 0, err
	}
	b.ready = append(b.ready, out)
	return int64(len(out.record) + len(out.body)), nil
}

// sealedMessage reads a message's records in one view of the store: the stored
// one, encoded, and its body, nil if that is a blob.
func (a *Account) sealedMessage(ctx context.Context, id messageID) (record, body []byte, err error) {
	err = a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) (err error) {
		record, err = tx.Get(keyOf(partStored, id))
		record = bytes.Clone(record)
		var m stored
		if err == nil {
			err = store.Decode(record, &m)
		}
		if err != nil || m.Blob != "" {
			return err
		}
		body, err = tx.Get(keyOf(partBody, id))
		body = bytes.Clone(body)
		if errors.Is(err, store.ErrNotFound) {
			err = fmt.Errorf("%w: the body of %s is missing", store.ErrCorrupt, id)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errNoMessage()
	}
	return record, body, err
}

// copyBlob writes a message's blob anew, as it passes, and completes the record.
func (b *resealing) copyBlob(ctx context.Context, id messageID, m *stored, old, fresh keyring.SessionKey) error {
	from, err := b.a.blobBody(ctx, *m, old)
	if err != nil {
		return err
	}
	defer from.Close()
	w, err := b.a.s.cfg.Blobs.Create(ctx)
	if err != nil {
		return full(err)
	}
	o := &outgoing{Writer: w, id: id}
	err = o.begin(b.to, fresh)
	if err == nil {
		sealing := fresh.Writer(o)
		if _, err = io.Copy(sealing, io.NewSectionReader(from, 0, from.Size())); err == nil {
			err = sealing.Close()
		}
	}
	if err == nil {
		err = o.finish(m)
	}
	if err != nil {
		w.Abort()
		return full(err)
	}
	b.spare = append(b.spare, m.Blob) // unless it is committed
	return nil
}

// commit puts the records of a batch in the place of those of before, in one
// transaction, each only if it is still there as it was read.
func (b *resealing) commit(ctx context.Context) error {
	if len(b.ready) == 0 {
		return nil
	}
	var spare []blob.ID
	err := b.a.update(ctx, func(tx store.Tx) error {
		spare = nil
		for i := range b.ready {
			done, err := b.ready[i].put(tx)
			if err != nil {
				return err
			}
			if done {
				spare = append(spare, b.ready[i].before)
			} else {
				spare = append(spare, b.ready[i].blob)
			}
		}
		return nil
	})
	b.spare = spare
	if err != nil {
		b.spare = nil // whether it was written is not known: what no record names is the sweeper's
	}
	return err
}

// put writes one message's records, unless it is gone or was changed.
func (r *resealed) put(tx store.Tx) (bool, error) {
	now, err := tx.Get(keyOf(partStored, r.id))
	if lost(err) || err == nil && !bytes.Equal(now, r.was) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if r.body != nil {
		if err := tx.Put(keyOf(partBody, r.id), r.body); err != nil {
			return false, err
		}
	}
	return true, tx.Put(keyOf(partStored, r.id), r.record)
}

// discard removes the blobs that no record names.
func (b *resealing) discard(ctx context.Context) { b.a.s.deleteBlobs(ctx, b.spare) }
