package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pli/backup"
	"pli/internal/errs"
	"pli/store"
	"pli/store/names"
	"pli/store/sealed"
)

// RestoreArgs says what is brought back, and from where.
type RestoreArgs struct {
	From        string `required:"" json:"from" placeholder:"PLACE" help:"Repository: a folder, or s3://ACCESS@HOST/BUCKET/PREFIX (secret key in PLI_S3_SECRET)."`
	Keys        string `required:"" json:"keys" placeholder:"FILE" help:"File of the data keys."`
	Manifest    string `json:"manifest" placeholder:"NAME" help:"Which backup; the latest if none is named."`
	SkipDamaged bool   `json:"skip_damaged" help:"Bring back the rest of a damaged repository, and tell what is missing."`
}

// RestoreReport is what a restore brought back.
type RestoreReport struct {
	backup.Restored
	Seconds   float64 `json:"seconds"`
	MasterKey string  `json:"master_key"` // where it lies now
}

// Print writes the report for people.
func (r RestoreReport) Print(w io.Writer) {
	for _, m := range r.Missing {
		fmt.Fprintln(w, m)
	}
	fmt.Fprintf(w, "%s: %d records, %d blobs and %d data keys, %.1f MB, in %.1f s (%.1f MB/s): %d object(s) missing\n",
		r.Backup, r.Records, r.Blobs, r.Keys, float64(r.Bytes)/1e6, r.Seconds, float64(r.Bytes)/1e6/max(r.Seconds, 1e-3), len(r.Missing))
}

// unfinished is a file that is there until a restore is done.
const unfinished = "restore-unfinished.json"

// refuseUnfinished keeps half of an instance from being served.
func refuseUnfinished(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, unfinished)); !errors.Is(err, fs.ErrNotExist) {
		return errs.Wrap(errors.Join(err, errUnfinished), errs.Unavailable,
			"a restore into %s is not done: run the same «pli restore» again, it goes on where it stopped", dir)
	}
	return nil
}

var errUnfinished = errors.New("unfinished restore")

// Restore brings a whole backup back into the empty instance that a
// configuration file describes, on whatever engines it names. Stopped half
// way, the same call goes on; until it is done the instance does not start.
// master is the file of the master key that the backup was made under; it
// becomes the instance's own, last of all.
func Restore(ctx context.Context, config, master string, a RestoreArgs) (r RestoreReport, err error) {
	cfg, err := LoadConfig(config)
	if err != nil {
		return r, err
	}
	key, err := sealed.LoadMaster(master)
	if err != nil {
		return r, err
	}
	deps := here()
	conf, err := openRepository(ctx, a.From, false, key, deps)
	if err != nil {
		return r, err
	}
	b, err := backup.Open(ctx, conf, a.Manifest)
	if err != nil {
		return r, err
	}
	in := &Instance{cfg: cfg, deps: deps}
	defer func() { err = errors.Join(err, in.closeStores()) }()
	if err := in.openBare(ctx); err != nil {
		return r, err
	}
	marker := filepath.Join(cfg.Dir, unfinished)
	r.Restored, err = b.Restore(ctx, in.bare(), backup.Restoring{Keys: a.Keys, Marker: marker, SkipDamaged: a.SkipDamaged})
	if err != nil {
		return r, err
	}
	r.Seconds, r.MasterKey = r.Took.Seconds(), masterPath(cfg.Dir)
	if r.Missing == nil {
		r.Missing = []string{}
	}
	if err := in.forgetDestroyed(ctx, key); err != nil {
		return r, err
	}
	if err := installMaster(master, r.MasterKey); err != nil {
		return r, err
	}
	return r, backup.Finish(marker)
}

// openBare opens the stores of an instance that may have no key yet.
func (in *Instance) openBare(ctx context.Context) (err error) {
	if err := forbidCoreDumps(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(in.cfg.Dir, "keys"), 0o700); err != nil {
		return err
	}
	if in.rawKeys, err = in.openDB(ctx, "keys", 1); err != nil {
		return err
	}
	if in.raw, err = in.openDB(ctx, "store", in.cfg.StoreShards); err != nil {
		return err
	}
	blobs, err := in.openBlobs(ctx)
	in.hold = newHolding(blobs, in.deps.Log)
	return err
}

// forgetDestroyed clears away what the backup still had of accounts that were
// deleted since: nobody can read it, and their names are free.
func (in *Instance) forgetDestroyed(ctx context.Context, master *sealed.Master) (err error) {
	if in.keys, err = sealed.OpenKeys(in.rawKeys, master, sealed.KeysConfig{Log: in.deps.Log}); err != nil {
		return err
	}
	in.db = sealed.New(in.raw, in.keys, sealed.Config{})
	gone := make(map[store.Owner]bool)
	for after := store.Owner(""); ; {
		owners, err := in.rawKeys.Owners(ctx, after, ownersAPage)
		if err != nil {
			return err
		}
		if len(owners) == 0 {
			break
		}
		for _, o := range owners {
			if after = o; !in.destroyed(ctx, o) {
				continue
			}
			gone[o] = true
			if err := in.purge(ctx, o); err != nil {
				return err
			}
		}
	}
	return names.New(in.db, master.Derive("names")).Forget(ctx, gone)
}

// destroyed reports whether an account was deleted by right.
func (in *Instance) destroyed(ctx context.Context, owner store.Owner) bool {
	_, err := in.keys.Key(ctx, owner, "data", "", false)
	return errors.Is(err, sealed.ErrDestroyed)
}

// installMaster copies a master key to its place. Another one that lies there,
// of an instance that `pli init` has made and nobody has used, is kept beside.
func installMaster(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	there, err := os.ReadFile(to)
	switch {
	case err == nil && bytes.Equal(there, b):
		return nil
	case err == nil:
		if err := backup.ReplaceFile(to+".unused", there); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return backup.ReplaceFile(to, b)
}
