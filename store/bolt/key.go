package bolt

import (
	"bytes"
	"encoding/binary"
	"time"

	"pli/store"
)

// A record lies at its owner, a zero byte, and its key. No owner holds a zero
// byte, so the records of one owner are neighbours and owners keep their order.

// appendRecordKey appends the stored key of a record.
func appendRecordKey(b []byte, owner store.Owner, key []byte) []byte {
	b = append(b, owner...)
	b = append(b, 0)
	return append(b, key...)
}

// splitRecordKey is the inverse; ok is false for what no record lies at.
func splitRecordKey(k []byte) (owner store.Owner, key []byte, ok bool) {
	i := bytes.IndexByte(k, 0)
	if i < 1 {
		return "", nil, false
	}
	return store.Owner(k[:i]), k[i+1:], true
}

// afterOwner returns the first stored key past all records of owner.
func afterOwner(owner store.Owner) []byte {
	return append([]byte(owner), 1)
}

// dueKey returns the index key of a record due at ms: the time in milliseconds
// since 1970 with its sign bit turned, so that byte order is that of time.
func appendDueKey(b []byte, ms int64, recordKey []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(ms)^(1<<63))
	return append(b, recordKey...)
}

func splitDueKey(k []byte) (ms int64, recordKey []byte, ok bool) {
	if len(k) < 8 {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(k) ^ (1 << 63)), k[8:], true
}

func millis(t time.Time) int64 { return t.UnixMilli() }

// What a record's stored bytes begin with.
const (
	flagLarge = 1 << 0 // the value lies in bucketLarge
	flagDue   = 1 << 1 // eight bytes of due time follow
)

// inlineMax is the length of the longest value that lies beside its key.
// Longer ones go to the right edge of a tree of their own, which fills pages
// one after the other instead of rewriting scattered ones.
const inlineMax = 1024

// entry is a record as stored.
type entry struct {
	due    int64 // ms, if hasDue
	seq    uint64
	inline []byte
	hasDue bool
	large  bool
}

func (e entry) size() int {
	n := 1 + len(e.inline)
	if e.hasDue {
		n += 8
	}
	if e.large {
		n += 8
	}
	return n
}

func (e entry) appendTo(b []byte) []byte {
	var flags byte
	if e.large {
		flags |= flagLarge
	}
	if e.hasDue {
		flags |= flagDue
	}
	b = append(b, flags)
	if e.hasDue {
		b = binary.BigEndian.AppendUint64(b, uint64(e.due))
	}
	if e.large {
		return binary.BigEndian.AppendUint64(b, e.seq)
	}
	return append(b, e.inline...)
}

// parseEntry reads stored bytes; ok is false for what no record looks like.
func parseEntry(b []byte) (e entry, ok bool) {
	if len(b) == 0 || b[0]&^(flagLarge|flagDue) != 0 {
		return e, false
	}
	flags, b := b[0], b[1:]
	if flags&flagDue != 0 {
		if len(b) < 8 {
			return e, false
		}
		e.hasDue, e.due, b = true, int64(binary.BigEndian.Uint64(b)), b[8:]
	}
	if flags&flagLarge != 0 {
		if len(b) != 8 {
			return e, false
		}
		e.large, e.seq = true, binary.BigEndian.Uint64(b)
		return e, true
	}
	e.inline = b
	return e, true
}
