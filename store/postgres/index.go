package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"pli/store"
)

// Due returns at most n records due by then, earliest first.
func (db *DB) Due(ctx context.Context, before time.Time, n int) ([]store.Due, error) {
	return list(ctx, db, n, func(row pgx.CollectableRow) (d store.Due, err error) {
		var owner []byte
		var ms int64
		err = row.Scan(&owner, &d.Key, &ms)
		d.Owner, d.At = store.Owner(owner), time.UnixMilli(ms).UTC()
		return d, err
	}, db.sql.due, before.UnixMilli(), n)
}

// Owners returns at most n owners after the given one, in order.
func (db *DB) Owners(ctx context.Context, after store.Owner, n int) ([]store.Owner, error) {
	return list(ctx, db, n, func(row pgx.CollectableRow) (store.Owner, error) {
		var owner []byte
		err := row.Scan(&owner)
		return store.Owner(owner), err
	}, db.sql.owners, []byte(after), n)
}

// list returns the rows of one question that asks for at most n.
func list[T any](ctx context.Context, db *DB, n int, read pgx.RowToFunc[T], sql string, args ...any) (all []T, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := db.begin(); err != nil {
		return nil, err
	}
	defer db.running.Done()
	if n <= 0 {
		return nil, nil
	}
	err = db.retry(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, sql, args...)
		if err == nil {
			all, err = pgx.CollectRows(rows, read)
		}
		return err
	})
	return all, err
}
