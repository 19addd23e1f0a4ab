package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Scrub writes the records anew into a file that holds nothing else and drops
// the old one (VACUUM FULL), waiting for transactions that are under way and
// holding up all others: it is for small stores, and for PostgreSQL alone.
//
// It does not reach what the server has written elsewhere: the write-ahead log
// keeps each record that was written until its segments are used again, and
// archives of it, base backups and sectors that the file system has freed keep
// it for as long as they are kept. Standbys repeat the rewriting.
func (db *DB) Scrub(ctx context.Context) error {
	if err := db.begin(); err != nil {
		return err
	}
	defer db.running.Done()
	return db.retry(ctx, func(_ context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, db.sql.scrub)
		return err
	})
}
