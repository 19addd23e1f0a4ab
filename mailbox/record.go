package mailbox

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// The records of one owner's mail. Keys hold numbers and random ids alone.
//
//	mail/d               directory: the boxes, their names, the keywords
//	mail/f/<box>         counters of a box, behind its entries: one page for both
//	mail/e/<box><uid>    entry: which message, its flags
//	mail/x/<box><modseq> UIDs expunged at that mod-sequence
//	mail/m/<id>i         stored: PKESK and sealed index of a message
//	mail/m/<id>b         sealed body of a message, if it is no blob
//	mail/m/<id>r         refs of a message that was copied; absent: one entry
//	mail/o               when which actor last opened a space's mail
const (
	keyDirectory  = "mail/d"
	keyOpened     = "mail/o"
	prefixBox     = "mail/f/"
	prefixEntry   = "mail/e/"
	prefixGone    = "mail/x/"
	prefixMessage = "mail/m/"
)

// part is one of a message's records, the last byte of its key: they lie side
// by side, so that a delivery writes one page for all of them.
type part byte

const (
	partStored part = 'i'
	partBody   part = 'b'
	partRefs   part = 'r'
)

// String says what the record is, as problems call it.
func (p part) String() string {
	switch p {
	case partStored:
		return "its envelope"
	case partBody:
		return "its body"
	case partRefs:
		return "its count of entries"
	}
	return fmt.Sprintf("a record %q", byte(p))
}

// boxID is a box's number in its account, never used again.
type boxID uint32

// inboxID is INBOX's, so that delivery need not read the directory.
const inboxID boxID = 1

// messageID names a message in its account: milliseconds since 1970 in 48 bits,
// so that messages which arrive together lie together, then 80 random bits.
type messageID [16]byte

func (id messageID) String() string { return hex.EncodeToString(id[:]) }

func keyBox(id boxID) []byte {
	return binary.BigEndian.AppendUint32([]byte(prefixBox), uint32(id))
}

func keyEntries(id boxID) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 16), prefixEntry...), uint32(id))
}

func keyEntry(id boxID, uid UID) []byte {
	return binary.BigEndian.AppendUint32(keyEntries(id), uint32(uid))
}

func keyGone(id boxID, modseq uint64) []byte {
	k := binary.BigEndian.AppendUint32([]byte(prefixGone), uint32(id))
	return binary.BigEndian.AppendUint64(k, modseq)
}

func keyOf(p part, id messageID) []byte {
	k := append(make([]byte, 0, len(prefixMessage)+len(id)+1), prefixMessage...)
	return append(append(k, id[:]...), byte(p))
}

// partOf returns which message and which of its records a key below
// prefixMessage names.
func partOf(key []byte) (id messageID, p part, ok bool) {
	rest := key[len(prefixMessage):]
	if len(rest) != len(id)+1 {
		return id, 0, false
	}
	copy(id[:], rest)
	return id, part(rest[len(id)]), true
}

// directory is the record that lists an account's boxes.
type directory struct {
	Boxes        []listed `cbor:"1,keyasint"`
	NextID       boxID    `cbor:"2,keyasint"`
	LastValidity uint32   `cbor:"3,keyasint"` // the largest UIDVALIDITY ever given
	Keywords     []string `cbor:"4,keyasint,omitempty"`
	Dying        []boxID  `cbor:"5,keyasint,omitempty"` // deleted boxes whose messages are still to be removed
	Orphans      []string `cbor:"6,keyasint,omitempty"` // subscribed names whose boxes are gone
	Limit        int64    `cbor:"7,keyasint,omitempty"` // quota of this account, bytes; 0: the instance's, noLimit: none
}

// listed is one box in the directory.
type listed struct {
	ID          boxID      `cbor:"1,keyasint"`
	Name        string     `cbor:"2,keyasint"`
	Use         SpecialUse `cbor:"3,keyasint,omitempty"`
	Subscribed  bool       `cbor:"4,keyasint,omitempty"`
	UIDValidity uint32     `cbor:"5,keyasint"`
}

// counters is what changes with every write to a box.
type counters struct {
	UIDNext  UID    `cbor:"1,keyasint"`
	ModSeq   uint64 `cbor:"2,keyasint"` // highest, of this box
	Messages uint32 `cbor:"3,keyasint"`
	Unseen   uint32 `cbor:"4,keyasint"`
	Deleted  uint32 `cbor:"5,keyasint"`
	Size     int64  `cbor:"6,keyasint"`
	LogLen   int    `cbor:"7,keyasint,omitempty"` // records in the expunge log
	LogFloor uint64 `cbor:"8,keyasint,omitempty"` // expunges up to this mod-sequence are forgotten
	Dead     bool   `cbor:"9,keyasint,omitempty"` // the box is deleted
	use
}

