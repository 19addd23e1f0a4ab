package bolt

import (
	"path/filepath"
	"sync/atomic"

	"pli/store"
)

var _ store.Compacter = (*DB)(nil)

// Stats counts what a store has done since it was opened.
type Stats struct {
	Commits      uint64 // durable ones
	Transactions uint64 // updates that those made durable
	Bytes        uint64 // of keys and values in them, before bbolt's pages
	Failed       uint64 // commits that failed
	Shards       []store.File
}

type counters struct{ commits, transactions, bytes, failed atomic.Uint64 }

// Stats returns the counts of all files together, and the size of each.
func (db *DB) Stats() (sum Stats) {
	for _, s := range db.shards {
		sum.Commits += s.stats.commits.Load()
		sum.Transactions += s.stats.transactions.Load()
		sum.Bytes += s.stats.bytes.Load()
		sum.Failed += s.stats.failed.Load()
	}
	sum.Shards = db.Files()
	return sum
}

// Files returns the size of each file and how much of it Compact would give
// back.
func (db *DB) Files() (list []store.File) {
	for _, s := range db.shards {
		list = append(list, s.size())
	}
	return list
}

// count counts a batch that was to be committed.
func (s *shard) count(b *batch, err error) {
	if err != nil {
		s.stats.failed.Add(1)
		return
	}
	s.stats.commits.Add(1)
	s.stats.bytes.Add(uint64(s.scratch.used()))
	for _, r := range b.ran {
		if r.tx != nil {
			s.stats.transactions.Add(1)
		}
	}
}

func (s *shard) size() (size store.File) {
	size.Name = filepath.Base(s.path)
	file := s.acquire()
	defer file.release()
	if info, err := file.raw.Stat(); err == nil {
		size.Bytes = info.Size()
	}
	stats := file.Stats()
	size.Free = int64(stats.FreePageN+stats.PendingPageN) * file.page
	return size
}
