package mailbox

import (
	"context"
	"slices"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// chunk is how many messages one transaction of a long act touches, so that no
// other account waits long for its commit.
const chunk = 500

// Delete removes a box with its messages. Errors: errs.Conflict with cause
// ErrHasChildren if boxes lie below it, errs.Denied for INBOX and the boxes of
// special use, errs.NotFound.
func (a *Account) Delete(ctx context.Context, name string) error {
	var id boxID
	err := a.edit(ctx, func(tx store.Tx, d *directory) error {
		l, err := d.find(name)
		if err != nil {
			return err
		}
		if l.Name == Inbox || l.Use != "" {
			return errs.New(errs.Denied, "this folder cannot be removed")
		}
		if slices.ContainsFunc(d.Boxes, func(o listed) bool { return isBelow(o.Name, l.Name) }) {
			return errs.Wrap(ErrHasChildren, errs.Conflict, "other folders lie below this one")
		}
		id = l.ID
		a.orphan(d, l)
		d.Boxes = slices.DeleteFunc(d.Boxes, func(o listed) bool { return o.ID == id })
		d.Dying = append(d.Dying, id)
		return a.kill(tx, id)
	})
	if err != nil {
		return err
	}
	return a.s.purge(ctx, a.Owner(), id)
}

// kill marks a box as deleted, so that nothing is written to it any more.
func (a *Account) kill(tx store.Tx, id boxID) error {
	b, err := a.s.box(tx, id, nil)
	if err != nil {
		return err
	}
	b.c.Dead = true
	b.step()
	d, err := b.save()
	if err != nil {
		return err
	}
	a.s.tell(tx, nil, d)
	return nil
}

// purge removes what a deleted box leaves, by chunks; a crash in between is
// made good by the next Open.
func (s *Service) purge(ctx context.Context, owner store.Owner, id boxID) error {
	for {
		var blobs []blob.ID
		more := false
		err := full(s.cfg.DB.Update(ctx, owner, func(tx store.Tx) (err error) {
			var freed int64
			blobs, freed, more, err = purgeSome(tx, id)
			if err == nil {
				err = s.settle(tx, -freed, false)
			}
			if err != nil || more {
				return err
			}
			return forget(tx, id)
		}))
		if err != nil {
			return err
		}
		s.deleteBlobs(ctx, blobs)
		if !more {
			return nil
		}
	}
}

// purgeSome removes up to a chunk of a box's records, and says how many bytes
// of messages went with them and whether there may be more.
func purgeSome(tx store.Tx, id boxID) (blobs []blob.ID, freed int64, more bool, err error) {
	var keys [][]byte
	var rows []row
	take := func(k []byte) error {
		if len(keys) >= chunk {
			more = true
			return store.Stop
		}
		keys = append(keys, k)
		return nil
	}
	err = scanAllEntries(tx, id, func(r row) error {
		if err := take(keyEntry(id, r.uid)); err != nil {
			return err
		}
		rows = append(rows, r)
		return nil
	}, func(uid UID) error { return take(keyEntry(id, uid)) })
	if err == nil && !more {
		log := func(modseq uint64) error { return take(keyGone(id, modseq)) }
		err = scanGone(tx, id, 0, func(modseq uint64, _ expunged) error { return log(modseq) }, log)
	}
	if err != nil {
		return nil, 0, false, err
	}
	for _, k := range keys {
		if err := tx.Delete(k); err != nil {
			return nil, 0, false, err
		}
	}
	for _, r := range rows {
		last, b, err := unref(tx, r.id)
		if err != nil {
			return nil, 0, false, err
		}
		if last {
			freed += r.size
		}
		blobs = append(blobs, b)
	}
	return blobs, freed, more, nil
}

// forget takes a purged box out of the directory.
func forget(tx store.Tx, id boxID) error {
	d, err := loadDirectory(tx)
	if err != nil {
		return err
	}
	d.Dying = slices.DeleteFunc(d.Dying, func(o boxID) bool { return o == id })
	if err := tx.Delete(keyBox(id)); err != nil {
		return err
	}
	return d.save(tx)
}

// Rename gives a box, and those below it, another name; boxes above the new
// name are made. They keep their messages, UIDs and UIDVALIDITY. Renaming INBOX
// moves its messages to a new box and leaves it empty (RFC 9051 6.3.6). Errors:
// errs.NotFound, errs.Conflict if the new name is taken or lies below the old
// one, errs.Denied for a box of special use, errs.Invalid, errs.TooLarge.
func (a *Account) Rename(ctx context.Context, from, to string) error {
	to, err := a.s.checkName(to)
	if err != nil {
		return err
	}
	if canonical(from) == Inbox {
		return a.renameInbox(ctx, to)
	}
	return a.edit(ctx, func(tx store.Tx, d *directory) error {
		l, err := d.find(from)
		if err != nil {
			return err
		}
		if l.Use != "" {
			return errs.New(errs.Denied, "this folder cannot be renamed")
		}
		return a.rename(tx, d, l.Name, to)
	})
}

func (a *Account) rename(tx store.Tx, d *directory, from, to string) error {
	if isBelow(to, from) {
		return errs.New(errs.Conflict, "a folder cannot lie below itself")
	}
	if _, err := d.find(to); err == nil {
		return errs.New(errs.Conflict, "this folder is there already")
	}
	if up := above(to); len(up) > 0 {
		if _, err := a.s.create(tx, d, up[len(up)-1], ""); err != nil && !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	for i := range d.Boxes {
		l := &d.Boxes[i]
		if l.Name != from && !isBelow(l.Name, from) {
			continue
		}
		name, err := a.s.checkName(to + l.Name[len(from):])
		if err != nil {
			return err
		}
		if l.Use != "" {
			return errs.New(errs.Denied, "a folder below this one cannot be renamed")
		}
		a.orphan(d, l)
		l.Name, l.Subscribed = name, d.resubscribe(name) || l.Subscribed
	}
	return nil
}

// renameInbox makes a box and moves INBOX's messages there.
func (a *Account) renameInbox(ctx context.Context, to string) error {
	var dest boxID
	err := a.edit(ctx, func(tx store.Tx, d *directory) error {
		l, err := a.s.create(tx, d, to, "")
		if err == nil {
			dest = l.ID
		}
		return err
	})
	if err != nil {
		return err
	}
	for {
		moved := 0
		err := a.update(ctx, func(tx store.Tx) error {
			uids, err := firstUIDs(tx, inboxID, chunk)
			if err != nil || len(uids) == 0 {
				moved = 0
				return err
			}
			done, err := a.s.transfer(tx, transfer{from: inboxID, to: dest, uids: uids, move: true})
			moved = len(done.Source)
			return err
		})
		if err != nil || moved == 0 {
			return err
		}
	}
}

// firstUIDs returns the n smallest UIDs of a box.
func firstUIDs(tx store.Tx, id boxID, n int) ([]UID, error) {
	var uids []UID
	err := scanEntries(tx, id, func(r row) error {
		if uids = append(uids, r.uid); len(uids) == n {
			return store.Stop
		}
		return nil
	})
	return uids, err
}
