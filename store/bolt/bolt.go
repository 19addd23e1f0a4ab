// Package bolt keeps records in bbolt files, each with one committer.
//
// A transaction's function runs on the committer of its owner's file, which
// takes whatever has queued, runs all of it inside one bbolt transaction,
// commits once and answers all: the more callers wait, the fewer syncs each
// costs. There is no timer, so a lone caller waits for its own commit only.
package bolt

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"sync"
	"time"

	"pli/store"
)

// Config says where and how records are kept. Zero values mean the defaults.
type Config struct {
	Dir string // folder of the files, made if missing

	// Shards is the number of files. It is fixed when the folder is made:
	// zero means 1 then, and whatever the folder has later.
	Shards int
	// BatchBytes bounds what one commit gathers (default 32 MiB); the
	// transaction that passes it is the commit's last.
	BatchBytes int
	// MapBytes is the address space set aside for each file (default 64 GiB;
	// no memory is used for it). A file that outgrows it makes writers wait
	// for readers at each further GiB.
	MapBytes int64
	// FileBytes bounds each file; what would grow it further is refused with
	// store.ErrFull. Zero means no bound.
	FileBytes int64
	// MinFree is the room to be left on the disk (default 32 MiB): with less,
	// a transaction that writes values is refused with store.ErrFull, before
	// the file system has to fail.
	MinFree int64
	// CopyMemory bounds the bytes in which Compact notes what is written
	// while it copies (default 64 MiB).
	CopyMemory int
	// ReadOnly opens a store for reading, a damaged one too; Update says
	// store.ErrReadOnly, and what lies on damaged pages is store.ErrCorrupt.
	ReadOnly bool
	// LockWait is how long Open waits for another process to let go of the
	// folder (default 1 s).
	LockWait time.Duration

	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.BatchBytes <= 0 {
		c.BatchBytes = 32 << 20
	}
	if c.MapBytes <= 0 {
		c.MapBytes = 64 << 30
		if math.MaxInt == math.MaxInt32 {
			c.MapBytes = 256 << 20
		}
	}
	if c.MinFree == 0 {
		c.MinFree = 32 << 20
	}
	if c.CopyMemory <= 0 {
		c.CopyMemory = 64 << 20
	}
	if c.LockWait <= 0 {
		c.LockWait = time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// DB is a store.DB on bbolt files.
type DB struct {
	cfg    Config
	shards []*shard

	closing context.Context // ends when Close is called
	close   context.CancelFunc

	mu      sync.Mutex
	idle    *sync.Cond // signalled when running reaches 0
	running int        // transactions under way
	closed  bool
}

// begin counts a transaction in, unless the store is closed.
func (db *DB) begin() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return store.ErrClosed
	}
	db.running++
	return nil
}

func (db *DB) end() {
	db.mu.Lock()
	if db.running--; db.running == 0 {
		db.idle.Broadcast()
	}
	db.mu.Unlock()
}

// Close waits for running transactions, then closes the files.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	db.close()
	for db.running > 0 {
		db.idle.Wait()
	}
	db.mu.Unlock()
	var first error
	for _, s := range db.shards {
		if err := s.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// shard returns the file that holds owner's records. The choice must never
// change: it is part of the stored format.
func (db *DB) shard(owner store.Owner) *shard {
	if len(db.shards) == 1 {
		return db.shards[0]
	}
	h := fnv.New64a()
	h.Write([]byte(owner))
	return db.shards[h.Sum64()%uint64(len(db.shards))]
}

// View runs fn on the caller's goroutine, on the last committed state.
func (db *DB) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	if err := db.enter(ctx, owner); err != nil {
		return err
	}
	defer db.end()
	return db.shard(owner).view(owner, fn)
}

// Update runs fn on the owner's committer. A context that ends while fn waits
// for its turn leaves nothing written; once fn has begun, Update waits for the
// outcome.
func (db *DB) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return db.update(ctx, owner, 0, fn)
}

func (db *DB) update(ctx context.Context, owner store.Owner, wide int, fn func(store.Tx) error) error {
	if err := db.enter(ctx, owner); err != nil {
		return err
	}
	defer db.end()
	return db.shard(owner).update(ctx, owner, wide, fn)
}

func (db *DB) enter(ctx context.Context, owner store.Owner) error {
	if !owner.Valid() {
		return fmt.Errorf("%w: %d bytes", store.ErrOwner, len(owner))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.begin()
}

// Widen returns the same store for a wrapper that adds n bytes to each value.
func (db *DB) Widen(n int) store.DB { return &widened{DB: db, n: n} }

type widened struct {
	*DB
	n int
}

func (w *widened) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return w.update(ctx, owner, w.n, fn)
}

func (w *widened) Widen(n int) store.DB { return &widened{DB: w.DB, n: w.n + n} }
