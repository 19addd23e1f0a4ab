package instance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"pli/store"
	"pli/store/blob"
	blobdir "pli/store/blob/dir"
	"pli/store/blob/s3"
	"pli/store/bolt"
	"pli/store/postgres"
	"pli/store/sealed"
)

// Engines that keep data in the instance's own folder; any other is a URL.
const (
	engineBolt = "bolt"
	engineDir  = "dir"
)

// UseEngines names the engines of records and of blobs; "" leaves one as it is.
func (c *Config) UseEngines(store, blobs string) {
	if store != "" {
		c.StoreEngine = store
	}
	if blobs != "" {
		c.BlobEngine = blobs
	}
}

// openStores opens what is stored: keys apart from records, and blobs.
func (in *Instance) openStores(ctx context.Context) (*sealed.Master, error) {
	if err := forbidCoreDumps(); err != nil {
		return nil, err
	}
	dir := in.cfg.Dir
	if err := refuseUnfinished(dir); err != nil {
		return nil, err
	}
	master, err := sealed.LoadMaster(masterPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no instance (no keys/master.key): make one with «pli init»", dir)
	}
	if err != nil {
		return nil, err
	}
	next, err := nextMaster(dir)
	if err != nil {
		return nil, err
	}
	if in.rawKeys, err = in.openDB(ctx, "keys", 1); err != nil {
		return nil, err
	}
	if in.keys, err = sealed.OpenKeys(in.rawKeys, master, sealed.KeysConfig{Log: in.deps.Log, Next: next}); err != nil {
		return nil, err
	}
	if in.raw, err = in.openDB(ctx, "store", in.cfg.StoreShards); err != nil {
		return nil, err
	}
	in.db = sealed.New(in.raw, in.keys, sealed.Config{})
	if in.cfg.StoreEngine != engineBolt {
		if in.lease, err = takeLease(ctx, in.db, dir, leaseLife, in.deps.Standby, in.deps.Log); err != nil {
			return nil, err
		}
		in.lease.begin()
	}
	bare, err := in.openBlobs(ctx)
	in.hold = newHolding(bare, in.deps.Log)
	in.blobs = in.hold
	return master, err
}

// openDB opens one bare store of the configured engine: a folder of the
// instance, or a schema of the database.
func (in *Instance) openDB(ctx context.Context, name string, shards int) (store.DB, error) {
	if in.cfg.StoreEngine == engineBolt {
		return open(bolt.Open(bolt.Config{Dir: filepath.Join(in.cfg.Dir, name), Shards: shards, Log: in.deps.Log}))
	}
	return open(postgres.Open(ctx, postgres.Config{URL: in.cfg.StoreEngine, Schema: "pli_" + name, Log: in.deps.Log}))
}

func (in *Instance) openBlobs(ctx context.Context) (blob.Store, error) {
	folder := filepath.Join(in.cfg.Dir, "blobs")
	if in.cfg.BlobEngine == engineDir {
		return openBlob(blobdir.Open(folder, blobdir.Config{Log: in.deps.Log}))
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	return openBlob(s3.Open(ctx, s3.Config{URL: in.cfg.BlobEngine, Spool: folder, Log: in.deps.Log}))
}

// open makes an engine a store.DB, and none of a failure.
func open[T store.DB](db T, err error) (store.DB, error) {
	if err != nil {
		return nil, err
	}
	return db, nil
}

func openBlob[T blob.Store](s T, err error) (blob.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (in *Instance) closeStores() error {
	var all []error
	if in.lease != nil {
		all = append(all, in.lease.release())
	}
	for _, db := range []store.DB{in.raw, in.rawKeys} {
		if db != nil {
			all = append(all, db.Close())
		}
	}
	return errors.Join(all...)
}

// engine checks the name of an engine: the one that needs no server, or a URL
// of one of the schemes. The error tells no password.
func engine(p *string, own string, schemes ...string) func() error {
	return func() error {
		if *p == own {
			return nil
		}
		u, err := url.Parse(*p)
		if err != nil {
			return fmt.Errorf("is neither %q nor a URL", own)
		}
		for _, s := range schemes {
			if u.Scheme == s && u.Host != "" {
				return nil
			}
		}
		return fmt.Errorf("is neither %q nor a URL such as %s://HOST/…, but %q", own, schemes[0], u.Scheme+"://"+u.Host)
	}
}
