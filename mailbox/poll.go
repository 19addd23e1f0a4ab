package mailbox

import (
	"context"
	"slices"
	"time"

	"pli/internal/errs"
)

// Changes is what a client must be told, in this order: Expunged one by one,
// each number as it is after the ones before it are gone; then Exists if
// NewExists; then Flags, numbered as after both.
type Changes struct {
	Expunged  []uint32
	Exists    uint32
	NewExists bool
	Flags     []Message // without Index; never what this View itself stored
}

// pollTime bounds the reading that a Poll may have to do.
const pollTime = 5 * time.Second

// Poll brings the view up to date and says what changed since the last Poll.
// With expunge false, messages that are gone keep their numbers for now
// (RFC 9051 7.5.1).
//
// An expunge is told once, by Poll(true), whoever made it: after this view's
// own Expunge or Move the messages keep their numbers until Poll(true) reports
// them. A face answers EXPUNGE by calling Expunge, then Poll(true).
func (v *View) Poll(expunge bool) Changes {
	ctx, cancel := context.WithTimeout(context.Background(), pollTime)
	defer cancel()
	if err := v.current(ctx); err != nil && !isGone(err) {
		v.a.s.cfg.Log.Warn("a folder could not be read again", "owner", string(v.a.Owner()), "err", err)
	}
	select {
	case <-v.changed: // what it stood for is told now
	default:
	}
	sh := v.a.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var c Changes
	known := UID(0)
	if n := len(v.uids); n > 0 {
		known = v.uids[n-1]
	}
	before := len(v.uids)
	c.Expunged = v.renumber(expunge)
	c.Exists = uint32(len(v.uids))
	c.NewExists = len(v.uids) > before-len(c.Expunged)
	c.Flags = v.flagChanges(known)
	return c
}

// renumber takes over the table's messages, and returns the numbers of those
// that are gone, highest first. Without expunge the gone ones stay.
func (v *View) renumber(expunge bool) []uint32 {
	t := v.t
	if v.removed == t.removed {
		v.uids = t.uids // it only grew
		return nil
	}
	var gone []uint32
	for i := len(v.uids) - 1; i >= 0; i-- {
		if _, ok := t.find(v.uids[i]); !ok {
			gone = append(gone, uint32(i+1))
		}
	}
	if expunge || len(gone) == 0 {
		v.uids, v.removed = t.uids, t.removed
		return gone
	}
	from := 0 // new messages have larger UIDs than all before
	if n := len(v.uids); n > 0 {
		from, _ = slices.BinarySearch(t.uids, v.uids[n-1]+1)
	}
	if from < len(t.uids) {
		v.uids = append(slices.Clip(v.uids), t.uids[from:]...)
	}
	return nil
}

// flagChanges returns the messages up to known that others changed.
func (v *View) flagChanges(known UID) []Message {
	t, all := v.t, v.a.sh.keywords
	if t.c.ModSeq <= v.told && v.owed == nil {
		return nil
	}
	var out []Message
	names := make(map[bits][]Flag)
	for i := range t.rows {
		r := &t.rows[i]
		if r.uid > known {
			break
		}
		_, owed := v.owed[r.uid]
		if owed || r.modseq > v.told && !slices.Contains(v.own, r.modseq) {
			out = append(out, v.message(r, all, names))
		}
	}
	v.told, v.own, v.owed = t.c.ModSeq, nil, nil
	return out
}

// mine notes that this view made the changes of a mod-sequence, so that Poll
// does not tell them; but what others had changed on the same messages before,
// and this client has not heard, stays owed. before are the rows as they were.
func (v *View) mine(modseq uint64, before []row) {
	for _, r := range before {
		if r.modseq > v.told && !slices.Contains(v.own, r.modseq) {
			if v.owed == nil {
				v.owed = make(map[UID]struct{})
			}
			v.owed[r.uid] = struct{}{}
		}
	}
	v.own = append(v.own, modseq)
}

// isGone reports whether an error says that the box is deleted.
func isGone(err error) bool { return errs.Is(err, errs.NotFound) }
