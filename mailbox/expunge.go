package mailbox

import (
	"context"
	"slices"

	"pli/store"
	"pli/store/blob"
)

// Expunge removes the messages of uids (nil: all of the view) that are flagged
// \Deleted (RFC 9051 6.4.3, 6.4.9), and returns which, ascending. Their numbers
// stay until Poll(true).
func (v *View) Expunge(ctx context.Context, uids []UID) ([]UID, error) {
	if err := v.writable(); err != nil {
		return nil, err
	}
	rows := v.rows(uids)
	rows = slices.DeleteFunc(rows, func(r row) bool { return !r.flags.has(bitDeleted) })
	var gone []UID
	for part := range slices.Chunk(rows, chunk) {
		done, err := v.expunge(ctx, part)
		if err != nil {
			return gone, err
		}
		gone = append(gone, done...)
	}
	slices.Sort(gone)
	return gone, nil
}

// expunge removes some rows in one transaction, then their blobs.
func (v *View) expunge(ctx context.Context, rows []row) (gone []UID, err error) {
	var blobs []blob.ID
	err = v.a.update(ctx, func(tx store.Tx) error {
		gone, blobs = nil, nil
		b, err := v.a.s.box(tx, v.id, v)
		if err != nil {
			return err
		}
		for _, want := range rows {
			r, ok, err := b.get(want.uid)
			if err != nil {
				return err
			}
			if !ok || !r.flags.has(bitDeleted) {
				continue
			}
			if err := b.remove(r); err != nil {
				return err
			}
			last, id, err := unref(tx, r.id)
			if err != nil {
				return err
			}
			if last {
				b.grow(-r.size)
			}
			gone, blobs = append(gone, r.uid), append(blobs, id)
		}
		_, err = v.commit(tx, nil, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	v.a.s.deleteBlobs(ctx, blobs)
	return gone, nil
}

// Vanished returns the UIDs expunged after a mod-sequence, ascending; complete
// is false if the log no longer reaches back so far (RFC 7162 3.2.5.2), or is
// damaged.
func (v *View) Vanished(ctx context.Context, since uint64) (uids []UID, complete bool, err error) {
	err = v.a.s.cfg.DB.View(ctx, v.a.Owner(), func(tx store.Tx) error {
		uids = nil
		c, err := loadCounters(tx, v.id)
		if err != nil {
			return err
		}
		complete = since >= c.LogFloor
		return scanGone(tx, v.id, since+1, func(_ uint64, e expunged) error {
			for _, r := range e.UIDs {
				for u := uint64(r.First); u <= uint64(r.Last); u++ {
					uids = append(uids, UID(u))
				}
			}
			return nil
		}, func(uint64) error {
			complete = false
			return nil
		})
	})
	slices.Sort(uids)
	return slices.Compact(uids), complete, err
}
