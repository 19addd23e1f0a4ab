package mailbox

import (
	"context"
	"errors"
	"fmt"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// Problem is one thing that Verify found wrong.
type Problem struct {
	Object string // box by number, message or blob by its opaque name
	Text   string
}

func (p Problem) String() string { return p.Object + ": " + p.Text }

// Verify checks the structure of an owner's mail in one consistent view:
// counters against entries, entries against messages, reference counts, bodies
// and blobs with their sizes. Nothing is opened: no key is needed. An owner
// without a mailbox has no problems. At most 1000 are told.
func (s *Service) Verify(ctx context.Context, owner store.Owner) ([]Problem, error) {
	var c *checking
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		c = &checking{tx: tx, owner: tx.Owner(), entries: make(map[messageID]uint32)}
		d, err := loadDirectory(tx)
		if errs.Is(err, errs.NotFound) {
			return c.strays()
		}
		if err != nil {
			return err
		}
		c.directory(d)
		for _, l := range d.Boxes {
			if err := c.box(l.ID, false); err != nil {
				return err
			}
		}
		for _, id := range d.Dying {
			if err := c.box(id, true); err != nil {
				return err
			}
		}
		return errors.Join(c.messages(), c.strays())
	})
	if err != nil {
		return nil, err
	}
	for _, b := range c.blobs {
		if err := s.verifyBlob(ctx, c, b); err != nil {
			return c.found, err
		}
	}
	return c.found, nil
}

// Blobs calls fn for each blob that an owner's messages name, for the sweeper
// of blobs that nobody names. fn runs inside a view of the store.
func (s *Service) Blobs(ctx context.Context, owner store.Owner, fn func(id blob.ID, size int64) error) error {
	return s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		return tx.Scan([]byte(prefixMessage), store.After([]byte(prefixMessage)), func(k, v []byte) error {
			if _, p, ok := partOf(k); !ok || p != partStored {
				return nil
			}
			var m stored
			if err := store.Decode(v, &m); err != nil || m.Blob == "" {
				return err
			}
			return fn(m.Blob, m.BlobSize)
		})
	})
}

// checking is one Verify at work.
type checking struct {
	tx      store.Tx
	owner   store.Owner
	entries map[messageID]uint32 // how many entries each message has
	sizes   int64
	blobs   []namedBlob
	found   []Problem
}

// namedBlob is what a message's record says of its blob.
type namedBlob struct {
	message messageID
	id      blob.ID
	size    int64
	sum     uint32
}

// maxProblems is how many problems of one owner Verify tells: more of them say
// nothing new.
const maxProblems = 1000

func (c *checking) problem(object, format string, args ...any) {
	if len(c.found) >= maxProblems {
		return
	}
	c.found = append(c.found, Problem{object, fmt.Sprintf(format, args...)})
}

func boxName(id boxID) string { return fmt.Sprintf("box %d", id) }

// directory checks the list of boxes by itself.
func (c *checking) directory(d *directory) {
	names, ids, validity := map[string]bool{}, map[boxID]bool{}, map[uint32]bool{}
	for _, l := range d.Boxes {
		if names[l.Name] || ids[l.ID] || validity[l.UIDValidity] {
			c.problem(boxName(l.ID), "name, number or UIDVALIDITY stands twice in the directory")
		}
		names[l.Name], ids[l.ID], validity[l.UIDValidity] = true, true, true
		if l.ID >= d.NextID || l.UIDValidity > d.LastValidity {
			c.problem(boxName(l.ID), "number or UIDVALIDITY beyond the last one given")
		}
		for _, up := range above(l.Name) {
			if _, err := d.find(up); err != nil {
				c.problem(boxName(l.ID), "a box above it is missing")
			}
		}
	}
	if l := d.byID(inboxID); l == nil || l.Name != Inbox {
		c.problem(boxName(inboxID), "INBOX is missing")
	}
}

