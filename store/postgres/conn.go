package postgres

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// unsafeServer says why commits on a server are not what they should be.
type unsafeServer struct{ setting, value, remedy string }

func (e *unsafeServer) Error() string {
	return fmt.Sprintf("postgres: the server has %s = %s, so that it may lose what it has acknowledged: %s", e.setting, e.value, e.remedy)
}

// settings are what a server says of itself; one that does not know a setting
// says nothing. A session that holds its owner's row and is heard of no more,
// its machine being gone, is ended after a while.
const settings = `SELECT coalesce(current_setting('fsync', true), ''),
	coalesce(current_setting('full_page_writes', true), ''),
	coalesce(current_setting('synchronous_commit', true), ''),
	set_config('idle_in_transaction_session_timeout', CASE coalesce(current_setting('idle_in_transaction_session_timeout', true), '0')
		WHEN '0' THEN '300s' ELSE current_setting('idle_in_transaction_session_timeout') END, false)`

// inspect looks at the server behind a new connection: each of them, as after
// a failover it is another one. What is worth a warning is told once.
func (c Config) inspect(ctx context.Context, conn *pgx.Conn, told *sync.Once) error {
	var fsync, fullPages, commit, idle string
	err := conn.QueryRow(ctx, settings, pgx.QueryExecModeSimpleProtocol).Scan(&fsync, &fullPages, &commit, &idle)
	if err != nil || c.Unsafe {
		return err
	}
	switch {
	case fsync == "off":
		return &unsafeServer{"fsync", fsync, "switch it on"}
	case fullPages == "off":
		return &unsafeServer{"full_page_writes", fullPages, "switch it on"}
	case commit == "off":
		return &unsafeServer{"synchronous_commit", commit, "switch it on for this database or role"}
	case commit == "local" || commit == "remote_write":
		told.Do(func() {
			c.Log.Warn("PostgreSQL acknowledges what a synchronous standby, if there is one, may not have on disk", "synchronous_commit", commit)
		})
	}
	return nil
}

const warned = "pli.warned" // in a connection's custom data: a warning has come

// noteWarning remembers that the server has warned: it does so when it
// acknowledges a commit for which the wait for a standby was given up.
func noteWarning(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" || n.SeverityUnlocalized == "" {
		conn.CustomData()[warned] = true
	}
}

// acquire returns a connection; a failure is a lost one, or the context's.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := db.pool.Acquire(ctx)
	if err == nil {
		return conn, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, &lost{err}
}

// send sends a batch and has its functions take the answers.
func (db *DB) send(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, db.cfg.AnswerWait)
	defer cancel()
	err := conn.SendBatch(ctx, b).Close()
	if err != nil && conn.Conn().IsClosed() {
		return &lost{err}
	}
	return err
}

// once runs fn on a connection of its own.
func (db *DB) once(ctx context.Context, fn func(context.Context, *pgx.Conn) error) error {
	conn, err := db.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	answer, cancel := context.WithTimeout(ctx, db.cfg.AnswerWait)
	defer cancel()
	if err = fn(answer, conn.Conn()); err != nil && conn.Conn().IsClosed() {
		return &lost{err}
	}
	return err
}

// retry runs fn, which may run again, on connections of its own for as long as
// one has patience.
func (db *DB) retry(ctx context.Context, fn func(context.Context, *pgx.Conn) error) error {
	p := db.patience()
	for {
		err := db.once(ctx, fn)
		if err == nil || !transient(err) || !p.again(ctx) {
			return asStoreError(ctx, err)
		}
	}
}

// rollBack ends the transaction of a connection, if it is in one, and gives it
// back, without having anybody wait.
func (db *DB) rollBack(conn *pgxpool.Conn) {
	if pg := conn.Conn().PgConn(); pg.IsClosed() || pg.TxStatus() == 'I' {
		conn.Release()
		return
	}
	go func() {
		defer conn.Release()
		ctx, cancel := context.WithTimeout(context.Background(), db.cfg.AnswerWait)
		defer cancel()
		conn.Conn().PgConn().Exec(ctx, rollback).Close() // a connection on which that fails is closed
	}()
}
