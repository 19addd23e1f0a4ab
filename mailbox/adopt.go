package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// Adopted is what Adopt has done.
type Adopted struct {
	Messages int       // messages brought, each once
	Boxes    int       // boxes made
	Problems []Problem // what was left behind, and why
}

// Adopt brings into an account's mail what from, a sealed store that holds the
// same owner's records from a backup, has and the account has not: boxes by
// their names, messages by their ids, with flags and internal date, under new
// UIDs. Nothing is opened. A message whose own records or blob do not open in
// the account counts as one that it has not, and gets them back where it lies.
// One that no entry names any more gets its places; damaged entries are left to
// Rebuild. Where the list of boxes is damaged, their names come from from.
// Blobs are brought by bring before the record that names them.
//
// It writes in transactions of bounded size; done again, it adds nothing. Open
// sessions hear of it as of a delivery. A message that is damaged in from, or
// whose blob bring does not find there, is left behind and told; a passing
// failure of bring (errs.Unavailable) ends it. It passes no gate: it is an act
// of the operator's, whose operation writes the trace. Errors: errs.NotFound
// where the account, or from, has no mailbox; errs.TooLarge for a full account.
func (s *Service) Adopt(ctx context.Context, owner store.Owner, from store.DB, bring func(ctx context.Context, id blob.ID) error) (Adopted, error) {
	a := &adopting{s: s, owner: owner, from: from, bring: bring, here: make(map[messageID]bool)}
	for _, step := range []func(context.Context) error{a.survey, a.mend, a.makeBoxes, a.look} {
		if err := step(ctx); err != nil {
			return a.done, err
		}
	}
	for len(a.waiting) > 0 {
		n := min(len(a.waiting), chunk)
		if err := a.bringSome(ctx, a.waiting[:n]); err != nil {
			return a.done, err
		}
		a.waiting = a.waiting[n:]
	}
	return a.done, nil
}

// adopting is one Adopt at work.
type adopting struct {
	s     *Service
	owner store.Owner
	from  store.DB
	bring func(ctx context.Context, id blob.ID) error

	boxes    []adoptedBox
	keywords []string // of from
	waiting  []adoptee
	here     map[messageID]bool // what the account's entries name
	done     Adopted
}

// adoptedBox is a box of from, and the account's of the same name.
type adoptedBox struct {
	listed
	to boxID
}

// adoptee is a message of from, with its places there.
type adoptee struct {
	id     messageID
	places []adoptedPlace
}

type adoptedPlace struct {
	box int // in adopting.boxes
	row row
}

func (a *adopting) problem(id messageID, err error) {
	if len(a.done.Problems) < maxProblems {
		a.done.Problems = append(a.done.Problems, Problem{AboutMessage, id.String(), err.Error()})
	}
}

// survey reads what from has: boxes, places, and messages that have none.
func (a *adopting) survey(ctx context.Context) error {
	return a.from.View(ctx, a.owner, func(tx store.Tx) error {
		a.boxes, a.waiting, a.done = nil, nil, Adopted{}
		d, err := loadDirectory(tx)
		if errors.Is(err, store.ErrCorrupt) {
			a.done.Problems = append(a.done.Problems, Problem{AboutMailbox, "", "the list of folders is damaged: those that are not every account's own have lost their names"})
			d, err = guessDirectory(tx)
		}
		if err != nil {
			return err
		}
		a.keywords = d.Keywords
		known := make(map[messageID]int) // place in waiting
		for _, l := range d.Boxes {
			at := len(a.boxes)
			a.boxes = append(a.boxes, adoptedBox{listed: l})
			err := scanEntries(tx, l.ID, func(r row) error {
				i, ok := known[r.id]
				if !ok {
					i = len(a.waiting)
					known[r.id] = i
					a.waiting = append(a.waiting, adoptee{id: r.id})
				}
				a.waiting[i].places = append(a.waiting[i].places, adoptedPlace{at, r})
				return nil
			})
			if err != nil {
				return err
			}
		}
		return a.placeless(tx, d, known)
	})
}

// placeless finds messages of from whose entry is lost: they are recovered.
func (a *adopting) placeless(tx store.Tx, d *directory, known map[messageID]int) error {
	dying, err := dyingMessages(tx, d)
	if err != nil {
		return err
	}
	at := -1
	return scanMessages(tx, func(id messageID, p part, v []byte) error {
		if _, ok := known[id]; ok || p != partStored || dying[id] {
			return nil
		}
		var m stored
		if err := store.Decode(v, &m); err != nil {
			return nil
		}
		if at < 0 {
			at = len(a.boxes)
			a.boxes = append(a.boxes, adoptedBox{listed: listed{Name: Recovered, Subscribed: true}})
		}
		a.waiting = append(a.waiting, adoptee{id, []adoptedPlace{{at, recoveredRow(id, m.Size)}}})
		return nil
	}, nil)
}

