package bolt

import (
	"encoding/binary"
	"fmt"
	"time"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
)

// tx is one owner's records inside a bbolt transaction, which a batch of
// writers shares: what this one changes is noted in undo.
type tx struct {
	shard  *shard
	owner  store.Owner
	record *bbolt.Bucket
	large  *bbolt.Bucket // in a view, nil until it is needed
	due    *bbolt.Bucket // nil in a view

	write  bool
	closed bool
	wide   int    // bytes by which each value may pass the limit
	bytes  int    // of all values written, without what wide allows
	puts   bool   // it has written a value
	failed error  // a write stopped half way: the transaction cannot be kept
	writes uint64 // counts changes, so that scans know to seek again
	undo   undo
	hooks  []func()
	key    []byte // scratch for a stored key
}

var _ store.Tx = (*tx)(nil)

func newTx(s *shard, btx *bbolt.Tx, owner store.Owner) *tx {
	t := &tx{shard: s, owner: owner, record: btx.Bucket(bucketRecord), write: btx.Writable()}
	if t.write {
		t.large, t.due = btx.Bucket(bucketLarge), btx.Bucket(bucketDue)
	}
	t.key = appendRecordKey(make([]byte, 0, 128), owner, nil)
	return t
}

// end makes every later call fail: the bytes behind it are gone.
func (t *tx) end() { t.closed = true }

func (t *tx) Owner() store.Owner { return t.owner }

func (t *tx) AfterCommit(fn func()) {
	if t.write && !t.closed {
		t.hooks = append(t.hooks, fn)
	}
}

// stored returns key's place, in scratch that the next call uses again.
func (t *tx) stored(key []byte) []byte {
	t.key = append(t.key[:len(t.owner)+1], key...)
	return t.key
}

func (t *tx) Get(key []byte) ([]byte, error) {
	if t.closed {
		return nil, store.ErrClosed
	}
	if len(key) > store.MaxKey {
		return nil, store.ErrNotFound
	}
	raw := t.record.Get(t.stored(key))
	if raw == nil {
		return nil, store.ErrNotFound
	}
	return t.value(raw)
}

// value returns the value that stored bytes hold or refer to.
func (t *tx) value(raw []byte) ([]byte, error) {
	e, ok := parseEntry(raw)
	if !ok {
		return nil, fmt.Errorf("%w: record of %s", store.ErrCorrupt, t.owner)
	}
	if !e.large {
		return e.inline[:len(e.inline):len(e.inline)], nil
	}
	if t.large == nil {
		t.large = t.record.Tx().Bucket(bucketLarge)
	}
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], e.seq)
	v := t.large.Get(seq[:])
	if v == nil {
		return nil, fmt.Errorf("%w: value of a record of %s is missing", store.ErrCorrupt, t.owner)
	}
	return v[:len(v):len(v)], nil
}

func (t *tx) Put(key, value []byte) error { return t.put(key, value, entry{}) }

func (t *tx) PutDue(key, value []byte, at time.Time) error {
	return t.put(key, value, entry{hasDue: true, due: millis(at)})
}

// writable says whether a write of that key may go on.
func (t *tx) writable(key []byte) error {
	switch {
	case t.closed:
		return store.ErrClosed
	case !t.write:
		return store.ErrReadOnly
	case t.failed != nil:
		return t.failed
	case len(key) > store.MaxKey:
		return fmt.Errorf("%w: key of %d bytes", store.ErrTooLarge, len(key))
	}
	return nil
}

// room counts a value against the limits.
func (t *tx) room(value []byte) error {
	n := max(len(value)-t.wide, 0)
	if n > store.MaxValue {
		return fmt.Errorf("%w: value of %d bytes", store.ErrTooLarge, n)
	}
	if t.bytes+n > store.MaxTx {
		return fmt.Errorf("%w: transaction of %d bytes", store.ErrTooLarge, t.bytes+n)
	}
	t.bytes += n
	return nil
}

