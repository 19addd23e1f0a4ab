// Package backup copies an instance, sealed as it lies, into a repository and
// brings it back.
//
// Nothing is opened: values of records and blobs stay sealed, keys of records
// are opaque. The data keys go to a file of their own, apart from the
// repository and always as the one current copy, so that the destruction of a
// data key reaches every older backup; the master key, which wraps them, is in
// neither. A restore takes all three.
//
// A repository holds objects by name:
//
//	manifests/TIME-RANDOM.json  one run: totals, and which index pieces are its own
//	index/SHA256                lines of JSON: the pieces of records, or the blobs
//	records/XX/SHA256           a piece: records one after another (CBOR sequence, RFC 8742)
//	blobs/XX/ID                 a blob, under the ID that it has in the instance
//	locks/…                     who is at work, while they are
//
// Records in the order of owners and keys are cut into pieces where a digest of
// owner and key says so, and a piece is named by the SHA-256 of its bytes: what
// has not changed is there already and is not written again. A manifest bears
// an HMAC under a key derived from the master key and names all the rest by
// digests, so nothing in a repository can be changed unnoticed. It is written
// last: a run without one is no backup.
package backup

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// Instance is what is copied, or what is to be filled: bare stores, as they
// lie.
type Instance struct {
	Records store.DB
	Keys    store.DB // wrapped data keys
	Blobs   blob.Store
}

// Config is what every act on a repository is told.
type Config struct {
	Repo   Repository
	Master *sealed.Master
	Now    func() time.Time
	Log    *slog.Logger // default: discards
	// Progress is told how far a run is, one call after another; may be nil.
	Progress func(Progress)
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// ErrDamaged is in the chain of every error that says that an object of the
// repository is missing or is not what it was.
var ErrDamaged = errors.New("damaged")

// damaged names an object that cannot be used.
type damaged struct{ name, why string }

func (d *damaged) Error() string { return d.name + " in the repository " + d.why }
func (d *damaged) Unwrap() error { return ErrDamaged }

// size returns bytes as people read them: decimal units.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}
