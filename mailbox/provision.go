package mailbox

import (
	"errors"
	"time"

	"pli/internal/errs"
	"pli/store"
)

// provided are the boxes of every account, in the order of their numbers.
var provided = [...]listed{
	{Name: Inbox},
	{Name: "Sent", Use: UseSent},
	{Name: "Drafts", Use: UseDrafts},
	{Name: "Trash", Use: UseTrash},
	{Name: "Archive", Use: UseArchive},
	{Name: "Junk", Use: UseJunk},
}

// Provision gives an account its boxes: INBOX, Sent, Drafts, Trash, Archive and
// Junk with their special uses (RFC 6154), subscribed. An account that has them
// stays as it is.
func (s *Service) Provision(tx store.Tx) error {
	_, err := tx.Get([]byte(keyDirectory))
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return err
	}
	d := &directory{NextID: inboxID}
	for _, p := range provided {
		if _, err := s.newBox(tx, d, p.Name, p.Use, true); err != nil {
			return err
		}
	}
	first := counters{UIDNext: 1, ModSeq: 1, use: use{Counted: true}}
	return errors.Join(d.save(tx), store.Save(tx, keyBox(inboxID), &first))
}

// nextValidity returns a UIDVALIDITY that is larger than every one the account
// ever gave (RFC 9051 2.3.1.1), and near the clock, so that it also exceeds those
// of a mailbox restored from elsewhere.
func (d *directory) nextValidity(now time.Time) uint32 {
	d.LastValidity = max(d.LastValidity+1, uint32(now.Unix()))
	return d.LastValidity
}

// newBox adds a box to the directory, which the caller saves.
func (s *Service) newBox(tx store.Tx, d *directory, name string, use SpecialUse, subscribed bool) (*listed, error) {
	if len(d.Boxes) >= s.cfg.MaxBoxes {
		return nil, errs.New(errs.TooLarge, "an account has at most %d folders", s.cfg.MaxBoxes)
	}
	validity := d.nextValidity(s.cfg.Now())
	d.Boxes = append(d.Boxes, listed{ID: d.NextID, Name: name, Use: use, Subscribed: subscribed, UIDValidity: validity})
	l := &d.Boxes[len(d.Boxes)-1]
	d.NextID++
	return l, store.Save(tx, keyBox(l.ID), counters{UIDNext: 1, ModSeq: 1})
}