// box checks a box's counters against its entries. A dying box may have lost
// entries.
func (c *checking) box(id boxID, dying bool) error {
	want, err := store.Load[counters](c.tx, keyBox(id))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		c.problem(boxName(id), "its counters: %v", err)
		err = nil
	}
	if err != nil {
		return err
	}
	got := counters{UIDNext: want.UIDNext, ModSeq: want.ModSeq, LogLen: want.LogLen, LogFloor: want.LogFloor, Dead: want.Dead}
	b := boxTx{c: got}
	err = scanEntries(c.tx, id, func(r row) error {
		b.count(&r, 1)
		c.entries[r.id]++
		if r.uid >= want.UIDNext {
			c.problem(boxName(id), "UID %d is not below UIDNEXT %d", r.uid, want.UIDNext)
		}
		if r.modseq > want.ModSeq {
			c.problem(boxName(id), "UID %d is ahead of the highest mod-sequence", r.uid)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if want.Dead != dying {
		c.problem(boxName(id), "marked deleted: %v, in the directory: %v", want.Dead, !dying)
	}
	if b.c != want && !dying {
		c.problem(boxName(id), "counters %+v, entries %+v", want, b.c)
	}
	return c.expunges(id, want)
}

func (c *checking) expunges(id boxID, want counters) error {
	n := 0
	prefix := keyGone(id, 0)[:len(prefixGone)+4]
	err := c.tx.Scan(prefix, store.After(prefix), func(k, _ []byte) error {
		n++
		if m := modseqOf(k); m > want.ModSeq || m <= want.LogFloor {
			c.problem(boxName(id), "an expunge at %d lies outside %d to %d", m, want.LogFloor, want.ModSeq)
		}
		return nil
	})
	if n != want.LogLen && !want.Dead {
		c.problem(boxName(id), "%d expunges in the log, %d counted", n, want.LogLen)
	}
	return err
}

// messages checks that every entry has its message, counted right.
func (c *checking) messages() error {
	for id, n := range c.entries {
		m, err := store.Load[stored](c.tx, keyOf(partStored, id))
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			c.problem(id.String(), "the message: %v", err)
			continue
		}
		if err != nil {
			return err
		}
		r, err := loadRefs(c.tx, id)
		if err != nil {
			return err
		}
		if r.Count != n {
			c.problem(id.String(), "%d entries, %d counted", n, r.Count)
		}
		if m.Blob != "" {
			c.blobs = append(c.blobs, namedBlob{id, m.Blob, m.BlobSize, m.Sum})
		} else if _, err := c.tx.Get(keyOf(partBody, id)); errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			c.problem(id.String(), "its body: %v", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// strays looks for records of messages that no entry names.
func (c *checking) strays() error {
	err := c.tx.Scan([]byte(prefixMessage), store.After([]byte(prefixMessage)), func(k, _ []byte) error {
		if id, p, ok := partOf(k); !ok || c.entries[id] == 0 {
			c.problem(id.String(), "a record (%c) that no entry names", p)
		}
		return nil
	})
	if errors.Is(err, store.ErrCorrupt) { // which messages told of
		return nil
	}
	return err
}

// verifyBlob reads a message's blob once. One that is gone because its message
// was expunged meanwhile is no problem.
func (s *Service) verifyBlob(ctx context.Context, c *checking, want namedBlob) error {
	b, err := s.cfg.Blobs.Open(ctx, want.id)
	if errors.Is(err, blob.ErrNotFound) {
		named, err := s.names(ctx, c.owner, want)
		if named {
			c.problem(want.message.String(), "its blob %s is missing", want.id)
		}
		return err
	}
	if err != nil {
		return err
	}
	defer b.Close()
	if b.Size() != want.size {
		c.problem(want.message.String(), "its blob %s has %d bytes, %d recorded", want.id, b.Size(), want.size)
		return nil
	}
	err = checkSum(b, want.sum)
	if errors.Is(err, store.ErrCorrupt) {
		c.problem(want.message.String(), "its blob %s is not what was written", want.id)
		return nil
	}
	return err
}

// names reports whether a message still names its blob.
func (s *Service) names(ctx context.Context, owner store.Owner, b namedBlob) (named bool, err error) {
	err = s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		m, err := store.Load[stored](tx, keyOf(partStored, b.message))
		named = err == nil && m.Blob == b.id
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			return nil
		}
		return err
	})
	return named, err
}

// Count returns how many messages an owner's boxes show in all, a message in
// two boxes twice.
func (s *Service) Count(ctx context.Context, owner store.Owner) (n int, err error) {
	err = s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		n = 0
		d, err := loadDirectory(tx)
		if errs.Is(err, errs.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, l := range d.Boxes {
			c, err := store.Load[counters](tx, keyBox(l.ID))
			if err != nil {
				return err
			}
			n += int(c.Messages)
		}
		return nil
	})
	return n, err
}
