package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"pli/store"
)

const (
	maxFaults = 20   // that Check names
	checkPage = 1000 // records that it reads at a time
)

// damaged are the codes of what the server finds damaged in its own files:
// data_corrupted, index_corrupted.
var damaged = []string{"XX001", "XX002"}

// Check reads every record once, as it is when Check begins. It returns what
// is wrong, all of it wrapping store.ErrCorrupt: values that the server cannot
// read, records that are out of order or of nobody, due times that table and
// index tell differently.
func (db *DB) Check(ctx context.Context) error {
	if err := db.begin(); err != nil {
		return err
	}
	defer db.running.Done()
	var c *checker
	err := db.retry(ctx, func(_ context.Context, conn *pgx.Conn) error {
		c = &checker{ctx: ctx, db: db, conn: conn}
		return c.all()
	})
	if err != nil {
		return err
	}
	return errors.Join(c.faults...)
}

type checker struct {
	ctx    context.Context
	db     *DB
	conn   *pgx.Conn
	faults []error
	due    int // records that are due
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf("%w: %s", store.ErrCorrupt, fmt.Sprintf(format, args...)))
	}
}

func (c *checker) all() error {
	err := c.exec(beginRead)
	if err == nil {
		err = c.records()
	}
	if err == nil && len(c.faults) == 0 { // else the count may be of another moment
		err = c.index()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.db.cfg.AnswerWait)
	defer cancel()
	_, err2 := c.conn.Exec(ctx, rollback)
	return errors.Join(err, err2)
}

func (c *checker) exec(sql string) error {
	_, err := c.conn.Exec(c.ctx, sql)
	return err
}

// records walks all records by the primary key.
func (c *checker) records() error {
	owner, key := []byte{}, []byte{}
	for {
		last, n, err := c.page(owner, key)
		if hasCode(err, damaged...) {
			last, n, err = c.locate(owner, key)
		}
		if err != nil || n < checkPage || len(c.faults) >= maxFaults {
			return err
		}
		owner, key = []byte(last.Owner), last.Key
	}
}

// page looks at the n records after one, and returns the last of them.
func (c *checker) page(owner, key []byte) (last store.Due, n int, err error) {
	rows, err := c.conn.Query(c.ctx, c.db.sql.check, owner, key, checkPage)
	if err != nil {
		return last, 0, err
	}
	var o, k []byte
	var due, owned bool
	_, err = pgx.ForEachRow(rows, []any{&o, &k, &due, &owned, nil}, func() error {
		last = store.Due{Owner: store.Owner(o), Key: bytes.Clone(k)}
		n++
		switch {
		case !last.Owner.Valid():
			c.fault("a record of nobody")
		case len(k) > store.MaxKey:
			c.fault("a key of %s of %d bytes", last.Owner, len(k))
		case !owned:
			c.fault("%s has records and is not in the table of owners", last.Owner)
		}
		if due {
			c.due++
		}
		return nil
	})
	return last, n, err
}

// locate names those of the n records after one whose values the server cannot
// read, and returns the last of them. The transaction that met them is of no
// more use: another begins.
func (c *checker) locate(owner, key []byte) (last store.Due, n int, err error) {
	if err := c.exec(rollback); err != nil {
		return last, 0, err
	}
	rows, err := c.conn.Query(c.ctx, c.db.sql.checkKeys, owner, key, checkPage)
	if err != nil {
		return last, 0, err
	}
	type place struct{ Owner, Key []byte }
	places, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	if hasCode(err, damaged...) { // not even those: nothing further can be told apart
		c.fault("%v", err)
		return last, 0, nil
	}
	if err != nil {
		return last, 0, err
	}
	for _, p := range places {
		last = store.Due{Owner: store.Owner(p.Owner), Key: p.Key}
		_, err := c.conn.Exec(c.ctx, c.db.sql.checkOne, p.Owner, p.Key)
		if hasCode(err, damaged...) {
			c.faults = append(c.faults, &store.Damage{Owner: last.Owner, Key: last.Key, Why: err.Error()})
		} else if err != nil {
			return last, 0, err
		}
	}
	return last, len(places), c.exec(beginRead)
}

// byIndex has PostgreSQL answer from an index where it can, as it would from a
// large table. Servers that have no such settings are asked nothing.
const byIndex = `SELECT set_config(name, 'off', true) FROM pg_settings WHERE name IN ('enable_seqscan', 'enable_sort', 'enable_bitmapscan')`

// index counts the due times the other way round: the index has as many as the
// records, in order.
func (c *checker) index() error {
	if err := c.exec(byIndex); err != nil {
		return err
	}
	n := 0
	rows, err := c.conn.Query(c.ctx, c.db.sql.due, int64(math.MaxInt64), int64(math.MaxInt64))
	if err != nil {
		return err
	}
	var o, k []byte
	var ms, last int64 = 0, math.MinInt64
	_, err = pgx.ForEachRow(rows, []any{&o, &k, &ms}, func() error {
		if n++; ms < last {
			c.fault("due times are out of order")
		}
		last = ms
		return nil
	})
	if err == nil && n != c.due {
		c.fault("%d due times in the index, records have %d", n, c.due)
	}
	return err
}
