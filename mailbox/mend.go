package mailbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pli/store"
)

// mendGap is by how much the numbers of damaged counters go on behind the
// largest that are still seen: far enough that no UID or mod-sequence is given
// twice, though the last messages may have been expunged.
const mendGap = 1 << 20

// loadCounters reads a box's counters. Damaged ones are counted again.
func loadCounters(tx store.Tx, id boxID) (counters, error) {
	c, err := store.Load[counters](tx, keyBox(id))
	if !errors.Is(err, store.ErrCorrupt) {
		return c, err
	}
	if c, _, err = countBox(tx, id); err != nil {
		return c, err
	}
	c.UIDNext += mendGap
	c.ModSeq += mendGap
	if c.LogLen == 0 {
		c.LogFloor = c.ModSeq // who asks from before must list anew
	}
	if d, err := loadDirectory(tx); err == nil {
		c.Dead = d.byID(id) == nil
		if id == inboxID {
			c.Limit = d.Limit
		}
	}
	return c, nil
}

// countBox makes a box's counters from its entries and its expunge log, with
// UIDNext and ModSeq just behind, or at, the largest that are there, and
// LogFloor just before the oldest expunge. It says whether the log is whole.
func countBox(tx store.Tx, id boxID) (c counters, wholeLog bool, err error) {
	b := boxTx{c: counters{UIDNext: 1, ModSeq: 1}}
	uid := func(u UID) { b.c.UIDNext = max(b.c.UIDNext, u+1) }
	err = scanAllEntries(tx, id, func(r row) error {
		uid(r.uid)
		b.count(&r, 1)
		b.c.ModSeq = max(b.c.ModSeq, r.modseq)
		return nil
	}, func(u UID) error {
		if u < b.c.UIDNext+mendGap { // else the key itself is damaged
			uid(u)
		}
		return nil
	})
	if err != nil {
		return b.c, false, err
	}
	wholeLog = true
	log := func(modseq uint64) {
		if b.c.LogLen++; b.c.LogLen == 1 {
			b.c.LogFloor = max(modseq, 1) - 1
		}
		b.c.ModSeq = max(b.c.ModSeq, modseq)
	}
	err = scanGone(tx, id, 0, func(modseq uint64, e expunged) error {
		log(modseq)
		for _, r := range e.UIDs {
			uid(UID(r.Last))
		}
		return nil
	}, func(modseq uint64) error {
		wholeLog = false
		if modseq < b.c.ModSeq+mendGap {
			log(modseq)
		}
		return nil
	})
	return b.c, wholeLog, err
}

// scanGone calls fn for each record of a box's expunge log from a mod-sequence
// on, and bad for damaged ones.
func scanGone(tx store.Tx, id boxID, since uint64, fn func(modseq uint64, e expunged) error, bad func(modseq uint64) error) error {
	return store.ScanAround(tx, keyGone(id, since), store.After(keyGone(id, 0)[:len(prefixGone)+4]), func(k, v []byte) error {
		var e expunged
		if err := store.Decode(v, &e); err != nil {
			return bad(modseqOf(k))
		}
		return fn(modseqOf(k), e)
	}, func(d *store.Damage) error { return bad(modseqOf(d.Key)) })
}

// countEntries returns how many entries in all boxes name a message.
func countEntries(tx store.Tx, id messageID) (uint32, error) {
	n, err := entriesOf(tx, []messageID{id})
	return n[id], err
}

// entriesOf returns how many entries in all boxes name each of some messages.
func entriesOf(tx store.Tx, ids []messageID) (map[messageID]uint32, error) {
	n := make(map[messageID]uint32, len(ids))
	for _, id := range ids {
		n[id] = 0
	}
	err := store.ScanAround(tx, []byte(prefixEntry), store.After([]byte(prefixEntry)), func(_, v []byte) error {
		var e entry
		if store.Decode(v, &e) != nil || len(e.ID) != len(messageID{}) {
			return nil
		}
		if _, ok := n[messageID(e.ID)]; ok {
			n[messageID(e.ID)]++
		}
		return nil
	}, nil)
	return n, err
}

// scanMessages calls fn for each record of each message, in the order of
// their ids, and bad (nil: nobody) for damaged ones.
func scanMessages(tx store.Tx, fn func(id messageID, p part, v []byte) error, bad func(id messageID, p part) error) error {
	return store.ScanAround(tx, []byte(prefixMessage), store.After([]byte(prefixMessage)), func(k, v []byte) error {
		id, p, ok := partOf(k)
		if !ok {
			return nil
		}
		return fn(id, p, v)
	}, func(d *store.Damage) error {
		if id, p, ok := partOf(d.Key); ok && bad != nil {
			return bad(id, p)
		}
		return nil
	})
}

// Recovered is the box of messages that no entry names any more: those whose
// entry was damaged, and those that came back from what was deleted.
const Recovered = "Récupéré"

// recoveredRow is the place there of a message of size bytes: unread, dated by
// its arrival, which its id tells.
func recoveredRow(id messageID, size int64) row {
	r := row{id: id, size: size}
	r.setDate(id.arrived())
	return r
}

// arrived returns when the message came.
func (id messageID) arrived() time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC()
}

// guessDirectory makes a directory from the numbers of boxes that records
// still tell. The boxes of every account have their own names, others lie
// below Recovered. Their UIDVALIDITY is 0: to be given.
func guessDirectory(tx store.Tx) (*directory, error) {
	d := &directory{}
	for i, p := range provided {
		p.ID, p.Subscribed = inboxID+boxID(i), true
		d.Boxes = append(d.Boxes, p)
	}
	d.NextID = inboxID + boxID(len(provided))
	d.Limit = limitLeft(tx)
	ids, err := boxesSeen(tx)
	for _, id := range ids {
		if d.byID(id) == nil {
			d.Boxes = append(d.Boxes, listed{ID: id, Name: fmt.Sprintf("%s/%d", Recovered, id), Subscribed: true})
		}
		d.NextID = max(d.NextID, id+1)
	}
	return d, err
}

// boxesSeen returns the numbers of boxes that have any record, ascending, but
// for those marked as deleted.
func boxesSeen(tx store.Tx) ([]boxID, error) {
	seen := make(map[boxID]bool) // and whether it is alive
	for _, prefix := range []string{prefixEntry, prefixGone, prefixBox} {
		for next := boxID(0); ; next++ {
			id, dead, err := nextBox(tx, prefix, next)
			if err != nil {
				return nil, err
			}
			if id == 0 {
				break
			}
			seen[id] = !dead
			next = id
		}
	}
	maps.DeleteFunc(seen, func(_ boxID, alive bool) bool { return !alive })
	return slices.Sorted(maps.Keys(seen)), nil
}

// nextBox returns the first box at or behind a number that has a record below
// prefix, 0 if there is none, and whether that record marks it as deleted.
func nextBox(tx store.Tx, prefix string, from boxID) (id boxID, dead bool, err error) {
	number := func(k []byte) boxID {
		if len(k) < len(prefix)+4 {
			return 0
		}
		return boxID(binary.BigEndian.Uint32(k[len(prefix):]))
	}
	err = store.ScanAround(tx, binary.BigEndian.AppendUint32([]byte(prefix), uint32(from)), store.After([]byte(prefix)), func(k, v []byte) error {
		var c counters
		id = number(k)
		dead = prefix == prefixBox && store.Decode(v, &c) == nil && c.Dead
		return store.Stop
	}, func(d *store.Damage) error {
		id = number(d.Key)
		return store.Stop
	})
	return id, dead, err
}
