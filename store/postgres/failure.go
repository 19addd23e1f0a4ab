package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"pli/store"
)

// lost is the failure of a connection, or to get one: nothing is known of what
// was sent on it last.
type lost struct{ cause error }

func (e *lost) Error() string { return "the server does not answer: " + e.cause.Error() }
func (e *lost) Unwrap() error { return e.cause }

// transient reports a failure after which the same transaction may succeed.
func transient(err error) bool {
	var l *lost
	if errors.As(err, &l) {
		return true
	}
	var p *pgconn.PgError
	if !errors.As(err, &p) {
		return false
	}
	switch p.Code {
	case "40001", "40P01", "40003", // serialization_failure, deadlock_detected, statement_completion_unknown
		"25006",          // read_only_sql_transaction: a primary no more
		"55P03", "57014": // lock_not_available, query_canceled
		return true
	case "53100": // disk_full
		return false
	}
	switch p.Code[:min(len(p.Code), 2)] {
	case "08", "53": // connection_exception, insufficient_resources
		return true
	}
	return strings.HasPrefix(p.Code, "57P") // shutdown, crash, cannot_connect_now
}

// ambiguous reports a failure to commit that does not say whether it was in
// vain. An answer of the server does, unless it is the end of the session.
func ambiguous(err error) bool {
	if pgconn.SafeToRetry(err) {
		return false // nothing was sent
	}
	var l *lost
	if errors.As(err, &l) {
		return true
	}
	return hasCode(err, "40003", "08007") // statement_completion_unknown, transaction_resolution_unknown
}

// asStoreError returns a failure as the seam names it. What the caller's own
// context has ended is that context's.
func asStoreError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("postgres: %w", ctx.Err())
	case transient(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	case hasCode(err, "53100"):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case hasCode(err, damaged...):
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return fmt.Errorf("postgres: %w", err)
}

// patience bounds how long something is tried again.
type patience struct {
	until time.Time
	wait  time.Duration
}

const (
	firstWait   = 2 * time.Millisecond // before the second try; doubled for each other
	longestWait = 100 * time.Millisecond
)

func (db *DB) patience() *patience { return patient(db.cfg.Patience) }

func patient(d time.Duration) *patience {
	return &patience{until: time.Now().Add(d), wait: firstWait}
}

// again waits a little and says whether there is time for another try.
func (p *patience) again(ctx context.Context) bool {
	wait := p.wait/2 + rand.N(p.wait)
	if time.Now().Add(wait).After(p.until) {
		return false
	}
	p.wait = min(2*p.wait, longestWait)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}
