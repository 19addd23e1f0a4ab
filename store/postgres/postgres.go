// Package postgres keeps records in a PostgreSQL database, or in one that
// speaks its protocol and its SQL.
//
// A transaction takes its owner's row for itself, so that two writers of one
// owner follow one another on every machine; it keeps what it writes in memory
// and sends it together with the commit. A function that reads n times costs
// n+1 round trips, the first of which also begins the transaction.
//
// When the connection is lost while a commit is under way, the outcome is
// asked for, not guessed: each transaction leaves a random token in its
// owner's row, and only that row says whether it is there.
//
// What is deleted or replaced stays for a while in dead rows, until PostgreSQL
// clears them away, and for longer in its write-ahead log, in the archive of
// that, in standbys and in base backups: see Scrub.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"pli/store"
)

// Config says where the records are and how patient to be. Zero values mean
// the defaults.
type Config struct {
	// URL is a connection string as libpq takes it. With several hosts it asks
	// for target_session_attrs=read-write, so that it leads to the primary.
	URL string
	// Schema holds the tables (default "pli"): [a-z_][a-z0-9_]*, made if
	// missing. Stores of different schemas may share a database.
	Schema string
	// Conns bounds the connections (default 8 and 4 for each processor).
	Conns int

	// Patience is how long a transaction is tried again while the server is
	// away or others are in its way (default 2 s).
	Patience time.Duration
	// OutcomeWait is how long the outcome of a commit is asked for, once the
	// connection was lost on which it was sent (default 10 s).
	OutcomeWait time.Duration
	// AnswerWait is how long one answer of the server may take (default 30 s),
	// such as that to a commit for which a synchronous standby is missing.
	AnswerWait time.Duration
	// Unsafe accepts a server that may lose commits which it has acknowledged:
	// for tests.
	Unsafe bool

	Log *slog.Logger
}

const connectWait = 3 * time.Second // for a host, where the URL has no connect_timeout

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = "pli"
	}
	if c.Patience <= 0 {
		c.Patience = 2 * time.Second
	}
	if c.OutcomeWait <= 0 {
		c.OutcomeWait = 10 * time.Second
	}
	if c.AnswerWait <= 0 {
		c.AnswerWait = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// pool returns how connections are made and kept.
func (c Config) pool() (*pgxpool.Config, error) {
	p, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("postgres: the database's URL: %w", err)
	}
	switch p.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec:
	default: // answers would come as text
		return nil, fmt.Errorf("postgres: the database's URL: default_query_exec_mode must be cache_statement, cache_describe or describe_exec")
	}
	switch {
	case c.Conns > 0:
		p.MaxConns = int32(c.Conns)
	case !strings.Contains(c.URL, "pool_max_conns"):
		p.MaxConns = int32(8 + 4*runtime.GOMAXPROCS(0))
	}
	if !strings.Contains(c.URL, "connect_timeout") {
		p.ConnConfig.ConnectTimeout = connectWait
	}
	p.PingTimeout = connectWait
	if p.ConnConfig.RuntimeParams["application_name"] == "" {
		p.ConnConfig.RuntimeParams["application_name"] = "pli"
	}
	p.ConnConfig.OnNotice = noteWarning
	var told sync.Once
	p.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return c.inspect(ctx, conn, &told) }
	return p, nil
}

// DB is a store.DB in one schema of a database.
type DB struct {
	cfg   Config
	pool  *pgxpool.Pool
	sql   statements
	turns turns
	stats counters

	mu      sync.Mutex
	running sync.WaitGroup // transactions under way
	closed  bool
}

// Open opens the store, making its schema if there is none. It refuses a
// format that it does not know, and a server that may lose commits.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg = cfg.withDefaults()
	if !validSchema(cfg.Schema) {
		return nil, fmt.Errorf("postgres: %q is no name for a schema: up to 63 of [a-z0-9_], no digit first", cfg.Schema)
	}
	conf, err := cfg.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	db := &DB{cfg: cfg, pool: pool, sql: statementsOf(cfg.Schema)}
	if err := db.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// begin counts a transaction in, unless the store is closed.
func (db *DB) begin() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return store.ErrClosed
	}
	db.running.Add(1)
	return nil
}

// Close waits for running transactions, then closes the connections.
func (db *DB) Close() error {
	db.mu.Lock()
	db.closed = true
	db.mu.Unlock()
	db.running.Wait()
	db.pool.Close()
	return nil
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

// View runs fn on the caller's goroutine, on the state committed when fn first
// reads. Until then nothing is sent, and only until then is a connection that
// fails replaced by another.
func (db *DB) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	if err := db.enter(ctx, owner); err != nil {
		return err
	}
	defer db.running.Done()
	t := db.newTx(ctx, owner, db.patience())
	defer t.end()
	if err := fn(t); err != nil {
		return err
	}
	return t.failed
}

// Update runs fn on the caller's goroutine, once those are done that this
// process began earlier for the same owner.
func (db *DB) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return db.update(ctx, owner, 0, fn)
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
