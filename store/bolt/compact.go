package bolt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
)

// ErrBusy is returned by Compact when more was written meanwhile than it may
// note, or when the file is being compacted already.
var ErrBusy = errors.New("bolt: too busy to compact: try again when less is written")

const (
	// copyBytes is what a compaction copies at a time, about.
	copyBytes = 4 << 20
	// copyLast is how much may be left to copy when writers are held up.
	copyLast = 1 << 20
	// copyRounds is how often what was written meanwhile is copied before
	// Compact gives up.
	copyRounds = 12
)

// copied are the buckets, and how full a copy makes their pages: records are
// written all over theirs, large values at the right edge only.
var copied = []copiedBucket{{bucketMeta, 1}, {bucketLarge, 1}, {bucketDue, 0.9}, {bucketRecord, 0.9}}

type copiedBucket struct {
	name []byte
	fill float64 // share
}

// Compact rewrites a file (0 to Config.Shards-1) without its free pages.
// Readers and writers go on: what is written meanwhile is noted, within
// Config.CopyMemory, and copied after the rest; writers are held up only for the
// last of it. Views that are open finish on the old file. progress, if not
// nil, is told how many of about how many bytes are copied. Until the copy has
// taken the old file's place, a failure or a kill changes nothing; it is then
// ErrBusy, store.ErrFull (the copy needs room beside the old file), or the
// system's.
//
// The old file's bytes are given back to the file system as they are. A store
// whose deletions must leave no trace (see Scrub) is not for compaction.
func (db *DB) Compact(ctx context.Context, shard int, progress func(done, total int64)) (store.Compaction, error) {
	if shard < 0 || shard >= len(db.shards) {
		return store.Compaction{}, fmt.Errorf("bolt: there is no file %d", shard)
	}
	if err := db.begin(); err != nil {
		return store.Compaction{}, err
	}
	defer db.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(db.closing, func() { cancel(store.ErrClosed) })()
	s := db.shards[shard]
	if !s.compacting.CompareAndSwap(false, true) {
		return store.Compaction{}, ErrBusy
	}
	defer s.compacting.Store(false)
	c := &copying{shard: s, ctx: ctx, progress: progress}
	if err := c.run(); err != nil {
		return store.Compaction{}, fmt.Errorf("bolt: compact %s: %w", filepath.Base(s.path), err)
	}
	return c.done, nil
}

// copyPath is where a file's copy lies until it takes the file's place.
func copyPath(path string) string { return path + ".compact" }

// copying is the making of one copy.
type copying struct {
	shard    *shard
	ctx      context.Context
	to       *volume
	old      *volume // set once the copy has taken its place
	progress func(done, total int64)
	total    int64
	done     store.Compaction
}

