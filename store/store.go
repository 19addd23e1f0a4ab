// Package store is the seam to storage: ordered records, each of one owner.
//
// Every record belongs to one owner (a space, a professional's account, or a
// small system owner) and a transaction touches one owner. What concerns two
// owners is an outbox record in the first, applied idempotently to the second.
// Record keys hold opaque ids or keyed hashes, never a name, an address or a
// national number: engines store keys in clear.
package store

import (
	"context"
	"errors"
	"time"
)

// Owner names whose records a transaction touches: 1 to 64 bytes of
// [a-z0-9/-], made by the room that owns that kind of owner ("s/…" a space,
// "m/…" a member's account, "sys/…" the instance itself).
type Owner string

// Valid reports whether o has the form of an owner.
func (o Owner) Valid() bool {
	if len(o) == 0 || len(o) > 64 {
		return false
	}
	for _, c := range []byte(o) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '/' && c != '-' {
			return false
		}
	}
	return true
}

// Limits of one record and one transaction, the same on every engine.
const (
	MaxKey   = 256      // bytes of a record's key
	MaxValue = 1 << 20  // bytes of a record's value
	MaxTx    = 16 << 20 // bytes of all values that one transaction writes
)

// The failures that callers tell apart. Engines return them, wrapped or bare.
var (
	ErrNotFound = errors.New("store: no such record")
	ErrTooLarge = errors.New("store: key, value or transaction over its limit")
	ErrReadOnly = errors.New("store: write in a read-only transaction")
	ErrClosed   = errors.New("store: closed")
	ErrOwner    = errors.New("store: not the form of an owner")
	// ErrFull is returned when there is no room for what was to be written.
	ErrFull error = pause("store: no space left")
	// ErrUnavailable is returned while the engine does not answer: it is
	// restarting, or out of reach. Nothing was written, but where Update says
	// that the outcome is unknown.
	ErrUnavailable error = pause("store: not available at present")
	// ErrCorrupt is returned for a record whose seal does not open, where its
	// key is known as a *Damage.
	ErrCorrupt = errors.New("store: damaged record")
	// Stop, returned by the function given to Scan, ends it without an error.
	Stop = errors.New("store: stop")
)

// pause is a failure that passes by itself.
type pause string

func (p pause) Error() string { return string(p) }

// Temporary reports that the same request may succeed later.
func (pause) Temporary() bool { return true }

// DB holds records. All methods may run at once.
type DB interface {
	// View runs fn on a consistent view of owner's records. fn must not
	// write, and must not block on the network: on some engines an open view
	// holds back writers.
	View(ctx context.Context, owner Owner, fn func(Tx) error) error

	// Update runs fn and commits what it wrote. When Update returns nil the
	// commit is on disk; when it returns an error nothing was written, or,
	// if the context ended while waiting, or the engine was lost while it
	// committed and could not be asked again (ErrUnavailable), the outcome is
	// unknown. fn may run
	// more than once: it touches nothing but tx and variables it sets anew.
	// fn may run on another goroutine than the caller's, one that other
	// writers wait for: it must not call Update, and must not block. If it
	// panics, nothing is written and Update returns an error.
	// An error of fn is returned as it is.
	Update(ctx context.Context, owner Owner, fn func(Tx) error) error

	// Due returns at most n records whose due time is not after before,
	// earliest first, without scanning the owners.
	Due(ctx context.Context, before time.Time, n int) ([]Due, error)

	// Owners returns at most n owners that have a record, in order, after
	// the given one.
	Owners(ctx context.Context, after Owner, n int) ([]Owner, error)

	// Close waits for running transactions, then frees the store.
	Close() error
}

// Widener is what an engine offers to a wrapper that makes values longer, as
// sealing does: Widen returns the same store, taking values (and transactions)
// that are longer than the limits by n bytes a value.
type Widener interface {
	Widen(n int) DB
}

// Checker is what an engine offers to whoever verifies an instance: Check
// reads everything once and returns what is not as it should be.
type Checker interface {
	Check(ctx context.Context) error
}

// Scrubber is what an engine offers to whoever must leave no trace of what was
// deleted: Scrub overwrites what deleted and replaced records have left in the
// engine's files, and returns when that is durable.
type Scrubber interface {
	Scrub(ctx context.Context) error
}

// Compacter is what an engine offers whose files keep the room of what was
// deleted. Files tells how much that is, and is cheap. Compact rewrites one
// file without its free part, by the place that it has in Files, while the
// store is in use; it returns when the new file is durable in the old one's
// place, and until then a failure changes nothing. progress, if not nil, is
// told how many of about how many bytes are copied.
type Compacter interface {
	Files() []File
	Compact(ctx context.Context, file int, progress func(done, total int64)) (Compaction, error)
}

// Compaction tells what became of a file.
type Compaction struct {
	Before, After int64         // bytes of the file
	Again         int           // changes by writers that were copied once more
	Pause         time.Duration // the longest that writers were held up
}

// File is one of the files in which an engine keeps records.
type File struct {
	Name  string // within the engine's folder
	Bytes int64  // on disk
	Free  int64  // of those, in pages that hold nothing
}

// DueScanner is what an engine's Tx offers to a backup: ScanDue is Scan over
// records as they lie, each with the time at which it is due (the zero time:
// never). fn must not write.
type DueScanner interface {
	ScanDue(from, to []byte, fn func(key, value []byte, due time.Time) error) error
}

// Due names a record that has a due time.
type Due struct {
	Owner Owner
	Key   []byte
	At    time.Time // to the millisecond
}

// Tx is one owner's records inside a transaction. It is not for use by several
// goroutines, nor after its function has returned.
type Tx interface {
	// Owner returns whose records these are.
	Owner() Owner
	// Get returns the value at key, or ErrNotFound. The bytes are valid
	// until fn returns and must not be changed.
	Get(key []byte) ([]byte, error)
	// Put writes a value; a due time that the record had is removed. Key and
	// value are copied: the caller may use them again.
	Put(key, value []byte) error
	// PutDue writes a value that becomes due at a time.
	PutDue(key, value []byte, at time.Time) error
	// Delete removes a record; one that is not there is no error.
	Delete(key []byte) error
	// Scan calls fn for each record with from <= key < to in ascending byte
	// order of keys (to nil: to the end). The slices are valid until that fn
	// returns. fn may write to the transaction: the scan goes on from the key
	// it stood at, and meets what fn wrote beyond. An error of fn ends the
	// scan and is returned, but for Stop, which ends it without one.
	Scan(from, to []byte, fn func(key, value []byte) error) error
	// ScanBack is Scan in descending order, from the last key below to.
	ScanBack(from, to []byte, fn func(key, value []byte) error) error
	// AfterCommit runs fn after the commit is durable and before Update
	// returns, in the order of the calls and, for one owner, of the commits.
	// It is only to wake workers and idle sessions, and holds others up while
	// it runs: it must not block or call Update. What must reach a person or
	// a peer is an outbox record of the same transaction. In a View, fn is
	// never run.
	AfterCommit(fn func())
}