// put writes a record; e says when it is due.
func (t *tx) put(key, value []byte, e entry) error {
	if err := t.writable(key); err != nil {
		return err
	}
	if err := t.room(value); err != nil {
		return err
	}
	t.writes++
	t.puts = true
	t.failed = t.replace(t.shard.scratch.copy(t.stored(key)), value, e)
	return t.failed
}

// replace writes a record at its stored key.
func (t *tx) replace(at, value []byte, e entry) error {
	raw, old, err := t.present(at)
	if err != nil {
		return err
	}
	if len(value) > inlineMax {
		e.large, e.seq = true, old.seq
		if !old.large {
			e.seq = t.shard.nextSeq
			t.shard.nextSeq++
		}
		if err := t.putLarge(e.seq, t.shard.scratch.copy(value), old.large); err != nil {
			return err
		}
	} else {
		e.inline = value
		if old.large {
			if err := t.deleteLarge(old.seq); err != nil {
				return err
			}
		}
	}
	if err := t.moveDue(at, old, e); err != nil {
		return err
	}
	if raw != nil && old.large && e.large && old.hasDue == e.hasDue && old.due == e.due {
		return nil // the stored bytes are the same: only what they refer to is new
	}
	t.undo.note(t.record, at, raw)
	return t.record.Put(at, e.appendTo(t.shard.scratch.take(e.size())))
}

// present returns what lies at a stored key, raw nil if nothing does.
func (t *tx) present(at []byte) (raw []byte, e entry, err error) {
	if raw = t.record.Get(at); raw == nil {
		return nil, e, nil
	}
	e, ok := parseEntry(raw)
	if !ok {
		return nil, e, fmt.Errorf("%w: record of %s", store.ErrCorrupt, t.owner)
	}
	return raw, e, nil
}

func (t *tx) Delete(key []byte) error {
	if t.write && len(key) > store.MaxKey {
		return nil // no record can lie there
	}
	if err := t.writable(key); err != nil {
		return err
	}
	at := t.shard.scratch.copy(t.stored(key))
	raw, old, err := t.present(at)
	if raw == nil || err != nil {
		return err
	}
	t.writes++
	t.failed = t.remove(at, raw, old)
	return t.failed
}

// remove deletes the record that lies at a stored key.
func (t *tx) remove(at, raw []byte, old entry) error {
	if old.large {
		if err := t.deleteLarge(old.seq); err != nil {
			return err
		}
	}
	if err := t.moveDue(at, old, entry{}); err != nil {
		return err
	}
	t.undo.note(t.record, at, raw)
	return t.record.Delete(at)
}

// moveDue keeps the index of due times at what the record now says.
func (t *tx) moveDue(at []byte, old, now entry) error {
	if old.hasDue && now.hasDue && old.due == now.due {
		return nil
	}
	if old.hasDue {
		k := appendDueKey(t.shard.scratch.take(8+len(at)), old.due, at)
		t.undo.note(t.due, k, []byte{})
		if err := t.due.Delete(k); err != nil {
			return err
		}
	}
	if now.hasDue {
		k := appendDueKey(t.shard.scratch.take(8+len(at)), now.due, at)
		t.undo.note(t.due, k, nil)
		return t.due.Put(k, []byte{})
	}
	return nil
}

func (t *tx) putLarge(seq uint64, value []byte, replace bool) error {
	k := binary.BigEndian.AppendUint64(t.shard.scratch.take(8), seq)
	var old []byte
	if replace {
		old = t.large.Get(k)
	}
	t.undo.note(t.large, k, old)
	return t.large.Put(k, value)
}

func (t *tx) deleteLarge(seq uint64) error {
	k := binary.BigEndian.AppendUint64(t.shard.scratch.take(8), seq)
	t.undo.note(t.large, k, t.large.Get(k))
	return t.large.Delete(k)
}
