package mailbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// What a Problem may be about.
const (
	AboutMessage = "message" // ID is Letter.ID, Message.ID
	AboutFolder  = "folder"  // ID is its number in the account
	AboutMailbox = "mailbox" // no ID
)

// Problem is one thing that is wrong with an account's mail. It tells no
// content: opaque names alone.
type Problem struct {
	About string
	ID    string
	Text  string
}

func (p Problem) String() string { return strings.TrimSpace(p.About+" "+p.ID) + ": " + p.Text }

// Verify checks an owner's mail: every record, each damaged one told by itself;
// counters against entries, entries against messages, reference counts; and
// every blob against its size and checksum. Records are seen in one consistent
// view. Nothing is opened: no key is needed. An owner without a mailbox has no
// problems. At most 1000 are told.
func (s *Service) Verify(ctx context.Context, owner store.Owner) ([]Problem, error) {
	var c *checking
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		c = &checking{tx: tx, owner: tx.Owner(), entries: make(map[messageID]uint32), parts: make(map[messageID]*parts)}
		return c.run()
	})
	if err != nil {
		return nil, err
	}
	for _, b := range c.blobs {
		if err := ctx.Err(); err != nil {
			return c.found, err
		}
		if err := s.verifyBlob(ctx, c, b); err != nil {
			return c.found, err
		}
	}
	return c.found, nil
}

// Blobs calls fn for each blob that an owner's messages name, for the sweeper
// of blobs that nobody names. fn runs inside a view of the store. It ends with
// store.ErrCorrupt if a record is damaged that may name one: nothing may be
// swept then.
func (s *Service) Blobs(ctx context.Context, owner store.Owner, fn func(id blob.ID, size int64) error) error {
	damaged := false
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		return scanMessages(tx, func(_ messageID, p part, v []byte) error {
			if p != partStored {
				return nil
			}
			var m stored
			if err := store.Decode(v, &m); err != nil || m.Blob == "" {
				return err
			}
			return fn(m.Blob, m.BlobSize)
		}, func(_ messageID, p part) error {
			if p == partStored {
				damaged = true
			}
			return nil
		})
	})
	if err == nil && damaged {
		err = fmt.Errorf("%w: a message, which may name a blob", store.ErrCorrupt)
	}
	return err
}

// checking is one Verify at work.
type checking struct {
	tx      store.Tx
	owner   store.Owner
	entries map[messageID]uint32 // how many entries each message has
	unsure  bool                 // entries are damaged: who is named is not known
	used    int64                // bytes of the messages that entries name
	use     use                  // what INBOX says of it
	parts   map[messageID]*parts
	blobs   []namedBlob
	found   []Problem
}

