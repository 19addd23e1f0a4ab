package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
)

// The buckets of each file.
var (
	bucketMeta   = []byte("meta")
	bucketRecord = []byte("r") // owner 0 key -> flags, due time, value or reference
	bucketLarge  = []byte("v") // sequence -> value of more than inlineMax bytes
	bucketDue    = []byte("d") // due time, owner 0 key -> nothing
	keyFormat    = []byte("format")
	keyShards    = []byte("shards")
)

// formatVersion is that of the files; a store of another is not opened.
const formatVersion = 1

// allocBytes is by how much a file grows at a time: each growth costs a sync.
const allocBytes = 32 << 20

// shard is one file with its committer.
type shard struct {
	cfg     Config
	log     *slog.Logger
	path    string
	queue   queue
	done    chan struct{} // closed when the committer has ended
	nextSeq uint64        // next key in bucketLarge; the committer's own
	scratch arena         // the committer's own
	broken  atomic.Pointer[error]
	stats   counters

	// writing is held by whoever has a write transaction, or exchanges the
	// file. It is taken before mu.
	writing sync.Mutex
	notes   *notes // what commits change while the file is copied; under writing

	mu   sync.RWMutex // guards file, which changes under writing too
	file *volume

	compacting atomic.Bool
}

// Open opens the store in cfg.Dir, making it if there is none. It refuses a
// folder that another process has open, one made with another number of
// shards, one that lacks a file, one with a damaged file (Fault; but see
// Config.ReadOnly), and one on a file system known to damage it.
func Open(cfg Config) (*DB, error) {
	cfg = cfg.withDefaults()
	if !cfg.ReadOnly {
		if err := makeFolder(filepath.Clean(cfg.Dir)); err != nil {
			return nil, err
		}
		if err := refuseFastCommit(cfg.Dir); err != nil {
			return nil, err
		}
	}
	db := &DB{cfg: cfg}
	db.idle = sync.NewCond(&db.mu)
	db.closing, db.close = context.WithCancel(context.Background())
	if err := db.openShards(); err != nil {
		for _, s := range db.shards {
			if s != nil {
				s.file.Close()
			}
		}
		return nil, err
	}
	for _, s := range db.shards {
		go s.commitLoop()
	}
	return db, nil
}

// openShards opens the first file, which says how many there are; a new
// folder gets its first file's word last, so that a crash while it is being
// made leaves it new.
func (db *DB) openShards() error {
	first, err := openShard(db.cfg, 0)
	if err != nil {
		return err
	}
	db.shards = []*shard{first}
	have, err := first.shardCount()
	if err != nil {
		return err
	}
	fresh := have == 0
	if fresh {
		have = max(db.cfg.Shards, 1)
	} else if db.cfg.Shards != 0 && db.cfg.Shards != have {
		return fmt.Errorf("bolt: %s was made with %d shards, not %d: the number cannot change", db.cfg.Dir, have, db.cfg.Shards)
	}
	for i := 1; i < have; i++ {
		if _, err := os.Stat(shardPath(db.cfg.Dir, i)); err != nil && !fresh {
			return fmt.Errorf("bolt: file %d of %d is missing: %w", i+1, have, err)
		}
		s, err := openShard(db.cfg, i)
		if err != nil {
			return err
		}
		db.shards = append(db.shards, s)
	}
	for i := have - 1; i >= 0; i-- {
		if err := db.shards[i].prepare(have, fresh); err != nil {
			return err
		}
	}
	if db.cfg.ReadOnly {
		return nil
	}
	return syncFolder(db.cfg.Dir)
}

func shardPath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("shard-%02d.db", i))
}

func openShard(cfg Config, i int) (*shard, error) {
	path := shardPath(cfg.Dir, i)
	file, err := openVolume(cfg, path)
	if err != nil {
		return nil, err
	}
	s := &shard{cfg: cfg, log: cfg.Log, path: path, file: file, done: make(chan struct{})}
	s.queue.init()
	if cfg.ReadOnly {
		why := store.ErrReadOnly
		s.broken.Store(&why)
		return s, nil
	}
	// With the lock of the file, nobody else can be making a copy of it.
	if err := os.Remove(copyPath(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		file.Close()
		return nil, fmt.Errorf("bolt: %w", err)
	}
	return s, nil
}

// shardCount returns how many files the store was made with, 0 if it is new.
func (s *shard) shardCount() (n int, err error) {
	err = s.read(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		if b == nil {
			return nil
		}
		if v := b.Get(keyFormat); len(v) != 1 || v[0] != formatVersion {
			return fmt.Errorf("bolt: %s has a format that this version does not know", s.path)
		}
		v := b.Get(keyShards)
		if len(v) != 4 {
			return fmt.Errorf("bolt: %s: %w", s.path, store.ErrCorrupt)
		}
		n = int(binary.BigEndian.Uint32(v))
		return nil
	})
	return n, err
}

// prepare makes the buckets of a new file, or checks that an old one belongs
// here, and finds where large values go on.
func (s *shard) prepare(shards int, fresh bool) error {
	have, err := s.shardCount()
	if err != nil {
		return err
	}
	switch {
	case s.cfg.ReadOnly && have != 0 && have == shards:
		return nil
	case s.cfg.ReadOnly:
		return fmt.Errorf("bolt: %s is not a whole store", s.path)
	case have == 0 && fresh:
		if err := s.file.Update(func(tx *bbolt.Tx) error { return makeBuckets(tx, shards) }); err != nil {
			return fmt.Errorf("bolt: %s: %w", s.path, asStoreError(err))
		}
	case have != shards:
		return fmt.Errorf("bolt: %s belongs to a store of %d shards, not %d", s.path, have, shards)
	}
	return s.file.View(func(tx *bbolt.Tx) error {
		s.nextSeq = 1
		if k, _ := tx.Bucket(bucketLarge).Cursor().Last(); k != nil {
			s.nextSeq = binary.BigEndian.Uint64(k) + 1
		}
		return nil
	})
}

func makeBuckets(tx *bbolt.Tx, shards int) error {
	for _, name := range [][]byte{bucketRecord, bucketLarge, bucketDue, bucketMeta} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	if err := meta.Put(keyShards, binary.BigEndian.AppendUint32(nil, uint32(shards))); err != nil {
		return err
	}
	return meta.Put(keyFormat, []byte{formatVersion})
}

// view runs fn on a read transaction of its own.
func (s *shard) view(owner store.Owner, fn func(store.Tx) error) (err error) {
	file := s.acquire()
	defer file.release()
	defer s.shield(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	btx, err := file.Begin(false)
	if err != nil {
		return asStoreError(err)
	}
	defer btx.Rollback()
	t := newTx(s, btx, owner)
	defer t.end()
	return fn(t)
}

// read runs fn on a read transaction.
func (s *shard) read(fn func(*bbolt.Tx) error) (err error) {
	file := s.acquire()
	defer file.release()
	defer s.shield(&err)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return asStoreError(file.View(fn))
}

// close ends the committer and closes the file.
func (s *shard) close() error {
	s.queue.close()
	<-s.done
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("bolt: %s: %w", s.path, err)
	}
	return nil
}
