package bolt

import (
	"bytes"
	"errors"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
)

// bounds returns the stored keys that a scan lies between: low <= k < high.
func (t *tx) bounds(from, to []byte) (low, high []byte) {
	low = appendRecordKey(nil, t.owner, from)
	if to == nil {
		return low, afterOwner(t.owner)
	}
	return low, appendRecordKey(nil, t.owner, to)
}

// Scan seeks again after each fn that has written: bbolt's cursors do not
// survive a change.
func (t *tx) Scan(from, to []byte, fn func(key, value []byte) error) error {
	if t.closed {
		return store.ErrClosed
	}
	low, high := t.bounds(from, to)
	c := t.record.Cursor()
	k, raw := c.Seek(low)
	for k != nil && bytes.Compare(k, high) < 0 {
		writes := t.writes
		if stop, err := t.visit(k, raw, fn); stop {
			return err
		}
		if writes == t.writes {
			k, raw = c.Next()
			continue
		}
		c = t.record.Cursor()
		last := k
		if k, raw = c.Seek(last); bytes.Equal(k, last) {
			k, raw = c.Next()
		}
	}
	return nil
}

// ScanBack is Scan from high down to low.
func (t *tx) ScanBack(from, to []byte, fn func(key, value []byte) error) error {
	if t.closed {
		return store.ErrClosed
	}
	low, high := t.bounds(from, to)
	c := t.record.Cursor()
	k, raw := before(t.record, c, high)
	for k != nil && bytes.Compare(k, low) >= 0 {
		writes := t.writes
		if stop, err := t.visit(k, raw, fn); stop {
			return err
		}
		if writes == t.writes {
			k, raw = previous(t.record, c, k)
		} else {
			c = t.record.Cursor()
			k, raw = before(t.record, c, k)
		}
	}
	return nil
}

// visit calls fn for one record and says whether the scan ends there.
func (t *tx) visit(k, raw []byte, fn func(key, value []byte) error) (stop bool, err error) {
	key := k[len(t.owner)+1:]
	v, err := t.value(raw)
	if err != nil {
		return true, &store.Damage{Owner: t.owner, Key: bytes.Clone(key), Why: err.Error()}
	}
	switch err := fn(key[:len(key):len(key)], v); {
	case err == nil:
		if t.closed {
			return true, store.ErrClosed
		}
		return false, nil
	case errors.Is(err, store.Stop):
		return true, nil
	default:
		return true, err
	}
}

// before moves c to the last key below k, nil if there is none.
func before(b *bbolt.Bucket, c *bbolt.Cursor, k []byte) (key, raw []byte) {
	if at, _ := c.Seek(k); at != nil {
		return previous(b, c, k)
	}
	// Nothing lies at k or beyond: it is the last of all. bbolt's Last does
	// not return from a tree whose every leaf this transaction has emptied.
	if first, _ := b.Cursor().First(); first == nil {
		return nil, nil
	}
	return c.Last()
}

// previous moves c back from k. In a transaction that has emptied a leaf,
// bbolt's Prev stops there as if at the beginning: it is asked again for as
// long as there is a first key below k.
func previous(b *bbolt.Bucket, c *bbolt.Cursor, k []byte) (key, raw []byte) {
	if key, raw = c.Prev(); key != nil || !b.Writable() {
		return key, raw
	}
	first, _ := b.Cursor().First()
	if first == nil || bytes.Compare(first, k) >= 0 {
		return nil, nil
	}
	for key == nil {
		key, raw = c.Prev()
	}
	return key, raw
}
