package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"pli/internal/errs"
	"pli/store"
)

// Rebuilt is what Rebuild has done.
type Rebuilt struct {
	Messages  int       // messages that are there now
	Recovered int       // of these, those that no entry named: they are in Recovered
	Entries   int       // entries removed: damaged, or of a message that is not there
	Damaged   int       // damaged records removed
	Folders   int       // boxes whose UIDVALIDITY is new: clients list them anew
	Problems  []Problem // what was lost, and what it was
}

// Rebuild makes an owner's directory, entries, counters, reference counts and
// expunge logs agree with the messages that are there, after a salvage. A
// message that no entry names goes to the box Recovered; an entry whose message
// is not there goes, and damaged records do. A message that has lost its body
// alone stays, so that its holder knows who had written. Where a UID could have
// been given twice the box has a new UIDVALIDITY. Nothing is opened. Mail may
// arrive and sessions work meanwhile: what is removed or added is looked at
// again in its transaction. Done again, it changes nothing. An owner without
// any mail is left alone. It passes no gate: it is an act of the operator's,
// whose operation writes the trace.
func (s *Service) Rebuild(ctx context.Context, owner store.Owner) (Rebuilt, error) {
	b := &rebuilding{s: s, owner: owner}
	for _, step := range []func(context.Context) error{b.directory, b.pages, b.purge, b.messages, b.entries, b.recover, b.refs, b.use} {
		if err := step(ctx); err != nil {
			return b.done, err
		}
		if b.empty {
			break
		}
	}
	return b.done, nil
}

// rebuilding is one Rebuild at work.
type rebuilding struct {
	s     *Service
	owner store.Owner
	empty bool // the owner has no mail

	parts map[messageID]*parts // the messages that stay
	named map[messageID]uint32 // how many entries each has
	done  Rebuilt
}

func (b *rebuilding) view(ctx context.Context, fn func(tx store.Tx) error) error {
	return b.s.cfg.DB.View(ctx, b.owner, fn)
}

func (b *rebuilding) update(ctx context.Context, fn func(tx store.Tx) error) error {
	return full(b.s.cfg.DB.Update(ctx, b.owner, fn))
}

// pages drops what sessions have derived: they make it anew.
func (b *rebuilding) pages(ctx context.Context) error {
	err := b.view(ctx, func(tx store.Tx) error {
		damaged := 0
		err := scanPages(tx, func() { damaged++ })
		b.done.Damaged += damaged
		return err
	})
	return errors.Join(err, b.s.dropPagesOf(ctx, b.owner, func(boxID) bool { return true }))
}

// directory makes the list of boxes whole, and their counters.
func (b *rebuilding) directory(ctx context.Context) error {
	var done Rebuilt
	err := b.update(ctx, func(tx store.Tx) error {
		done, b.empty = Rebuilt{}, false
		d, err := loadDirectory(tx)
		changed := err != nil
		switch {
		case errs.Is(err, errs.NotFound):
			if b.empty, err = noMail(tx); err != nil || b.empty {
				return err
			}
			done.problem(AboutMailbox, "", "the list of folders is missing: names of folders are lost")
			d, err = guessDirectory(tx)
		case errors.Is(err, store.ErrCorrupt):
			done.Damaged++
			done.problem(AboutMailbox, "", "the list of folders is damaged: names of folders are lost")
			d, err = guessDirectory(tx)
		}
		if err != nil {
			return err
		}
		if _, err := tx.Get([]byte(keyOpened)); errors.Is(err, store.ErrCorrupt) {
			done.Damaged++
			if err := tx.Delete([]byte(keyOpened)); err != nil {
				return err
			}
		}
		done.Folders, err = b.s.mendDirectory(tx, d, changed)
		return err
	})
	b.done = done
	return err
}

