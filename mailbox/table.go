package mailbox

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"pli/store"
)

// table is a box in memory: one row for each message. It is loaded once and
// then follows the commits. All but loading is under shared.mu.
type table struct {
	loading sync.Mutex // held by the one who loads it

	loaded bool
	stale  bool     // a change was missed: to be loaded again
	ahead  []*delta // changes that came before those they follow

	listed listed
	c      counters
	// uids are the UIDs of rows, ascending. Views keep this very slice: what
	// lies within its length is never changed, it only grows at its end or is
	// replaced.
	uids    []UID
	rows    []row
	removed uint64 // how often uids was replaced
	views   map[*View]struct{}
}

// maxAhead is how many early changes a table keeps before it rather loads anew.
const maxAhead = 256

// take applies a change, or keeps it until those before it have come.
func (t *table) take(d *delta) {
	if t.loaded && d.after.ModSeq <= t.c.ModSeq {
		return // told twice, or loaded since
	}
	if !t.loaded || d.prev != t.c.ModSeq {
		if len(t.ahead) >= maxAhead {
			t.ahead, t.stale = nil, true
		} else {
			t.ahead = append(t.ahead, d)
		}
		return
	}
	t.apply(d)
	t.catchUp()
}

// catchUp applies the early changes whose turn has come.
func (t *table) catchUp() {
	slices.SortFunc(t.ahead, func(a, b *delta) int {
		if a.prev < b.prev {
			return -1
		}
		return 1
	})
	for len(t.ahead) > 0 && t.ahead[0].prev <= t.c.ModSeq {
		if d := t.ahead[0]; d.prev == t.c.ModSeq {
			t.apply(d)
		}
		t.ahead = t.ahead[1:]
	}
	if len(t.ahead) == 0 {
		t.ahead = nil
	}
}

func (t *table) apply(d *delta) {
	if len(d.removed) > 0 {
		t.remove(d.removed)
	}
	for _, r := range d.changed {
		if i, ok := t.find(r.uid); ok {
			t.rows[i] = r
		}
	}
	for _, r := range d.added {
		t.uids, t.rows = append(t.uids, r.uid), append(t.rows, r)
	}
	t.c = d.after
	if t.c.Dead { // for those who still look at it, all its messages are gone
		t.uids, t.rows = nil, nil
		t.removed++
	}
}

// remove takes ascending UIDs out.
func (t *table) remove(gone []UID) {
	uids := make([]UID, 0, len(t.uids))
	rows := t.rows[:0]
	for i, uid := range t.uids {
		if len(gone) > 0 && gone[0] == uid {
			gone = gone[1:]
			continue
		}
		uids, rows = append(uids, uid), append(rows, t.rows[i])
	}
	t.uids, t.rows = uids, rows
	t.removed++
}

// find returns the place of a UID.
func (t *table) find(uid UID) (int, bool) { return slices.BinarySearch(t.uids, uid) }

// wake makes every view look, but for the one that made the change.
func (t *table) wake(author *View) {
	for v := range t.views {
		if v != author {
			signal(v.changed)
		}
	}
}

// loaded is a box as one consistent read of the store gave it.
type loaded struct {
	listed   listed
	c        counters
	rows     []row
	keywords []string
}

// install replaces what the table holds by a newer read.
func (t *table) install(l *loaded) {
	t.listed, t.c, t.rows = l.listed, l.c, l.rows
	t.uids = make([]UID, len(l.rows))
	for i := range l.rows {
		t.uids[i] = l.rows[i].uid
	}
	t.loaded = true
	t.removed++
	t.catchUp()
}

// load reads a box. Damaged entries are left out: Verify names them.
func (s *Service) load(ctx context.Context, owner store.Owner, id boxID) (*loaded, error) {
	var l *loaded
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
		l = &loaded{}
		d, err := loadDirectory(tx)
		if err != nil {
			return err
		}
		l.keywords = d.Keywords
		box := d.byID(id)
		if box == nil {
			return errNoBox()
		}
		l.listed = *box
		if l.c, err = loadCounters(tx, id); err != nil {
			return err
		}
		l.rows = make([]row, 0, l.c.Messages)
		return scanEntries(tx, id, func(r row) error {
			l.rows = append(l.rows, r)
			return nil
		})
	})
	return l, err
}

// scanEntries calls fn for each entry of a box by ascending UID. Damaged ones
// are left out.
func scanEntries(tx store.Tx, id boxID, fn func(row) error) error {
	return scanAllEntries(tx, id, fn, func(UID) error { return nil })
}

// scanAllEntries is scanEntries that tells of damaged ones too, in their place.
func scanAllEntries(tx store.Tx, id boxID, fn func(row) error, bad func(UID) error) error {
	from := keyEntries(id)
	return store.ScanAround(tx, from, store.After(from), func(k, v []byte) error {
		var e entry
		if err := store.Decode(v, &e); err != nil || len(e.ID) != len(messageID{}) {
			return bad(uidOf(k))
		}
		return fn(e.row(uidOf(k)))
	}, func(d *store.Damage) error { return bad(uidOf(d.Key)) })
}

// uidOf returns the UID that ends an entry's key.
func uidOf(key []byte) UID { return UID(binary.BigEndian.Uint32(key[len(key)-4:])) }

// modseqOf returns the mod-sequence that ends the key of an expunge record.
func modseqOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }
