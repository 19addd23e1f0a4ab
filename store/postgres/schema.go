package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// formatVersion is that of the tables. A build that changes them counts it up
// and says here how to bring an earlier one to its form.
const formatVersion = 1

// statements are the SQL of one schema: none that CockroachDB or YugabyteDB
// lack. Owners and keys are bytea, whose order is that of bytes everywhere.
type statements struct {
	create []string
	setFormat, getFormat,
	lock, get, put, remove,
	due, owners, check, checkOne, checkKeys, scrub string
	scan [4]string // by scanKind
}

const (
	beginWrite = "BEGIN"
	beginRead  = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	commit     = "COMMIT"
	rollback   = "ROLLBACK"
)

// scanKind says which of the statements a scan uses.
func scanKind(back, bounded bool) (k int) {
	if back {
		k += 2
	}
	if bounded {
		k++
	}
	return k
}

func statementsOf(schema string) (s statements) {
	name := pgx.Identifier{schema}.Sanitize()
	in := func(sql string) string { return fmt.Sprintf(sql, name) }
	s.create = []string{
		in(`CREATE SCHEMA IF NOT EXISTS %s`),
		in(`CREATE TABLE IF NOT EXISTS %s.owners (owner bytea PRIMARY KEY, tokens bytea NOT NULL)`),
		in(`CREATE TABLE IF NOT EXISTS %s.records (owner bytea, key bytea, value bytea NOT NULL, due bigint, PRIMARY KEY (owner, key))`),
		in(`CREATE INDEX IF NOT EXISTS records_due ON %s.records (due, owner, key) WHERE due IS NOT NULL`),
		in(`CREATE TABLE IF NOT EXISTS %s.format (one boolean PRIMARY KEY, version bigint NOT NULL)`),
	}
	s.setFormat = in(`INSERT INTO %s.format (one, version) VALUES (true, $1) ON CONFLICT DO NOTHING`)
	s.getFormat = in(`SELECT version FROM %s.format`)
	s.lock = in(`INSERT INTO %s.owners AS o (owner, tokens) VALUES ($1, $2)
		ON CONFLICT (owner) DO UPDATE SET tokens = substring(excluded.tokens || o.tokens from 1 for ` + fmt.Sprint(tokensMax*tokenLen) + `)
		RETURNING tokens`)
	s.get = in(`SELECT value FROM %s.records WHERE owner = $1 AND key = $2`)
	s.put = in(`INSERT INTO %s.records (owner, key, value, due)
		SELECT $1, w.key, w.value, w.due FROM unnest($2::bytea[], $3::bytea[], $4::bigint[]) AS w(key, value, due)
		ON CONFLICT (owner, key) DO UPDATE SET value = excluded.value, due = excluded.due`)
	s.remove = in(`DELETE FROM %s.records WHERE owner = $1 AND key = ANY($2::bytea[])`)
	scan := `SELECT key, value, due FROM %s.records WHERE owner = $1 AND key >= $2`
	s.scan[scanKind(false, false)] = in(scan + ` ORDER BY key LIMIT $3`)
	s.scan[scanKind(false, true)] = in(scan + ` AND key < $4 ORDER BY key LIMIT $3`)
	s.scan[scanKind(true, false)] = in(scan + ` ORDER BY key DESC LIMIT $3`)
	s.scan[scanKind(true, true)] = in(scan + ` AND key < $4 ORDER BY key DESC LIMIT $3`)
	s.due = in(`SELECT owner, key, due FROM %s.records WHERE due <= $1 ORDER BY due, owner, key LIMIT $2`)
	s.owners = fmt.Sprintf(`SELECT o.owner FROM %[1]s.owners AS o, LATERAL (SELECT 1 FROM %[1]s.records AS r WHERE r.owner = o.owner LIMIT 1) AS has
		WHERE o.owner > $1 ORDER BY o.owner LIMIT $2`, name)
	s.check = fmt.Sprintf(`SELECT r.owner, r.key, r.due IS NOT NULL, o.owner IS NOT NULL, md5(r.value)
		FROM %[1]s.records AS r LEFT JOIN %[1]s.owners AS o ON o.owner = r.owner
		WHERE (r.owner, r.key) > ($1, $2) ORDER BY r.owner, r.key LIMIT $3`, name)
	s.checkOne = in(`SELECT md5(value) FROM %s.records WHERE owner = $1 AND key = $2`)
	s.checkKeys = in(`SELECT owner, key FROM %s.records WHERE (owner, key) > ($1, $2) ORDER BY owner, key LIMIT $3`)
	s.scrub = in(`VACUUM (FULL) %s.records`)
	return s
}

// validSchema keeps to names that need no quoting anywhere.
func validSchema(name string) bool {
	if len(name) == 0 || len(name) > 63 {
		return false
	}
	for i, c := range []byte(name) {
		if (c < 'a' || c > 'z') && c != '_' && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// prepare makes the tables if there are none, and looks at their format.
func (db *DB) prepare(ctx context.Context) error {
	p := db.patience()
	for {
		version, err := db.format(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			if err = db.create(ctx); err == nil {
				continue
			}
		}
		var unsafe *unsafeServer
		switch {
		case errors.As(err, &unsafe):
			return unsafe
		case err != nil && (transient(err) || overtaken(err)) && p.again(ctx):
			continue
		case err != nil:
			return asStoreError(ctx, err)
		case version != formatVersion:
			return fmt.Errorf("postgres: the tables of schema %s have format %d, this build knows %d: run the build that made them, or a later one",
				db.cfg.Schema, version, formatVersion)
		}
		return nil
	}
}

// format returns the tables' version, or ErrNoRows if they are still to be made.
func (db *DB) format(ctx context.Context) (version int64, err error) {
	err = db.once(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, db.sql.getFormat).Scan(&version)
	})
	if hasCode(err, "42P01", "3F000") { // undefined_table, invalid_schema_name
		err = pgx.ErrNoRows
	}
	return version, err
}

func (db *DB) create(ctx context.Context) error {
	return db.once(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		for _, sql := range db.sql.create {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("make the tables: %w", err)
			}
		}
		_, err := conn.Exec(ctx, db.sql.setFormat, formatVersion)
		return err
	})
}

// overtaken reports that another process has made the same table meanwhile.
func overtaken(err error) bool {
	return hasCode(err, "23505", "42P06", "42P07", "42710") // unique_violation, duplicate_schema, _table, _object
}

func hasCode(err error, codes ...string) bool {
	var p *pgconn.PgError
	if !errors.As(err, &p) {
		return false
	}
	for _, c := range codes {
		if p.Code == c {
			return true
		}
	}
	return false
}
