package postgres

import (
	"bytes"
	"slices"
)

// overlay is what a transaction has written so far, in order of keys.
type overlay struct{ writes []*write }

// write is what becomes of one record.
type write struct {
	key, value []byte
	due        *int64 // ms since 1970; nil for none
	gone       bool
}

// find returns where key is, or would be.
func (o *overlay) find(key []byte) (i int, found bool) {
	return slices.BinarySearchFunc(o.writes, key, func(w *write, key []byte) int { return bytes.Compare(w.key, key) })
}

// get returns what was written at key, nil if nothing was.
func (o *overlay) get(key []byte) *write {
	if i, found := o.find(key); found {
		return o.writes[i]
	}
	return nil
}

// set notes a write. A value handed out before keeps its bytes.
func (o *overlay) set(w *write) {
	if i, found := o.find(w.key); found {
		o.writes[i] = w
	} else {
		o.writes = slices.Insert(o.writes, i, w)
	}
}

// next returns the first write of low <= key < high (nil: no bound), or with
// back the last; nil if there is none.
func (o *overlay) next(low, high []byte, back bool) *write {
	var i int
	switch {
	case !back:
		i, _ = o.find(low)
	case high == nil:
		i = len(o.writes) - 1
	default:
		i, _ = o.find(high)
		i--
	}
	if i < 0 || i >= len(o.writes) {
		return nil
	}
	w := o.writes[i]
	if bytes.Compare(w.key, low) < 0 || high != nil && bytes.Compare(w.key, high) >= 0 {
		return nil
	}
	return w
}
