package mailbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"pli/internal/errs"
	"pli/mailbox/message"
	"pli/store"
)

// View is one client's numbered view of a box. Its sequence numbers stay as
// they are until Poll. It is for one goroutine, but for Changed. An idle view
// costs its own few words: numbers and rows are the account's.
type View struct {
	a        *Account
	id       boxID
	t        *table
	readOnly bool
	changed  chan struct{}
	checked  time.Time // when the table was last compared with the store

	uids    []UID  // by sequence number; as long as nothing is withheld, the table's own slice
	removed uint64 // t.removed when uids was last the table's
	told    uint64 // mod-sequence up to which changes are told
	own     []uint64
	owed    map[UID]struct{} // changed by others, then by this view, before it was told
}

// Message is one message in a view.
type Message struct {
	ID      string // opaque, the same in every box of the account
	UID     UID
	Seq     uint32 // 0 if the view does not number it
	Flags   []Flag // not to be changed
	ModSeq  uint64
	Date    time.Time      // internal date, to the second, with its zone
	Size    int64          // bytes
	Index   *message.Index // not to be changed
	Damaged bool           // the sealed index does not open; Index is a stand-in
}

// Select opens a numbered view of a box, by name or use. Errors: errs.NotFound.
func (a *Account) Select(ctx context.Context, box string, readOnly bool) (*View, error) {
	d, err := a.directory(ctx)
	if err != nil {
		return nil, err
	}
	l, err := d.find(box)
	if err != nil {
		return nil, err
	}
	for {
		t, err := a.sh.table(ctx, l.ID)
		if err != nil {
			return nil, err
		}
		v := &View{a: a, id: l.ID, t: t, readOnly: readOnly, changed: make(chan struct{}, 1), checked: a.s.cfg.Now()}
		if v.attach() {
			v.current(ctx) // commits that nobody told of
			v.Poll(true)
			return v, nil
		}
	}
}

// attach puts the view on its table, unless that was dropped meanwhile.
func (v *View) attach() bool {
	sh := v.a.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.tables[v.id] != v.t {
		return false
	}
	v.t.views[v] = struct{}{}
	v.uids, v.removed, v.told = v.t.uids, v.t.removed, v.t.c.ModSeq
	return true
}

// Close ends the view. It expunges nothing.
func (v *View) Close() {
	sh := v.a.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(v.t.views, v)
	sh.trim()
}

// Box returns the box as it stands now, which may be ahead of the numbers.
func (v *View) Box() Box {
	sh := v.a.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return v.t.listed.box(v.t.c)
}

// ReadOnly reports whether the view refuses writes.
func (v *View) ReadOnly() bool { return v.readOnly }

// Keywords returns the account's keywords, and whether it can take new ones
// (RFC 9051 7.1, PERMANENTFLAGS).
func (v *View) Keywords() (all []Flag, more bool) {
	known := v.a.sh.known()
	for _, k := range known {
		all = append(all, Flag(k))
	}
	return all, len(known) < v.a.s.cfg.MaxKeywords
}

// Changed is ready when Poll may have something to tell. It is for one receiver.
func (v *View) Changed() <-chan struct{} { return v.changed }

// Len returns the number of messages in the view.
func (v *View) Len() uint32 { return uint32(len(v.uids)) }

// UID returns the UID at a sequence number (from 1).
func (v *View) UID(seq uint32) (UID, bool) {
	if seq == 0 || int64(seq) > int64(len(v.uids)) {
		return 0, false
	}
	return v.uids[seq-1], true
}

// Seq returns the sequence number of a UID.
func (v *View) Seq(uid UID) (uint32, bool) {
	i, ok := slices.BinarySearch(v.uids, uid)
	return uint32(i + 1), ok
}

// UIDs returns the view's UIDs by sequence number; not to be changed.
func (v *View) UIDs() []UID { return v.uids[:len(v.uids):len(v.uids)] }

// rows returns the live rows of uids that the view numbers and that are still
// there, in the order of uids; nil means all.
func (v *View) rows(uids []UID) []row {
	if uids == nil {
		uids = v.uids
	}
	sh := v.a.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	out := make([]row, 0, len(uids))
	for _, uid := range uids {
		if _, ok := v.Seq(uid); !ok {
			continue
		}
		if i, ok := v.t.find(uid); ok {
			out = append(out, v.t.rows[i])
		}
	}
	return out
}

// message makes what a caller sees of a row. names keeps the lists of flags
// that were made before.
func (v *View) message(r *row, keywords []string, names map[bits][]Flag) Message {
	flags, ok := names[r.flags]
	if !ok {
		flags = r.flags.names(keywords)
		names[r.flags] = flags
	}
	seq, ok := v.Seq(r.uid)
	if !ok {
		seq = 0
	}
	return Message{ID: r.id.String(), UID: r.uid, Seq: seq, Flags: flags, ModSeq: r.modseq, Date: r.date(), Size: r.size}
}

// checkEvery is how often a view compares its table with the store, in case a
// commit was made that nobody here was told of.
const checkEvery = time.Second

// current makes the table whole if a change was missed.
func (v *View) current(ctx context.Context) error {
	s, sh := v.a.s, v.a.sh
	if now := s.cfg.Now(); now.Sub(v.checked) >= checkEvery {
		v.checked = now
		var c counters
		err := s.cfg.DB.View(ctx, sh.owner, func(tx store.Tx) (err error) {
			c, err = loadCounters(tx, v.id)
			if errors.Is(err, store.ErrNotFound) {
				return errNoBox()
			}
			return err
		})
		if err != nil {
			return err
		}
		sh.mu.Lock()
		v.t.stale = v.t.stale || c.ModSeq > v.t.c.ModSeq
		sh.mu.Unlock()
	}
	return sh.fresh(ctx, v.id, v.t)
}

// writable refuses writes through a read-only view, and to a deleted box.
func (v *View) writable() error {
	if v.readOnly {
		return errs.New(errs.Denied, "this folder is open for reading only")
	}
	return v.alive()
}

// alive refuses what is asked of a deleted box.
func (v *View) alive() error {
	v.a.sh.mu.Lock()
	defer v.a.sh.mu.Unlock()
	if v.t.c.Dead {
		return errNoBox()
	}
	return nil
}
