package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"pli/store"
)

// tx is one owner's records inside a transaction, which begins on the server
// with the first question.
type tx struct {
	ctx      context.Context
	db       *DB
	owner    store.Owner
	patience *patience

	write  bool
	wide   int   // bytes by which each value may pass the limit
	mark   *mark // what the transaction leaves in its owner's row
	conn   *pgxpool.Conn
	closed bool
	failed error // as the seam names it: the transaction cannot go on
	cause  error // of that
	bytes  int   // of all values written, without what wide allows
	over   overlay
	hooks  []func()
}

var _ store.Tx = (*tx)(nil)

func (db *DB) newTx(ctx context.Context, owner store.Owner, p *patience) *tx {
	return &tx{ctx: ctx, db: db, owner: owner, patience: p}
}

// end makes every later call fail, and rolls back what is still under way.
func (t *tx) end() {
	t.closed = true
	if t.conn != nil {
		t.db.rollBack(t.conn)
		t.conn = nil
	}
}

func (t *tx) Owner() store.Owner { return t.owner }

func (t *tx) AfterCommit(fn func()) {
	if t.write && !t.closed {
		t.hooks = append(t.hooks, fn)
	}
}

// ask sends one question, the first time with what begins the transaction.
func (t *tx) ask(question func(*pgx.Batch)) error {
	switch {
	case t.closed:
		return store.ErrClosed
	case t.failed != nil:
		return t.failed
	case t.conn == nil:
		return t.begin(question)
	}
	b := &pgx.Batch{}
	question(b)
	return t.fail(t.db.send(t.ctx, t.conn, b))
}

// fail notes that the transaction cannot go on.
func (t *tx) fail(err error) error {
	if err != nil {
		t.cause, t.failed = err, asStoreError(t.ctx, err)
	}
	return t.failed
}

// begin begins the transaction with its first question, as often as needed:
// fn has seen nothing of it yet.
func (t *tx) begin(question func(*pgx.Batch)) error {
	for {
		err := t.tryBegin(question)
		if err == nil || !transient(err) || !t.patience.again(t.ctx) {
			return t.fail(err)
		}
	}
}

func (t *tx) tryBegin(question func(*pgx.Batch)) error {
	conn, err := t.db.acquire(t.ctx)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	if t.write {
		b.Queue(beginWrite)
		t.mark = newMark()
		b.Queue(t.db.sql.lock, []byte(t.owner), t.mark.token[:]).QueryRow(t.mark.read)
	} else {
		b.Queue(beginRead)
	}
	if question != nil {
		question(b)
	}
	if err := t.db.send(t.ctx, conn, b); err != nil {
		t.db.rollBack(conn)
		return err
	}
	t.conn = conn
	return nil
}

func (t *tx) Get(key []byte) ([]byte, error) {
	if t.closed {
		return nil, store.ErrClosed
	}
	if len(key) > store.MaxKey {
		return nil, store.ErrNotFound
	}
	if w := t.over.get(key); w != nil {
		if w.gone {
			return nil, store.ErrNotFound
		}
		return w.value[:len(w.value):len(w.value)], nil
	}
	var value []byte
	found := false
	err := t.ask(func(b *pgx.Batch) {
		b.Queue(t.db.sql.get, []byte(t.owner), present(key)).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&value)
			if found = err == nil; errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	})
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return nil, &store.Damage{Owner: t.owner, Key: bytes.Clone(key), Why: err.Error()}
	case err != nil:
		return nil, err
	case !found:
		return nil, store.ErrNotFound
	}
	return value, nil
}

// present returns b as bytes that SQL does not take for NULL.
func present(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (t *tx) Put(key, value []byte) error { return t.put(key, value, nil) }

func (t *tx) PutDue(key, value []byte, at time.Time) error {
	ms := at.UnixMilli()
	return t.put(key, value, &ms)
}

// writable says whether a write of that key may go on.
func (t *tx) writable(key []byte) error {
	switch {
	case t.closed:
		return store.ErrClosed
	case !t.write:
		return store.ErrReadOnly
	case t.failed != nil:
		return t.failed
	case len(key) > store.MaxKey:
		return fmt.Errorf("%w: key of %d bytes", store.ErrTooLarge, len(key))
	}
	return nil
}

func (t *tx) put(key, value []byte, due *int64) error {
	if err := t.writable(key); err != nil {
		return err
	}
	n := max(len(value)-t.wide, 0)
	if n > store.MaxValue {
		return fmt.Errorf("%w: value of %d bytes", store.ErrTooLarge, n)
	}
	if t.bytes+n > store.MaxTx {
		return fmt.Errorf("%w: transaction of %d bytes", store.ErrTooLarge, t.bytes+n)
	}
	t.bytes += n
	t.over.set(&write{key: bytes.Clone(present(key)), value: bytes.Clone(present(value)), due: due})
	return nil
}

func (t *tx) Delete(key []byte) error {
	if t.write && len(key) > store.MaxKey {
		return nil // no record can lie there
	}
	if err := t.writable(key); err != nil {
		return err
	}
	t.over.set(&write{key: bytes.Clone(present(key)), gone: true})
	return nil
}