// mend takes the names of boxes from the copy where the account's own list of
// them is damaged. Their UIDVALIDITY is new.
func (a *adopting) mend(ctx context.Context) error {
	return full(a.s.cfg.DB.Update(ctx, a.owner, func(tx store.Tx) error {
		if _, err := loadDirectory(tx); !errors.Is(err, store.ErrCorrupt) {
			return nil
		}
		d := &directory{Keywords: a.keywords, NextID: inboxID, Limit: limitLeft(tx)}
		for _, b := range a.boxes {
			if l := b.listed; l.ID != 0 {
				l.UIDValidity = 0
				d.Boxes, d.NextID = append(d.Boxes, l), max(d.NextID, l.ID+1)
			}
		}
		_, err := a.s.mendDirectory(tx, d, true)
		return err
	}))
}

// makeBoxes makes the boxes that the account lacks.
func (a *adopting) makeBoxes(ctx context.Context) error {
	made := 0
	err := a.s.edit(ctx, a.owner, func(tx store.Tx, d *directory) error {
		made = 0
		for i := range a.boxes {
			b := &a.boxes[i]
			l, err := d.find(b.Name)
			if err != nil {
				use := b.Use
				if _, err := d.find(string(use)); use != "" && err == nil {
					use = "" // another box has it
				}
				before := len(d.Boxes)
				if l, err = a.s.create(tx, d, b.Name, use); err != nil {
					return err
				}
				l.Subscribed = l.Subscribed || b.Subscribed
				made += len(d.Boxes) - before
			}
			b.to = l.ID
		}
		return nil
	})
	a.done.Boxes = made
	return err
}