// mendDirectory makes a directory and all counters agree with what records the
// boxes have, and saves it if it was changed. It returns how many boxes have a
// new UIDVALIDITY.
func (s *Service) mendDirectory(tx store.Tx, d *directory, changed bool) (folders int, err error) {
	if changed { // above every UIDVALIDITY that was given, also many at once
		d.LastValidity = max(d.LastValidity, uint32(s.cfg.Now().Unix())+uint32(s.cfg.MaxBoxes))
	}
	added, err := s.completeDirectory(tx, d)
	if err != nil {
		return 0, err
	}
	for i := range d.Boxes {
		renewed, err := s.renew(tx, d, &d.Boxes[i])
		if err != nil {
			return 0, err
		}
		if renewed {
			folders++
		}
	}
	for _, id := range d.Dying {
		if err := store.Save(tx, keyBox(id), counters{UIDNext: 1, ModSeq: 1, Dead: true}); err != nil {
			return 0, err
		}
	}
	if !changed && !added && folders == 0 {
		return 0, nil
	}
	owner, boxes := tx.Owner(), slices.Clone(d.Boxes)
	tx.AfterCommit(func() { s.publishBoxes(owner, boxes) })
	return folders, d.save(tx)
}

func (r *Rebuilt) problem(about, id, text string) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{about, id, text})
	}
}

// noMail reports whether an owner has no record of mail at all.
func noMail(tx store.Tx) (bool, error) {
	ids, err := boxesSeen(tx)
	none := len(ids) == 0
	see := func() error {
		none = false
		return store.Stop
	}
	return none, errors.Join(err, scanMessages(tx, func(messageID, part, []byte) error { return see() }, func(messageID, part) error { return see() }))
}

// completeDirectory adds the boxes that records name and d does not, and says
// whether there were any.
func (s *Service) completeDirectory(tx store.Tx, d *directory) (added bool, err error) {
	before := len(d.Boxes)
	if d.byID(inboxID) == nil {
		d.Boxes = slices.Insert(d.Boxes, 0, listed{ID: inboxID, Name: Inbox, Subscribed: true})
	}
	ids, err := boxesSeen(tx)
	for _, id := range ids {
		if d.NextID <= id {
			d.NextID, added = id+1, true
		}
		if d.byID(id) == nil && !slices.Contains(d.Dying, id) {
			d.Boxes = append(d.Boxes, listed{ID: id, Name: d.free(fmt.Sprintf("%s/%d", Recovered, id)), Subscribed: true})
		}
	}
	below := slices.ContainsFunc(d.Boxes, func(l listed) bool { return isBelow(l.Name, Recovered) })
	if _, missing := d.find(Recovered); below && missing != nil {
		d.Boxes = append(d.Boxes, listed{ID: d.NextID, Name: Recovered, Subscribed: true})
		d.NextID++
	}
	return added || len(d.Boxes) > before, err
}

// free returns a name that no box has, like the given one.
func (d *directory) free(name string) string {
	for {
		if _, err := d.find(name); err != nil {
			return name
		}
		name += "-"
	}
}

// renew counts a box, and gives it a new UIDVALIDITY if its counters are lost
// or older than what lies in it: UIDs could be given twice. An expunge log that
// is damaged is forgotten.
func (s *Service) renew(tx store.Tx, d *directory, l *listed) (renewed bool, err error) {
	old, err := store.Load[counters](tx, keyBox(l.ID))
	if err != nil && !lost(err) {
		return false, err
	}
	now, wholeLog, countErr := countBox(tx, l.ID)
	if countErr != nil {
		return false, countErr
	}
	renewed = err != nil || l.UIDValidity == 0 || now.UIDNext > old.UIDNext || now.ModSeq > old.ModSeq
	if renewed {
		l.UIDValidity = d.nextValidity(s.cfg.Now())
	}
	now.use = old.use
	if l.ID == inboxID {
		now.Limit = d.Limit
	}
	now.UIDNext, now.ModSeq, now.LogFloor = max(now.UIDNext, old.UIDNext), max(now.ModSeq, old.ModSeq), old.LogFloor
	if renewed || !wholeLog {
		if err := dropLog(tx, l.ID); err != nil {
			return false, err
		}
		now.ModSeq++
		now.LogLen, now.LogFloor = 0, now.ModSeq
	}
	if now == old {
		return false, nil
	}
	return renewed, store.Save(tx, keyBox(l.ID), now)
}

// dropLog removes a box's expunge log.
func dropLog(tx store.Tx, id boxID) error {
	var all []uint64
	take := func(modseq uint64) error {
		all = append(all, modseq)
		return nil
	}
	err := scanGone(tx, id, 0, func(modseq uint64, _ expunged) error { return take(modseq) }, take)
	for _, modseq := range all {
		err = errors.Join(err, tx.Delete(keyGone(id, modseq)))
	}
	return err
}

