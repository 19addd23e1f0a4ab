// Package blob is the seam to storage of what is too large for a record.
//
// Contents are opaque and already sealed by whoever writes them. The order of
// writing is blob first, then the record that names it; of deleting, the other
// way round. A sweeper finds what a crash left without a record.
package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"syscall"
	"time"
)

// ID names a stored blob: 32 lower-case hexadecimal digits, random.
type ID string

// NewID returns an ID that no blob has.
func NewID() ID {
	var b [16]byte
	rand.Read(b[:])
	return ID(hex.EncodeToString(b[:]))
}

// Valid reports whether id has the form of an ID.
func (id ID) Valid() bool {
	if len(id) != 32 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// The failures that callers tell apart.
var (
	ErrNotFound = errors.New("blob: no such blob")
	// ErrExists is returned by the Commit of a blob whose ID is taken.
	ErrExists = errors.New("blob: there is such a blob")
	// ErrFull is returned when there is no room for a blob.
	ErrFull error = pause("blob: no space left")
	// ErrUnavailable is returned while the engine does not answer.
	ErrUnavailable error = pause("blob: not available at present")
)

// NoSpace reports whether an error of the system says that there is no room for
// a file's bytes.
func NoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// pause is a failure that passes by itself.
type pause string

func (p pause) Error() string { return string(p) }

// Temporary reports that the same request may succeed later.
func (pause) Temporary() bool { return true }

// Store keeps blobs. All methods may run at once. The context of Create,
// CreateAs and Open has to last as long as the Writer or Reader: it may bound
// what they do too.
type Store interface {
	// Create begins a blob. Its bytes can be read by nobody before Commit.
	Create(ctx context.Context) (Writer, error)
	// CreateAs begins a blob that is to have a given ID: one that comes back
	// from a backup. Commit returns ErrExists if there is such a blob, and
	// leaves that one as it is.
	CreateAs(ctx context.Context, id ID) (Writer, error)
	// Open returns a blob to read, or ErrNotFound. The caller closes it.
	Open(ctx context.Context, id ID) (Reader, error)
	// Delete removes a blob; one that is not there is no error.
	Delete(ctx context.Context, id ID) error
	// List returns at most n blobs in order of ID, after the given one.
	List(ctx context.Context, after ID, n int) ([]Info, error)
}

// Writer takes a blob's bytes in order. It ends with one Commit or Abort;
// Abort after Commit does nothing.
type Writer interface {
	io.Writer
	// Commit makes the blob durable (file and folder synced) and names it.
	Commit() (ID, error)
	// Abort leaves nothing behind.
	Abort() error
}

// Reader reads a blob at any place.
type Reader interface {
	io.ReaderAt
	io.Closer
	// Size returns the blob's length in bytes.
	Size() int64
}

// Info is what List tells of a blob.
type Info struct {
	ID      ID
	Size    int64 // bytes
	ModTime time.Time
}
