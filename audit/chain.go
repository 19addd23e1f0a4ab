package audit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"pli/store"
)

const headLen = 1 + 8 + 32

// prefix begins the key of every record of a trace.
const prefix = "audit/"

// headKey sorts behind every line: what each line changes lies on one page.
func headKey() []byte { return []byte(prefix + "~head") }

// Holds reports whether a record key belongs to a trace, which outlives what
// it tells of.
func Holds(key []byte) bool { return bytes.HasPrefix(key, []byte(prefix)) }

// head is the end of a chain: the number and the hash of its last line, or 0
// and the root hash.
type head struct {
	seq    uint64
	hash   [32]byte
	unsure bool // the line is damaged: its hash is not known; never stored
}

// loadHead returns the chain's head, and whether there is a head record.
func loadHead(tx store.Tx) (head, bool, error) {
	b, err := tx.Get(headKey())
	if errors.Is(err, store.ErrNotFound) {
		return head{hash: rootHash(tx.Owner())}, false, nil
	}
	if err != nil {
		return head{}, true, err
	}
	if len(b) != headLen || b[0] != lineVersion {
		return head{}, false, fmt.Errorf("%w: a head of an unknown form", ErrBroken)
	}
	return head{seq: binary.BigEndian.Uint64(b[1:9]), hash: [32]byte(b[9:])}, true, nil
}

func (h head) save(tx store.Tx) error {
	b := make([]byte, 0, headLen)
	b = append(b, lineVersion)
	b = binary.BigEndian.AppendUint64(b, h.seq)
	return tx.Put(headKey(), append(b, h.hash[:]...))
}

// Append adds a line to the chain of tx's owner and returns it as written,
// with its Seq, Prev and Hash. It costs one get and two puts. Where the head is
// damaged, the chain goes on from its last line, and a line before e's says so.
//
// Errors: ErrIncomplete; ErrBroken if the head is gone while lines are there,
// or is of an unknown form; those of tx.
func Append(tx store.Tx, e Entry) (Entry, error) {
	e = tidy(e)
	if e.Act == "" || e.At.IsZero() || !e.Outcome.known() {
		return Entry{}, ErrIncomplete
	}
	h, there, err := loadHead(tx)
	if errors.Is(err, store.ErrCorrupt) {
		h, err = mend(tx, e.At)
	}
	if err != nil {
		return Entry{}, err
	}
	if !there {
		if err := checkEmpty(tx); err != nil {
			return Entry{}, err
		}
	}
	return h.append(tx, e)
}

// append adds a line after h.
func (h head) append(tx store.Tx, e Entry) (Entry, error) {
	e.Seq, e.Prev = h.seq+1, h.hash
	b, err := encode(e)
	if err != nil {
		return Entry{}, err
	}
	e.Hash = lineHash(b)
	if err := tx.Put(lineKey(e.Seq), b); err != nil {
		return Entry{}, err
	}
	return e, head{seq: e.Seq, hash: e.Hash}.save(tx)
}

// Mended is the act of the line that stands where a chain's head was damaged:
// the lines before it may have been followed by others.
const Mended = "trace.mended"

// mend takes up a chain whose head is damaged from its last line, and adds a
// line that says so. Where that is damaged too, the new line follows it without
// its hash, as whoever verifies sees.
func mend(tx store.Tx, at time.Time) (head, error) {
	h := head{hash: rootHash(tx.Owner())}
	err := store.ScanBackAround(tx, lineKey(0), store.After([]byte(prefix+"line/")), func(key, value []byte) error {
		h = head{seq: seqOf(key), hash: lineHash(value)}
		return store.Stop
	}, func(d *store.Damage) error {
		h = head{seq: seqOf(d.Key)}
		return store.Stop
	})
	if err != nil {
		return h, err
	}
	e, err := h.append(tx, Entry{At: at, Act: Mended, Outcome: Fail, Reason: "the head of the chain was damaged"})
	return head{seq: e.Seq, hash: e.Hash}, err
}

func (o Outcome) known() bool { return o == Permit || o == Deny || o == Fail }