// entry is a message's place in a box.
type entry struct {
	ID     []byte `cbor:"1,keyasint"`
	Flags  uint64 `cbor:"2,keyasint,omitempty"`
	Flags2 uint64 `cbor:"3,keyasint,omitempty"`
	ModSeq uint64 `cbor:"4,keyasint"`
	At     int64  `cbor:"5,keyasint"`           // internal date, seconds since 1970
	Zone   int16  `cbor:"6,keyasint,omitempty"` // and its offset from UTC, minutes
	Size   int64  `cbor:"7,keyasint"`
	Shown  bool   `cbor:"8,keyasint,omitempty"` // its first display in a space is traced
}

// stored is a message: what opens it, and its index, sealed.
type stored struct {
	PKESK    []byte  `cbor:"1,keyasint"`
	Index    []byte  `cbor:"2,keyasint"` // SEIPDv2 packet around the index (CBOR)
	Size     int64   `cbor:"3,keyasint"` // bytes of the message
	Blob     blob.ID `cbor:"4,keyasint,omitempty"`
	BlobSize int64   `cbor:"5,keyasint,omitempty"` // bytes of the blob, which whole.go tells the form of
	Sum      uint32  `cbor:"6,keyasint,omitempty"` // CRC-32C of the blob but for its last four bytes, which are it
}

// named returns what the record says of its message's blob.
func (m *stored) named(id messageID) namedBlob { return namedBlob{id, m.Blob, m.BlobSize, m.Sum} }

// refs counts the entries of a message that was copied.
type refs struct {
	Count uint32 `cbor:"1,keyasint"`
	Shown bool   `cbor:"2,keyasint,omitempty"` // its first display is traced
}

// expunged is one record of a box's expunge log: UIDs as ranges.
type expunged struct {
	UIDs []Range `cbor:"1,keyasint"`
}

// row is an entry as sessions hold it in memory: 72 bytes.
type row struct {
	id     messageID
	flags  bits
	modseq uint64
	at     int64
	size   int64
	uid    UID
	zone   int16
	shown  bool
}

func (e *entry) row(uid UID) row {
	r := row{uid: uid, flags: bits{e.Flags, e.Flags2}, modseq: e.ModSeq, at: e.At, zone: e.Zone, size: e.Size, shown: e.Shown}
	copy(r.id[:], e.ID)
	return r
}

func (r *row) entry() *entry {
	return &entry{ID: r.id[:], Flags: r.flags.lo, Flags2: r.flags.hi, ModSeq: r.modseq, At: r.at, Zone: r.zone, Size: r.size, Shown: r.shown}
}

// date returns the internal date in the zone that it came with.
func (r *row) date() time.Time {
	t := time.Unix(r.at, 0)
	if r.zone == 0 {
		return t.UTC()
	}
	return t.In(time.FixedZone("", int(r.zone)*60))
}

// setDate keeps t to the second, and its zone to the minute.
func (r *row) setDate(t time.Time) {
	_, offset := t.Zone()
	r.at, r.zone = t.Unix(), int16(offset/60)
}

// loadDirectory reads the directory; an owner without one has no mailbox.
func loadDirectory(tx store.Tx) (*directory, error) {
	d, err := store.Load[directory](tx, []byte(keyDirectory))
	if errors.Is(err, store.ErrNotFound) {
		return nil, errs.New(errs.NotFound, "this account has no mailbox")
	}
	return &d, err
}

func (d *directory) save(tx store.Tx) error { return store.Save(tx, []byte(keyDirectory), d) }

// byID returns the box with a number, nil if there is none.
func (d *directory) byID(id boxID) *listed {
	i := slices.IndexFunc(d.Boxes, func(l listed) bool { return l.ID == id })
	if i < 0 {
		return nil
	}
	return &d.Boxes[i]
}

// find returns the box with a name (or, for "\Sent" and its like, a use).
func (d *directory) find(name string) (*listed, error) {
	byUse := len(name) > 0 && name[0] == '\\'
	name = canonical(name)
	for i := range d.Boxes {
		l := &d.Boxes[i]
		if l.Name == name || byUse && string(l.Use) == name {
			return l, nil
		}
	}
	return nil, errNoBox()
}

// resolve returns the number of a named box, for INBOX without a read.
func resolve(tx store.Tx, name string) (boxID, error) {
	if canonical(name) == Inbox {
		return inboxID, nil
	}
	d, err := loadDirectory(tx)
	if err != nil {
		return 0, err
	}
	l, err := d.find(name)
	if err != nil {
		return 0, err
	}
	return l.ID, nil
}

func errNoBox() error     { return errs.New(errs.NotFound, "there is no such folder") }
func errNoMessage() error { return errs.New(errs.NotFound, "this message is no longer there") }
