package postgres

import "sync/atomic"

// Stats counts what a store has done since it was opened.
type Stats struct {
	Commits uint64 // durable ones
	Retried uint64 // transactions whose function ran again
	Asked   uint64 // commits whose answer was lost, so that the outcome was asked for
	Conns   int    // connections that there are
}

type counters struct{ commits, retried, asked atomic.Uint64 }

// Stats returns the counts.
func (db *DB) Stats() Stats {
	return Stats{
		Commits: db.stats.commits.Load(),
		Retried: db.stats.retried.Load(),
		Asked:   db.stats.asked.Load(),
		Conns:   int(db.pool.Stat().TotalConns()),
	}
}
