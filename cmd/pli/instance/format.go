package instance

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pli/store"
)

// Format is the version of everything that this build stores: records, keys,
// seals and blobs together. A later build raises it when an older one could
// not use what it writes, opens every format before its own, and has an
// instance of each of them in testdata/stores.
const Format = 1

const (
	formatOwner = store.Owner("sys/format")
	keyFormat   = "mark"
)

// formatMark is the record that says in which format an instance is stored. It
// lies with the records, whatever their engine, and its own form and seal never
// change, so that every build can read it.
type formatMark struct {
	Version int `cbor:"1,keyasint"`
}

// openFormat reads the mark of an instance for a build that stores in a given
// format, and returns what it says. A new instance is marked with the build's
// format; one that has records and no mark was made before there were marks,
// which was format 1. A mark newer than the build is refused. An older one
// stays as it is: the first build with a later format adds here what moves it.
func openFormat(ctx context.Context, db store.DB, build int) (version int, err error) {
	err = db.View(ctx, formatOwner, func(tx store.Tx) error {
		m, err := store.Load[formatMark](tx, []byte(keyFormat))
		version = m.Version
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return markFormat(ctx, db, build)
	case err != nil:
		return 0, fmt.Errorf("the format mark of this instance cannot be read: %w", err)
	case version > build:
		return 0, fmt.Errorf("this instance is stored in format %d, and this build knows formats 1 to %d: run the build that it was last run with, or a later one", version, build)
	case version < 1:
		return 0, fmt.Errorf("%w: the format mark of this instance says %d, and formats count from 1", store.ErrCorrupt, version)
	}
	return version, nil
}

// markFormat marks an instance that has no mark.
func markFormat(ctx context.Context, db store.DB, build int) (version int, err error) {
	owners, err := db.Owners(ctx, "", 2)
	if err != nil {
		return 0, err
	}
	version = build
	if slices.ContainsFunc(owners, func(o store.Owner) bool { return o != leaseOwner }) {
		version = 1
	}
	return version, db.Update(ctx, formatOwner, func(tx store.Tx) error {
		return store.Save(tx, []byte(keyFormat), formatMark{version})
	})
}
