package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"pli/internal/errs"
	"pli/store/sealed"
)

// nextMasterPath is where the master key lies that is taking the other's place.
func nextMasterPath(dir string) string { return masterPath(dir) + ".next" }

// nextMaster reads the master key that is taking the other's place, nil if
// none is.
func nextMaster(dir string) (*sealed.Master, error) {
	m, err := sealed.LoadMaster(nextMasterPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

// createNext makes the master key that takes the other's place, whole or not
// at all.
func createNext(dir string) (*sealed.Master, error) {
	now, err := sealed.LoadMaster(masterPath(dir))
	if err != nil {
		return nil, err
	}
	fresh := nextMasterPath(dir) + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	m, err := now.CreateNext(fresh)
	if err != nil {
		return nil, err
	}
	return m, renameDurably(fresh, nextMasterPath(dir))
}

// renameDurably renames a file within its folder, and returns once that is
// durable.
func renameDurably(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	f, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// MasterRotated is what RotateMaster has left.
type MasterRotated struct {
	Key     string `json:"key"`     // file of the new master key
	Retired string `json:"retired"` // file of the old one
}

// RotateMaster puts a new master key in the place of the instance's own, which
// may be running: data keys are wrapped anew, an owner at a time. What derives
// from the first master key (names, digests, server slots, the keys of backups)
// goes on deriving from it. Stopped at any point, it is taken up again by the
// next start, or by asking again. No backup runs meanwhile.
func (in *Instance) RotateMaster(ctx context.Context, _ struct{}) (MasterRotated, error) {
	if !in.backing.TryLock() {
		return MasterRotated{}, errs.New(errs.Conflict, "a backup, or another rotation of the master key, is under way")
	}
	defer in.backing.Unlock()
	next, err := nextMaster(in.cfg.Dir)
	if err == nil && next == nil {
		next, err = createNext(in.cfg.Dir)
	}
	if err != nil {
		return MasterRotated{}, err
	}
	err = in.keys.Rewrap(ctx, next, func(owners int) { tell(ctx, fmt.Sprintf("the data keys of %d owners are wrapped anew", owners)) })
	if err != nil {
		return MasterRotated{}, err
	}
	return in.retireMaster()
}

// retireMaster puts the next master key's file in the place of the other,
// which stays beside it.
func (in *Instance) retireMaster() (MasterRotated, error) {
	path := masterPath(in.cfg.Dir)
	r := MasterRotated{Key: path, Retired: path + ".retired-" + in.deps.Now().UTC().Format("20060102T150405Z")}
	if err := os.Link(path, r.Retired); err != nil && !errors.Is(err, os.ErrExist) {
		return r, err
	}
	if err := renameDurably(nextMasterPath(in.cfg.Dir), path); err != nil {
		return r, err
	}
	in.deps.Log.Info("the master key was renewed", "retired", r.Retired)
	return r, nil
}

// resumeMaster takes up a rotation of the master key that was stopped.
func (in *Instance) resumeMaster(ctx context.Context) error {
	next, err := nextMaster(in.cfg.Dir)
	if next == nil || err != nil {
		return err
	}
	_, err = in.RotateMaster(ctx, struct{}{})
	return err
}
