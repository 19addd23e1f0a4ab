package bolt

import (
	"context"
	"errors"
	"fmt"
	"time"

	bbolt "go.etcd.io/bbolt"
)

// scrubPause is between two looks for a moment without readers.
const scrubPause = 2 * time.Millisecond

// Scrub overwrites every free page of every file with zeros: bbolt never
// writes in place, so what was deleted or replaced stays in pages that wait to
// be used again. It waits for a moment at which no view is open, holds up
// writers while it runs, and looks at each page: it is for small stores, and
// for those that are never compacted (see Compact).
func (db *DB) Scrub(ctx context.Context) error {
	if err := db.begin(); err != nil {
		return err
	}
	defer db.end()
	for _, s := range db.shards {
		if err := s.scrub(ctx); err != nil {
			return fmt.Errorf("bolt: scrub %s: %w", s.path, err)
		}
	}
	return nil
}

func (s *shard) scrub(ctx context.Context) error {
	for {
		if done, err := s.tryScrub(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(scrubPause):
		}
	}
}

// tryScrub scrubs the file unless somebody reads it.
func (s *shard) tryScrub() (done bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.fault(); err != nil {
		return false, err
	}
	btx, err := s.file.Begin(true)
	if err != nil {
		return false, asStoreError(err)
	}
	// Views that begin from here on see the last commit, which refers to no
	// free page; only earlier ones could still read from those.
	if s.file.views.Load() > 0 {
		return false, btx.Rollback()
	}
	return true, errors.Join(s.overwrite(btx), btx.Rollback())
}

// overwrite writes zeros over the free pages, in runs, and over what lies
// beyond the last page.
func (s *shard) overwrite(btx *bbolt.Tx) error {
	f := s.file.raw
	size := s.file.page
	last := btx.Size() / size
	zeros := make([]byte, 64*size)
	free := int64(0) // pages in the run that ends before id
	for id := int64(0); id <= last; id++ {
		isFree := false
		if id < last {
			page, err := btx.Page(int(id))
			if err != nil {
				return err
			}
			isFree = page != nil && page.Type == "free"
		}
		if isFree {
			free++
		}
		if free > 0 && (!isFree || free*size == int64(len(zeros))) {
			start := id - free
			if isFree {
				start++
			}
			if _, err := f.WriteAt(zeros[:free*size], start*size); err != nil {
				return err
			}
			free = 0
		}
	}
	if info, err := f.Stat(); err == nil {
		punchHole(f, btx.Size(), info.Size()) // what a failed commit has left
	}
	return f.Sync()
}