func (c *copying) run() (err error) {
	s := c.shard
	size := s.size()
	c.done.Before, c.total = size.Bytes, size.Bytes-size.Free
	if diskFull(s.path, s.cfg.MinFree+c.total) {
		return fmt.Errorf("%w: a copy of %d bytes", store.ErrFull, c.total)
	}
	if err := os.Remove(copyPath(s.path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if c.to, err = openVolume(s.cfg, copyPath(s.path)); err != nil {
		return err
	}
	defer func() {
		if c.old != nil {
			c.old.retire()
			return
		}
		s.exclusive(func() error { s.notes = nil; return nil })
		c.to.Close()
		os.Remove(copyPath(s.path))
	}()
	c.to.NoSync, c.to.NoGrowSync = true, true // until the copy is whole
	if _, err := c.note(); err != nil {
		return err
	}
	for _, b := range copied {
		if err := c.bucket(b.name, b.fill); err != nil {
			return err
		}
	}
	return c.finish()
}

// exclusive runs fn while nobody writes.
func (s *shard) exclusive(fn func() error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return fn()
}

// hold is exclusive, with the time that it takes counted.
func (c *copying) hold(fn func() error) error {
	return c.shard.exclusive(func() error {
		began := time.Now()
		defer func() { c.done.Pause = max(c.done.Pause, time.Since(began)) }()
		return fn()
	})
}

// note begins to note what is written, and returns what was noted before.
// Whatever is committed from here on is noted anew, all that was before is in
// any later view: so notes may be copied from one.
func (c *copying) note() (before *notes, err error) {
	err = c.hold(func() error {
		before, c.shard.notes = c.shard.notes, &notes{most: c.shard.cfg.CopyMemory}
		return c.shard.fault()
	})
	if before != nil && before.over {
		err = ErrBusy
	}
	return before, err
}

// bucket copies a bucket in the order of its keys, a piece at a time, each
// brought to the disk at once: what changes behind is noted.
func (c *copying) bucket(name []byte, fill float64) error {
	for from, more := []byte(nil), true; more; {
		err := c.shard.read(func(src *bbolt.Tx) error {
			return c.to.Update(func(dst *bbolt.Tx) error {
				b, err := dst.CreateBucketIfNotExists(name)
				if err != nil {
					return err
				}
				b.FillPercent = fill
				from, more, err = piece(src.Bucket(name), b, from)
				return err
			})
		})
		if err == nil && more {
			err = c.to.Sync()
		}
		if err := c.after(err); err != nil {
			return err
		}
	}
	return nil
}

// piece copies some of a bucket, and returns the key at which to go on.
func piece(src, dst *bbolt.Bucket, from []byte) (next []byte, more bool, err error) {
	cursor := src.Cursor()
	n := 0
	for k, v := cursor.Seek(from); k != nil; k, v = cursor.Next() {
		if n >= copyBytes {
			return bytes.Clone(k), true, nil
		}
		if err := dst.Put(k, v); err != nil {
			return nil, false, err
		}
		n += len(k) + len(v)
	}
	return nil, false, nil
}

// after ends a piece.
func (c *copying) after(err error) error {
	if err == nil {
		err = context.Cause(c.ctx)
	}
	if err == nil && c.progress != nil {
		if info, statErr := c.to.raw.Stat(); statErr == nil {
			c.progress(min(info.Size(), c.total), c.total)
		}
	}
	return asStoreError(err)
}

// finish copies what was written meanwhile until little is left, and then that
// with writers held up, to go over to the copy.
func (c *copying) finish() error {
	for range copyRounds {
		before, err := c.note()
		if err == nil {
			err = c.noted(before)
		}
		if err == nil {
			err = asStoreError(c.to.Sync()) // little is left to bring there while writers wait
		}
		if err != nil {
			return err
		}
		if before.written <= copyLast {
			return c.hold(c.place)
		}
	}
	return ErrBusy
}

// noted copies what notes name.
func (c *copying) noted(n *notes) error {
	keys := n.sorted()
	c.done.Again += len(keys)
	for len(keys) > 0 {
		err := c.shard.read(func(src *bbolt.Tx) error {
			return c.to.Update(func(dst *bbolt.Tx) (err error) {
				keys, err = copyKeys(src, dst, keys)
				return err
			})
		})
		if err := c.after(err); err != nil {
			return err
		}
	}
	return nil
}

// copyKeys copies some keys as they now stand, and returns the rest.
func copyKeys(src, dst *bbolt.Tx, keys []noted) (rest []noted, err error) {
	n := 0
	for i, at := range keys {
		if n >= copyBytes {
			return keys[i:], nil
		}
		b := copied[at.bucket]
		to := dst.Bucket(b.name)
		to.FillPercent = b.fill
		key := []byte(at.key)
		if v := src.Bucket(b.name).Get(key); v == nil {
			err = to.Delete(key)
		} else {
			err = to.Put(key, v)
			n += len(v)
		}
		if err != nil {
			return nil, err
		}
		n += len(key)
	}
	return nil, nil
}

// place copies the last notes and puts the copy in the file's place. Nobody
// writes meanwhile.
func (c *copying) place() error {
	s := c.shard
	last := s.notes
	s.notes = nil
	if err := s.fault(); err != nil {
		return err
	}
	if last.over {
		return ErrBusy
	}
	if err := c.noted(last); err != nil {
		return err
	}
	c.to.NoSync, c.to.NoGrowSync = false, false
	if err := c.to.Update(func(*bbolt.Tx) error { return nil }); err != nil { // its syncs make the copy durable
		return asStoreError(err)
	}
	info, err := c.to.raw.Stat()
	if err != nil {
		return err
	}
	if err := os.Rename(copyPath(s.path), s.path); err != nil {
		return err
	}
	c.done.After, c.old = info.Size(), s.file
	s.mu.Lock()
	s.file = c.to
	s.mu.Unlock()
	if err := syncFolder(s.cfg.Dir); err != nil {
		s.breakDown(err) // after a crash either file may lie there
		return err
	}
	return nil
}

// notes are the keys that commits have changed, for a copy to take again.
type notes struct {
	keys    map[noted]struct{}
	most    int  // bytes of memory
	used    int  // of them, about
	written int  // bytes that those commits wrote
	over    bool // most was too little: nothing is noted any more
}

// noted is a key in one of the copied buckets.
type noted struct {
	bucket int
	key    string
}

// notedSize is what a note takes beside its key, in bytes, about.
const notedSize = 64

// add notes what a batch has changed.
func (n *notes) add(b *batch) {
	n.written += b.shard.scratch.used()
	for _, r := range b.ran {
		if r.tx == nil {
			continue
		}
		for _, change := range r.tx.undo.changes {
			n.note(noted{r.tx.bucketIndex(change.bucket), string(change.key)})
		}
	}
}

func (n *notes) note(at noted) {
	if _, known := n.keys[at]; known || n.over {
		return
	}
	if n.used += notedSize + len(at.key); n.used > n.most {
		n.over, n.keys = true, nil
		return
	}
	if n.keys == nil {
		n.keys = map[noted]struct{}{}
	}
	n.keys[at] = struct{}{}
}

// sorted returns the notes in the order of the buckets' pages.
func (n *notes) sorted() []noted {
	keys := make([]noted, 0, len(n.keys))
	for at := range n.keys {
		keys = append(keys, at)
	}
	slices.SortFunc(keys, func(a, b noted) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.key, b.key))
	})
	return keys
}

// bucketIndex returns the place among copied of one of t's buckets.
func (t *tx) bucketIndex(b *bbolt.Bucket) int {
	name := bucketRecord
	switch b {
	case t.large:
		name = bucketLarge
	case t.due:
		name = bucketDue
	}
	return slices.IndexFunc(copied, func(c copiedBucket) bool { return bytes.Equal(c.name, name) })
}
