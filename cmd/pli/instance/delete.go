package instance

import (
	"context"
	"errors"

	"pli/audit"
	"pli/store"
	"pli/store/blob"
)

// purgeAtOnce bounds how many records one transaction of a deletion removes.
const purgeAtOnce = 1000

// destroy carries out the deletion of a space that is in the state deleted:
// its bodies and contents go, its names are freed, its data key is destroyed,
// and what records are left, which nobody can read any more, are removed. The
// trace has a key of its own and stays. Stopped half way, it is taken up again
// by asking for the state once more.
func (in *Instance) destroy(ctx context.Context, matricule string, owner store.Owner) error {
	if err := in.destroyBlobs(ctx, owner); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := in.signin.Forget(ctx, owner); err != nil {
		return err
	}
	if err := in.keys.Destroy(ctx, owner, "data"); err != nil {
		return err
	}
	if err := in.purge(ctx, owner); err != nil {
		return err
	}
	return in.spaces.Forget(ctx, matricule, owner)
}

// destroyBlobs removes every blob that a space's records name.
func (in *Instance) destroyBlobs(ctx context.Context, owner store.Owner) error {
	var ids []blob.ID
	note := func(id blob.ID, _ int64) error {
		ids = append(ids, id)
		return nil
	}
	for _, blobs := range []func(context.Context, store.Owner, func(blob.ID, int64) error) error{in.mail.Blobs, in.dossier.Blobs} {
		if err := blobs(ctx, owner, note); err != nil && !errors.Is(err, store.ErrCorrupt) { // what a damaged record names is the sweeper's
			return err
		}
	}
	for _, id := range ids {
		if err := in.blobs.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// purge removes every record of an owner but the trace, as they lie: their
// seals need not open.
func (in *Instance) purge(ctx context.Context, owner store.Owner) error {
	for {
		var keys [][]byte
		err := in.raw.Update(ctx, owner, func(tx store.Tx) error {
			keys = keys[:0]
			err := tx.Scan(nil, nil, func(key, _ []byte) error {
				if audit.Holds(key) {
					return nil
				}
				if keys = append(keys, append([]byte(nil), key...)); len(keys) == purgeAtOnce {
					return store.Stop
				}
				return nil
			})
			for _, k := range keys {
				if err == nil {
					err = tx.Delete(k)
				}
			}
			return err
		})
		if err != nil || len(keys) < purgeAtOnce {
			return err
		}
	}
}