// checkEmpty is asked once in a chain's life, before its first line: a head
// that was taken away must not let a second chain overwrite the first.
func checkEmpty(tx store.Tx) error {
	_, err := tx.Get(lineKey(1))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: there are lines but no head", ErrBroken)
}

// List returns at most n lines with a Seq below before, newest first; before 0
// begins at the newest, and n is at most MaxPage. The next page begins before
// the Seq of the last line returned. Damaged lines are left out: their numbers
// are missing, and Verify tells them.
func List(tx store.Tx, before uint64, n int) ([]Entry, error) {
	n = min(n, MaxPage)
	if n <= 0 {
		return nil, nil
	}
	to := store.After([]byte(prefix + "line/"))
	if before > 0 {
		to = lineKey(before)
	}
	var page []Entry
	err := store.ScanBackAround(tx, lineKey(0), to, func(_, value []byte) error {
		e, err := decode(value)
		if err != nil {
			return err
		}
		if page = append(page, e); len(page) == n {
			return store.Stop
		}
		return nil
	}, nil)
	return page, err
}

// Verify walks the whole chain of tx's owner and returns the number of its
// lines. It returns ErrBroken, and the number of lines that were right before
// the fault, if a line was removed, altered, moved or added, or the head is
// not that of the last line. A chain cut back together with its head is whole
// in itself: only a head kept elsewhere shows the cut.
func Verify(tx store.Tx) (uint64, error) {
	return walk(tx, func(err error) error { return err })
}

// Faults is Verify that goes on after each fault, damaged records among them,
// and returns all; and the number of lines that are right.
func Faults(tx store.Tx) (lines uint64, faults []error, err error) {
	lines, err = walk(tx, func(err error) error {
		faults = append(faults, err)
		return nil
	})
	return lines, faults, err
}

// walk follows the chain and returns how many lines are right. An error of
// fault, which is called for each fault, ends it.
func walk(tx store.Tx, fault func(error) error) (right uint64, err error) {
	at := head{hash: rootHash(tx.Owner())}
	lines := []byte(prefix + "line/")
	err = store.ScanAround(tx, lines, store.After(lines), func(key, value []byte) error {
		next, err := at.follow(key, value)
		if err != nil {
			at = head{seq: seqOf(key), hash: lineHash(value)}
			return fault(err)
		}
		at = next
		right++
		return nil
	}, func(d *store.Damage) error {
		at = head{seq: seqOf(d.Key), unsure: true}
		return fault(fmt.Errorf("line %d: %w", at.seq, d))
	})
	if err != nil {
		return right, err
	}
	h, there, err := loadHead(tx)
	switch {
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, ErrBroken):
		err = fault(fmt.Errorf("the head: %w", err))
	case err != nil:
	case !there && at.seq > 0:
		err = fault(fmt.Errorf("%w: the head was removed after line %d", ErrBroken, at.seq))
	case h.seq != at.seq:
		err = fault(fmt.Errorf("%w: the head is at line %d, the last line is %d", ErrBroken, h.seq, at.seq))
	case h.hash != at.hash && !at.unsure:
		err = fault(fmt.Errorf("%w: the head does not fit the last line, %d", ErrBroken, at.seq))
	}
	return right, err
}

// seqOf returns the number that ends a line's key.
func seqOf(key []byte) uint64 {
	if len(key) != len(lineKey(0)) {
		return 0
	}
	return binary.BigEndian.Uint64(key[len(key)-8:])
}

// follow checks that the record at key is the line after h.
func (h head) follow(key, value []byte) (head, error) {
	want := h.seq + 1
	if string(key) != string(lineKey(want)) {
		return head{}, fmt.Errorf("%w: line %d was removed", ErrBroken, want)
	}
	e, err := decode(value)
	if err != nil {
		return head{}, fmt.Errorf("line %d: %w", want, err)
	}
	if e.Seq != want {
		return head{}, fmt.Errorf("%w: line %d stands in place of line %d", ErrBroken, e.Seq, want)
	}
	if e.Prev != h.hash && !h.unsure {
		return head{}, fmt.Errorf("%w: line %d does not follow the one before it", ErrBroken, want)
	}
	return head{seq: want, hash: e.Hash}, nil
}