// parts is which records a message has, and what they say.
type parts struct {
	stored, body, refs bool
	damaged            bool // one of them
	blob               namedBlob
	size               int64 // bytes of the message
	count              uint32
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

func (c *checking) problem(about, id, format string, args ...any) {
	if len(c.found) < maxProblems {
		c.found = append(c.found, Problem{about, id, fmt.Sprintf(format, args...)})
	}
}

func (c *checking) folder(id boxID, format string, args ...any) {
	c.problem(AboutFolder, fmt.Sprint(id), format, args...)
}

func (c *checking) message(id messageID, format string, args ...any) {
	c.problem(AboutMessage, id.String(), format, args...)
}

// run looks at every record once.
func (c *checking) run() error {
	if err := c.readParts(); err != nil {
		return err
	}
	if _, err := c.tx.Get([]byte(keyOpened)); errors.Is(err, store.ErrCorrupt) {
		c.problem(AboutMailbox, "", "the record of who opened it last is damaged")
	}
	if err := scanPages(c.tx, func() {
		c.problem(AboutMailbox, "", "a page that its search is made from is damaged: the next session, or a repair, makes it anew")
	}); err != nil {
		return err
	}
	d, err := loadDirectory(c.tx)
	switch {
	case errs.Is(err, errs.NotFound):
		d = &directory{}
	case errors.Is(err, store.ErrCorrupt):
		c.problem(AboutMailbox, "", "the list of folders is damaged")
		if d, err = guessDirectory(c.tx); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		c.directory(d)
	}
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
	c.messages()
	if u := c.use; u.Counted && !c.unsure && u.Used != c.used {
		c.problem(AboutMailbox, "", "%d bytes of messages, %d counted", c.used, u.Used)
	}
	return nil
}

// directory checks the list of boxes by itself.
func (c *checking) directory(d *directory) {
	names, ids, validity := map[string]bool{}, map[boxID]bool{}, map[uint32]bool{}
	for _, l := range d.Boxes {
		if names[l.Name] || ids[l.ID] || validity[l.UIDValidity] {
			c.folder(l.ID, "name, number or UIDVALIDITY stands twice in the directory")
		}
		names[l.Name], ids[l.ID], validity[l.UIDValidity] = true, true, true
		if l.ID >= d.NextID || l.UIDValidity > d.LastValidity {
			c.folder(l.ID, "number or UIDVALIDITY beyond the last one given")
		}
		for _, up := range above(l.Name) {
			if _, err := d.find(up); err != nil {
				c.folder(l.ID, "a folder above it is missing")
			}
		}
	}
	if l := d.byID(inboxID); l == nil || l.Name != Inbox {
		c.folder(inboxID, "INBOX is missing")
	}
}

// box checks a box's counters against its entries. A dying box may have lost
// entries. Damaged counters, or entries, are told as such and not counted.
func (c *checking) box(id boxID, dying bool) error {
	want, err := store.Load[counters](c.tx, keyBox(id))
	counted := err == nil
	if lost(err) {
		c.folder(id, "its counters: %s", plain(err))
	} else if err != nil {
		return err
	}
	if id == inboxID {
		c.use = want.use
	}
	b := boxTx{c: counters{UIDNext: want.UIDNext, ModSeq: want.ModSeq, LogLen: want.LogLen, LogFloor: want.LogFloor, Dead: want.Dead, use: want.use}}
	whole := true
	err = scanAllEntries(c.tx, id, func(r row) error {
		b.count(&r, 1)
		if c.entries[r.id]++; c.entries[r.id] == 1 {
			c.used += r.size
		}
		if counted && r.uid >= want.UIDNext {
			c.folder(id, "UID %d is not below UIDNEXT %d", r.uid, want.UIDNext)
		}
		if counted && r.modseq > want.ModSeq {
			c.folder(id, "UID %d is ahead of the highest mod-sequence", r.uid)
		}
		return nil
	}, func(uid UID) error {
		c.folder(id, "the entry of UID %d is damaged", uid)
		whole, c.unsure = false, true
		return nil
	})
	if err != nil {
		return err
	}
	if counted && want.Dead != dying {
		c.folder(id, "marked deleted: %v, in the directory: %v", want.Dead, !dying)
	}
	if counted && whole && b.c != want && !dying {
		c.folder(id, "counters %+v, entries %+v", want, b.c)
	}
	return c.expunges(id, want, counted)
}

func (c *checking) expunges(id boxID, want counters, counted bool) error {
	n := 0
	check := func(m uint64) {
		n++
		if counted && (m > want.ModSeq || m <= want.LogFloor) {
			c.folder(id, "an expunge at %d lies outside %d to %d", m, want.LogFloor, want.ModSeq)
		}
	}
	err := scanGone(c.tx, id, 0, func(m uint64, _ expunged) error {
		check(m)
		return nil
	}, func(m uint64) error {
		check(m)
		c.folder(id, "the list of what was expunged at %d is damaged", m)
		return nil
	})
	if counted && n != want.LogLen && !want.Dead {
		c.folder(id, "%d expunges in the log, %d counted", n, want.LogLen)
	}
	return err
}

// readParts notes which records each message has, and tells of damaged ones.
func (c *checking) readParts() error {
	of := func(id messageID) *parts {
		p := c.parts[id]
		if p == nil {
			p = &parts{}
			c.parts[id] = p
		}
		return p
	}
	damaged := func(id messageID, p part) error {
		of(id).damaged = true
		c.message(id, "%s is damaged", p)
		return nil
	}
	return scanMessages(c.tx, func(id messageID, p part, v []byte) error {
		m, r, has := stored{}, refs{}, of(id)
		switch p {
		case partStored:
			if store.Decode(v, &m) != nil {
				return damaged(id, p)
			}
			has.stored, has.blob, has.size = true, m.named(id), m.Size
		case partBody:
			has.body = true
		case partRefs:
			if store.Decode(v, &r) != nil {
				return damaged(id, p)
			}
			has.refs, has.count = true, r.Count
		default:
			c.message(id, "a record of no known sort (%q)", byte(p))
		}
		return nil
	}, damaged)
}

// messages checks that entries and messages name each other, counted right.
func (c *checking) messages() {
	for _, id := range sortedIDs(c.entries) {
		if c.parts[id] == nil {
			c.message(id, "%d entries name it, and it is not there", c.entries[id])
		}
	}
	for _, id := range sortedIDs(c.parts) {
		p, n, count := c.parts[id], c.entries[id], uint32(1)
		if p.refs {
			count = p.count
		}
		switch {
		case p.damaged: // told already
		case n == 0 && c.unsure: // a damaged entry may name it
		case n == 0:
			c.message(id, "no entry names it")
		case !p.stored:
			c.message(id, "its envelope is missing")
		case p.blob.id == "" && !p.body:
			c.message(id, "its body is missing")
		case n != count && !c.unsure:
			c.message(id, "%d entries, %d counted", n, count)
		}
		if p.blob.id != "" {
			c.blobs = append(c.blobs, p.blob)
		}
	}
}

// plain says what is wrong with one record, without naming it.
func plain(err error) string {
	if errors.Is(err, store.ErrCorrupt) {
		return "damaged"
	}
	return "missing"
}

// verifyBlob reads a message's blob once. One that is gone because its message
// was expunged meanwhile is no problem.
func (s *Service) verifyBlob(ctx context.Context, c *checking, want namedBlob) error {
	err := s.checkBlob(ctx, want)
	if errors.Is(err, blob.ErrNotFound) {
		if named, err := s.names(ctx, c.owner, want); err != nil || !named {
			return err
		}
	}
	if lost(err) {
		c.message(want.message, "its body, blob %s, is %s", want.id, plain(err))
		return nil
	}
	return err
}

// checkBlob reads a blob once: blob.ErrNotFound, or store.ErrCorrupt if it is
// not what its record says.
func (s *Service) checkBlob(ctx context.Context, want namedBlob) error {
	b, err := s.cfg.Blobs.Open(ctx, want.id)
	if err != nil {
		return err
	}
	defer b.Close()
	if b.Size() != want.size {
		return fmt.Errorf("%w: %d bytes, %d recorded", errBlobSum, b.Size(), want.size)
	}
	return checkSum(b, want.sum)
}

// lost reports whether an error says that something is not there or damaged,
// which going on with the rest does not make worse.
func lost(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, blob.ErrNotFound)
}

// names reports whether a message still names its blob.
func (s *Service) names(ctx context.Context, owner store.Owner, b namedBlob) (named bool, err error) {
	err = s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		m, err := store.Load[stored](tx, keyOf(partStored, b.message))
		named = err == nil && m.Blob == b.id
		if lost(err) {
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
			c, err := loadCounters(tx, l.ID)
			if err != nil {
				return err
			}
			n += int(c.Messages)
		}
		return nil
	})
	return n, err
}