// purge finishes the deletion of boxes.
func (b *rebuilding) purge(ctx context.Context) error {
	var dying []boxID
	err := b.view(ctx, func(tx store.Tx) error {
		d, err := loadDirectory(tx)
		if err == nil {
			dying = d.Dying
		}
		return err
	})
	for _, id := range dying {
		if err == nil {
			err = b.s.purge(ctx, b.owner, id)
		}
	}
	return err
}

// dyingMessages returns the messages that deleted boxes name.
func dyingMessages(tx store.Tx, d *directory) (map[messageID]bool, error) {
	ids := make(map[messageID]bool)
	for _, box := range d.Dying {
		err := scanEntries(tx, box, func(r row) error {
			ids[r.id] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// messages removes damaged records of messages, and those messages whose
// envelope, without which nothing opens, is not there.
func (b *rebuilding) messages(ctx context.Context) error {
	c := &checking{owner: b.owner, parts: make(map[messageID]*parts)}
	err := b.view(ctx, func(tx store.Tx) error {
		c.tx, c.found = tx, nil
		clear(c.parts)
		return c.readParts()
	})
	if err != nil {
		return err
	}
	b.parts = c.parts
	b.done.Damaged += len(c.found)
	for _, p := range c.found {
		b.done.problem(p.About, p.ID, p.Text)
	}
	var gone, hurt []messageID
	for _, id := range sortedIDs(c.parts) {
		switch p := c.parts[id]; {
		case !p.stored:
			gone = append(gone, id)
			delete(b.parts, id)
		case p.damaged:
			hurt = append(hurt, id)
		}
	}
	b.done.Messages = len(b.parts)
	err = b.inChunks(ctx, gone, func(tx store.Tx, ids []messageID) error {
		for _, id := range ids {
			if _, err := store.Load[stored](tx, keyOf(partStored, id)); err == nil {
				continue // it came back
			}
			if _, err := dropMessage(tx, id); err != nil { // a blob that it may have is left to the sweeper
				return err
			}
		}
		return nil
	})
	return errors.Join(err, b.inChunks(ctx, hurt, func(tx store.Tx, ids []messageID) error {
		for _, id := range ids {
			if err := errors.Join(dropDamaged(tx, keyOf(partBody, id)), dropDamaged(tx, keyOf(partRefs, id))); err != nil {
				return err
			}
		}
		return nil
	}))
}

// dropDamaged removes a record that does not open.
func dropDamaged(tx store.Tx, key []byte) error {
	if _, err := tx.Get(key); !errors.Is(err, store.ErrCorrupt) {
		return nil
	}
	return tx.Delete(key)
}

func sortedIDs[V any](m map[messageID]V) []messageID {
	return slices.SortedFunc(maps.Keys(m), func(x, y messageID) int { return bytes.Compare(x[:], y[:]) })
}

// inChunks calls fn for some messages after others, each time in a transaction.
func (b *rebuilding) inChunks(ctx context.Context, ids []messageID, fn func(tx store.Tx, ids []messageID) error) error {
	for part := range slices.Chunk(ids, chunk) {
		if err := b.update(ctx, func(tx store.Tx) error { return fn(tx, part) }); err != nil {
			return err
		}
	}
	return nil
}

// entries removes those that are damaged or name nothing.
func (b *rebuilding) entries(ctx context.Context) error {
	b.named = make(map[messageID]uint32)
	var boxes []listed
	err := b.view(ctx, func(tx store.Tx) error {
		d, err := loadDirectory(tx)
		if err == nil {
			boxes = d.Boxes
		}
		return err
	})
	for _, l := range boxes {
		if err == nil {
			err = b.box(ctx, l.ID)
		}
	}
	return err
}

// box removes and mends the entries of one box.
func (b *rebuilding) box(ctx context.Context, id boxID) error {
	var change []UID
	err := b.view(ctx, func(tx store.Tx) error {
		change = nil
		d, err := loadDirectory(tx)
		if err != nil {
			return err
		}
		known := d.knownFlags()
		return scanAllEntries(tx, id, func(r row) error {
			if b.parts[r.id] == nil {
				change = append(change, r.uid)
				return nil
			}
			b.named[r.id]++
			if r.flags.minus(known) != (bits{}) {
				change = append(change, r.uid)
			}
			return nil
		}, func(uid UID) error {
			change = append(change, uid)
			return nil
		})
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(change, chunk) {
		gone := 0
		err := b.update(ctx, func(tx store.Tx) (err error) {
			gone, err = b.mendEntries(tx, id, part)
			return err
		})
		if err != nil {
			return err
		}
		b.done.Entries += gone
	}
	return nil
}

// mendEntries removes some entries, and takes from others the keywords that
// have lost their names.
func (b *rebuilding) mendEntries(tx store.Tx, id boxID, uids []UID) (gone int, err error) {
	box, err := b.s.box(tx, id, nil)
	if err != nil {
		return 0, err
	}
	d, err := loadDirectory(tx)
	if err != nil {
		return 0, err
	}
	for _, uid := range uids {
		r, ok, err := box.get(uid)
		switch {
		case errors.Is(err, store.ErrCorrupt):
			gone++
			err = box.drop(uid)
		case err == nil && ok:
			_, there := store.Load[stored](tx, keyOf(partStored, r.id))
			unknown := r.flags.minus(d.knownFlags())
			switch {
			case lost(there):
				gone++
				err = box.remove(r)
			case there != nil:
				err = there
			case unknown != bits{}:
				mended := r
				mended.flags = r.flags.minus(unknown)
				_, err = box.change(r, mended)
			}
		}
		if err != nil {
			return gone, err
		}
	}
	delta, err := box.save()
	b.s.tell(tx, nil, delta)
	return gone, err
}

// knownFlags are the system flags and the keywords that have a name.
func (d *directory) knownFlags() (f bits) {
	for i := range len(systemFlags) + len(d.Keywords) {
		f = f.or(bitAt(i))
	}
	return f
}

// recover gives an entry to the messages that have none.
func (b *rebuilding) recover(ctx context.Context) error {
	var ids []messageID
	for _, id := range sortedIDs(b.parts) {
		if b.named[id] == 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var to boxID
	err := b.s.edit(ctx, b.owner, func(tx store.Tx, d *directory) error {
		l, err := d.find(Recovered)
		if err != nil {
			if l, err = b.s.newBox(tx, d, Recovered, "", true); err != nil {
				return err
			}
		}
		to = l.ID
		return nil
	})
	if err != nil {
		return err
	}
	for part := range slices.Chunk(ids, chunk) {
		added := 0
		err := b.update(ctx, func(tx store.Tx) (err error) {
			added, err = b.enter(tx, to, part)
			return err
		})
		if err != nil {
			return err
		}
		b.done.Recovered += added
	}
	return nil
}

// enter gives some messages an entry in a box, if they have none.
func (b *rebuilding) enter(tx store.Tx, to boxID, ids []messageID) (added int, err error) {
	entries, err := entriesOf(tx, ids)
	if err != nil {
		return 0, err
	}
	box, err := b.s.box(tx, to, nil)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		m, err := store.Load[stored](tx, keyOf(partStored, id))
		if lost(err) || entries[id] > 0 {
			continue
		}
		if err != nil {
			return added, err
		}
		if _, err := box.add(recoveredRow(id, m.Size)); err != nil {
			return added, err
		}
		added++
	}
	d, err := box.save()
	b.s.tell(tx, nil, d)
	return added, err
}

// use counts again how many bytes the messages have.
func (b *rebuilding) use(ctx context.Context) error { return b.update(ctx, b.s.recount) }

// refs counts again how many entries each message has.
func (b *rebuilding) refs(ctx context.Context) error {
	var wrong []messageID
	for _, id := range sortedIDs(b.parts) {
		n, p := max(1, b.named[id]), b.parts[id]
		if p.refs && (p.count != n || n == 1) || !p.refs && n > 1 {
			wrong = append(wrong, id)
		}
	}
	return b.inChunks(ctx, wrong, func(tx store.Tx, ids []messageID) error {
		entries, err := entriesOf(tx, ids)
		for _, id := range ids {
			r, loadErr := store.Load[refs](tx, keyOf(partRefs, id))
			if loadErr != nil && !lost(loadErr) {
				return loadErr
			}
			r.Count = entries[id]
			err = errors.Join(err, r.save(tx, id))
		}
		return err
	})
}
