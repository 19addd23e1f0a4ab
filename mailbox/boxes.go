package mailbox

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"pli/internal/errs"
	"pli/store"
)

// UID is a message's number in its box, never used again (RFC 9051 2.3.1.1).
type UID uint32

// SpecialUse says what a box is for (RFC 6154), "" for an ordinary one.
type SpecialUse string

// The special uses that Provision gives. Where a method takes the name of a
// box, the special use stands for the box that has it.
const (
	UseSent    SpecialUse = `\Sent`
	UseDrafts  SpecialUse = `\Drafts`
	UseTrash   SpecialUse = `\Trash`
	UseArchive SpecialUse = `\Archive`
	UseJunk    SpecialUse = `\Junk`
)

// Inbox is the name of the box that every account has.
const Inbox = "INBOX"

// ErrHasChildren is the cause of the errs.Conflict that Delete returns for a
// box with others below it (RFC 9051 6.3.5, HASCHILDREN).
var ErrHasChildren = errors.New("mailbox: folders lie below")

// Box is one folder as it stood when it was asked for.
type Box struct {
	Name          string // UTF-8 in NFC, levels divided by "/"
	Use           SpecialUse
	Subscribed    bool
	UIDValidity   uint32 // never given to another box of the account
	UIDNext       UID
	HighestModSeq uint64 // at least 1 (RFC 7162 3.1.2.1); counts in each box by itself
	Messages      uint32
	Unseen        uint32
	Deleted       uint32 // messages flagged \Deleted
	Size          int64  // bytes of all messages
}

func (l *listed) box(c counters) Box {
	return Box{
		Name: l.Name, Use: l.Use, Subscribed: l.Subscribed, UIDValidity: l.UIDValidity,
		UIDNext: c.UIDNext, HighestModSeq: c.ModSeq,
		Messages: c.Messages, Unseen: c.Unseen, Deleted: c.Deleted, Size: c.Size,
	}
}

// Boxes returns every box in order of name, INBOX first.
func (a *Account) Boxes(ctx context.Context) (boxes []Box, err error) {
	err = a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) error {
		d, err := loadDirectory(tx)
		if err != nil {
			return err
		}
		boxes = make([]Box, 0, len(d.Boxes))
		for i := range d.Boxes {
			c, err := loadCounters(tx, d.Boxes[i].ID)
			if err != nil {
				return err
			}
			boxes = append(boxes, d.Boxes[i].box(c))
		}
		return nil
	})
	slices.SortFunc(boxes, func(x, y Box) int {
		if (x.Name == Inbox) != (y.Name == Inbox) {
			return cmp.Compare(btoi(y.Name == Inbox), btoi(x.Name == Inbox))
		}
		return cmp.Compare(x.Name, y.Name)
	})
	return boxes, err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Box returns one box by name or use, or errs.NotFound.
func (a *Account) Box(ctx context.Context, name string) (box Box, err error) {
	err = a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) error {
		d, err := loadDirectory(tx)
		if err != nil {
			return err
		}
		l, err := d.find(name)
		if err != nil {
			return err
		}
		c, err := loadCounters(tx, l.ID)
		box = l.box(c)
		return err
	})
	return box, err
}

// Subscriptions returns the subscribed names, those of boxes that are gone too:
// RFC 9051 6.3.7 forbids to drop them. Ascending.
func (a *Account) Subscriptions(ctx context.Context) ([]string, error) {
	d, err := a.directory(ctx)
	if err != nil {
		return nil, err
	}
	names := slices.Clone(d.Orphans)
	for _, l := range d.Boxes {
		if l.Subscribed {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Subscribe marks a box as one the person wants to see, or not. The name of a
// box that is gone can only be unsubscribed.
func (a *Account) Subscribe(ctx context.Context, name string, on bool) error {
	return a.edit(ctx, func(tx store.Tx, d *directory) error {
		l, err := d.find(name)
		if err == nil {
			l.Subscribed = on
			return nil
		}
		if i := slices.Index(d.Orphans, canonical(name)); i >= 0 && !on {
			d.Orphans = slices.Delete(d.Orphans, i, i+1)
			return nil
		}
		return err
	})
}

// Create makes a box, subscribed to by nobody yet, and those above it that are
// missing (RFC 9051 6.3.4). Errors: errs.Conflict if it is there or its use is
// taken, errs.Invalid or errs.TooLarge for its name.
func (a *Account) Create(ctx context.Context, name string, use SpecialUse) error {
	name, err := a.s.checkName(name)
	if err != nil {
		return err
	}
	if use != "" && !slices.ContainsFunc(provided[:], func(l listed) bool { return l.Use == use }) {
		return errs.New(errs.Invalid, "there is no use %.40q for a folder here", string(use)) // RFC 6154 3, USEATTR
	}
	return a.edit(ctx, func(tx store.Tx, d *directory) error {
		if use != "" {
			if _, err := d.find(string(use)); err == nil {
				return errs.New(errs.Conflict, "another folder has this use already")
			}
		}
		_, err := a.s.create(tx, d, name, use)
		return err
	})
}

// create adds a box and those above it to d.
func (s *Service) create(tx store.Tx, d *directory, name string, use SpecialUse) (*listed, error) {
	if _, err := d.find(name); err == nil {
		return nil, errs.New(errs.Conflict, "this folder is there already")
	}
	for _, up := range append(above(name), name) {
		if _, err := d.find(up); err == nil {
			continue
		}
		u := SpecialUse("")
		if up == name {
			u = use
		}
		l, err := s.newBox(tx, d, up, u, d.resubscribe(up))
		if err != nil {
			return nil, err
		}
		if up == name {
			return l, nil
		}
	}
	return nil, errs.New(errs.Conflict, "this folder is there already")
}

// resubscribe reports whether a new box's name is subscribed from an earlier
// life.
func (d *directory) resubscribe(name string) bool {
	i := slices.Index(d.Orphans, name)
	if i >= 0 {
		d.Orphans = slices.Delete(d.Orphans, i, i+1)
	}
	return i >= 0
}

// orphan keeps the subscription of a name whose box goes.
func (a *Account) orphan(d *directory, l *listed) {
	if !l.Subscribed {
		return
	}
	if len(d.Orphans) >= a.s.cfg.MaxBoxes {
		d.Orphans = d.Orphans[1:]
	}
	d.Orphans = append(d.Orphans, l.Name)
}

// edit changes the directory in a transaction and tells open sessions.
func (a *Account) edit(ctx context.Context, fn func(tx store.Tx, d *directory) error) error {
	return a.s.edit(ctx, a.Owner(), fn)
}

func (s *Service) edit(ctx context.Context, owner store.Owner, fn func(tx store.Tx, d *directory) error) error {
	return full(s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		d, err := loadDirectory(tx)
		if err != nil {
			return err
		}
		if err := fn(tx, d); err != nil {
			return err
		}
		boxes := slices.Clone(d.Boxes)
		tx.AfterCommit(func() { s.publishBoxes(owner, boxes) })
		return d.save(tx)
	}))
}

// publishBoxes gives open tables their boxes' new names, and ends those whose
// boxes are gone.
func (s *Service) publishBoxes(owner store.Owner, boxes []listed) {
	s.mu.RLock()
	sh := s.live[owner]
	s.mu.RUnlock()
	if sh != nil {
		d := directory{Boxes: boxes}
		sh.mu.Lock()
		for id, t := range sh.tables {
			if l := d.byID(id); l != nil {
				t.listed = *l
			}
		}
		sh.mu.Unlock()
	}
	s.publish(owner, nil, nil)
}
