package bolt

import (
	"bytes"
	"time"

	"pli/store"
)

var _ store.DueScanner = (*tx)(nil)

// ScanDue is Scan with due times, for a backup.
func (t *tx) ScanDue(from, to []byte, fn func(key, value []byte, due time.Time) error) error {
	if t.closed {
		return store.ErrClosed
	}
	low, high := t.bounds(from, to)
	c := t.record.Cursor()
	for k, raw := c.Seek(low); k != nil && bytes.Compare(k, high) < 0; k, raw = c.Next() {
		stop, err := t.visit(k, raw, func(key, value []byte) error {
			e, _ := parseEntry(raw) // visit has read it
			if !e.hasDue {
				return fn(key, value, time.Time{})
			}
			return fn(key, value, time.UnixMilli(e.due))
		})
		if stop {
			return err
		}
	}
	return nil
}