// look notes which messages the account has an entry of.
func (a *adopting) look(ctx context.Context) error {
	return a.s.cfg.DB.View(ctx, a.owner, func(tx store.Tx) error {
		clear(a.here)
		d, err := loadDirectory(tx)
		if err != nil {
			return err
		}
		for _, l := range d.Boxes {
			err := scanEntries(tx, l.ID, func(r row) error {
				a.here[r.id] = true
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// adoptBytes is how much of messages one transaction of Adopt writes, about.
const adoptBytes = 4 << 20

// bringing is a message that the account lacks, as from has it.
type bringing struct {
	adoptee
	record []byte // stored, encoded
	body   []byte // nil if it is a blob
	blob   namedBlob
}

// bringSome brings those of a chunk that the account lacks.
func (a *adopting) bringSome(ctx context.Context, part []adoptee) error {
	ids := make([]messageID, len(part))
	for i := range part {
		ids[i] = part[i].id
	}
	whole, err := a.s.whole(ctx, a.owner, ids)
	if err != nil {
		return err
	}
	part = slices.DeleteFunc(slices.Clone(part), func(m adoptee) bool { return whole[m.id] && a.here[m.id] })
	for len(part) > 0 {
		batch, n, err := a.load(ctx, part)
		if err != nil {
			return err
		}
		part = part[n:]
		if batch, err = a.bringBlobs(ctx, batch); err != nil {
			return err
		}
		if err := a.enter(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// whole says which messages an account has in all their parts.
func (s *Service) whole(ctx context.Context, owner store.Owner, ids []messageID) (map[messageID]bool, error) {
	whole := make(map[messageID]bool)
	var blobs []namedBlob
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		clear(whole)
		blobs = nil
		for _, id := range ids {
			m, err := store.Load[stored](tx, keyOf(partStored, id))
			switch {
			case err == nil && m.Blob != "":
				blobs = append(blobs, m.named(id))
			case err == nil:
				_, err = tx.Get(keyOf(partBody, id))
				whole[id] = err == nil
			}
			if err != nil && !lost(err) {
				return err
			}
		}
		return nil
	})
	for _, b := range blobs {
		if err == nil {
			if err = s.checkBlob(ctx, b); err == nil || lost(err) {
				whole[b.message], err = err == nil, nil
			}
		}
	}
	return whole, err
}

// load reads messages of from, at least one of part and about adoptBytes of
// them, and says how many of part it has looked at.
func (a *adopting) load(ctx context.Context, part []adoptee) (batch []bringing, n int, err error) {
	var bad map[messageID]error
	err = a.from.View(ctx, a.owner, func(tx store.Tx) error {
		batch, n, bad = nil, 0, make(map[messageID]error)
		size := 0
		for _, m := range part {
			b, err := loadBringing(tx, m)
			if err != nil && !lost(err) {
				return err
			}
			if n++; err != nil {
				bad[m.id] = err
				continue
			}
			batch = append(batch, b)
			if size += len(b.record) + len(b.body); size >= adoptBytes {
				return nil
			}
		}
		return nil
	})
	for id, err := range bad {
		a.problem(id, fmt.Errorf("the message is damaged in the copy: %w", err))
	}
	return batch, n, err
}

func loadBringing(tx store.Tx, of adoptee) (b bringing, err error) {
	b.adoptee = of
	record, err := tx.Get(keyOf(partStored, of.id))
	if err != nil {
		return b, err
	}
	b.record = bytes.Clone(record)
	var m stored
	if err := store.Decode(record, &m); err != nil {
		return b, err
	}
	if m.Blob != "" {
		b.blob = m.named(of.id)
		return b, nil
	}
	body, err := tx.Get(keyOf(partBody, of.id))
	b.body = bytes.Clone(body)
	return b, err
}

// bringBlobs brings the blobs of a batch, and returns those messages that have
// all they need.
func (a *adopting) bringBlobs(ctx context.Context, batch []bringing) (ready []bringing, err error) {
	for _, b := range batch {
		if b.body == nil {
			if err := a.bringBlob(ctx, b.blob); errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
				return nil, errors.Join(err, ctx.Err())
			} else if err != nil {
				a.problem(b.id, fmt.Errorf("its blob cannot be brought: %w", err))
				continue
			}
		}
		ready = append(ready, b)
	}
	return ready, nil
}

// bringBlob brings one blob, unless it is here, sound.
func (a *adopting) bringBlob(ctx context.Context, want namedBlob) error {
	check := func() error { return a.s.checkBlob(ctx, want) }
	if err := check(); err == nil || !lost(err) {
		return err
	}
	return blob.Renew(ctx, a.s.cfg.Blobs, want.id, a.bring, check)
}

// enter writes a batch in one transaction.
func (a *adopting) enter(ctx context.Context, batch []bringing) error {
	if len(batch) == 0 {
		return nil
	}
	entered := 0
	err := a.s.cfg.DB.Update(ctx, a.owner, func(tx store.Tx) error {
		e := entering{adopting: a, tx: tx}
		for _, b := range batch {
			if err := e.message(b); err != nil {
				return err
			}
		}
		entered = e.entered
		return e.save()
	})
	if err == nil {
		a.done.Messages += entered
	}
	return full(err)
}

// entering is one transaction of Adopt.
type entering struct {
	*adopting
	tx      store.Tx
	boxes   []*boxTx // those written to, in the order of their first message
	known   []string // the account's keywords, as far as they were read
	entered int
	grown   int64 // bytes of the messages that have come
}

func (e *entering) message(b bringing) error {
	if err := e.tx.Put(keyOf(partStored, b.id), b.record); err != nil {
		return err
	}
	if b.body != nil {
		if err := e.tx.Put(keyOf(partBody, b.id), b.body); err != nil {
			return err
		}
	}
	e.entered++
	if e.here[b.id] { // an entry waits for it, unless it was expunged meanwhile
		if n, err := countEntries(e.tx, b.id); err != nil || n > 0 {
			return err
		}
	}
	return e.places(b.adoptee)
}

// places gives a message its entries.
func (e *entering) places(m adoptee) error {
	r := refs{Count: uint32(len(m.places))}
	e.grown += m.places[0].row.size
	for _, p := range m.places {
		box, err := e.box(e.adopting.boxes[p.box].to)
		if err != nil {
			return err
		}
		if p.row.flags, err = e.flags(p.row.flags); err != nil {
			return err
		}
		if _, err := box.add(p.row); err != nil {
			return err
		}
		r.Shown = r.Shown || p.row.shown
	}
	return r.save(e.tx, m.id)
}

func (e *entering) box(id boxID) (*boxTx, error) {
	for _, b := range e.boxes {
		if b.d.box == id {
			return b, nil
		}
	}
	b, err := e.s.box(e.tx, id, nil)
	if err == nil {
		e.boxes = append(e.boxes, b)
	}
	return b, err
}

// flags returns flags of from as the account writes them. Keywords beyond what
// an account may have are left behind.
func (e *entering) flags(f bits) (bits, error) {
	names := f.names(e.keywords)
	out, now, err := e.s.flagBits(e.tx, e.known, names)
	if errs.Is(err, errs.TooLarge) {
		return f.system(), nil
	}
	if now != nil {
		e.known = now
	}
	return out, err
}

func (e *entering) save() error {
	deltas := make([]*delta, len(e.boxes))
	for i, b := range e.boxes {
		var err error
		if deltas[i], err = b.save(); err != nil {
			return err
		}
	}
	e.s.tell(e.tx, e.known, deltas...)
	return e.s.settle(e.tx, e.grown, false) // what was theirs comes back, whatever the quota
}
