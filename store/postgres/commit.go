package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pli/store"
)

// An owner's row holds the tokens of its last transactions, the latest first.
const (
	tokenLen  = 8 // bytes
	tokensMax = 8 // in a row
)

// mark is what a transaction leaves in its owner's row.
type mark struct {
	token [tokenLen]byte
	// before is the token of the transaction before it, nil if there was none.
	before []byte
}

func newMark() *mark {
	m := &mark{}
	rand.Read(m.token[:])
	return m
}

// read takes the owner's row as it is with the mark.
func (m *mark) read(row pgx.Row) error {
	var tokens []byte
	err := row.Scan(&tokens)
	if m.before = nil; len(tokens) >= 2*tokenLen {
		m.before = tokens[tokenLen : 2*tokenLen]
	}
	return err
}

var (
	errUnknown     = errors.New("the outcome is unknown")
	errUnconfirmed = errors.New("no standby has confirmed a commit")
)

// judge says from a later state of the owner's row whether the transaction was
// committed. Others that have followed it may have pushed its token out, and
// only if that of the transaction before it is still there is this one's
// absence a proof.
func (m *mark) judge(tokens []byte) (committed bool, err error) {
	has := func(token []byte) bool {
		for i := 0; i+tokenLen <= len(tokens); i += tokenLen {
			if bytes.Equal(tokens[i:i+tokenLen], token) {
				return true
			}
		}
		return false
	}
	switch {
	case has(m.token[:]):
		return true, nil
	case m.before != nil && has(m.before), m.before == nil && len(tokens) < tokensMax*tokenLen:
		return false, nil
	}
	return false, errUnknown
}

// commit sends what the transaction wrote together with the commit. Once that
// is sent, the caller's context does not keep it from learning the outcome. A
// failure is noted in t.
func (t *tx) commit() error {
	if t.conn == nil {
		if err := t.begin(nil); err != nil {
			return err
		}
	}
	b := t.over.batch(t.db.sql, []byte(t.owner))
	var tag pgconn.CommandTag
	b.Queue(commit).Exec(func(ct pgconn.CommandTag) error { tag = ct; return nil })
	notes := t.conn.Conn().PgConn().CustomData()
	delete(notes, warned)
	err := t.db.send(context.WithoutCancel(t.ctx), t.conn, b)
	switch {
	case err == nil && tag.String() == commit && notes[warned] == nil:
		t.db.stats.commits.Add(1)
		return nil
	case err == nil && tag.String() != commit:
		return t.fail(fmt.Errorf("the server answers a commit with %q", tag))
	case err == nil:
		return t.settle(&lost{errUnconfirmed})
	case ambiguous(err):
		return t.settle(err)
	}
	return t.fail(err)
}

// batch returns the statements that make the database's records what the
// transaction left.
func (o *overlay) batch(sql statements, owner []byte) *pgx.Batch {
	var keys, values, gone [][]byte
	var dues []*int64
	for _, w := range o.writes {
		if w.gone {
			gone = append(gone, w.key)
			continue
		}
		keys, values, dues = append(keys, w.key), append(values, w.value), append(dues, w.due)
	}
	b := &pgx.Batch{}
	if len(gone) > 0 {
		b.Queue(sql.remove, owner, gone)
	}
	if len(keys) > 0 {
		b.Queue(sql.put, owner, keys, values, dues)
	}
	return b
}

// settle finds out what has become of a commit whose answer was lost, or came
// with a warning, and why (cause).
func (t *tx) settle(cause error) error {
	t.db.stats.asked.Add(1)
	t.end()
	committed, err := t.db.outcome(t.ctx, t.owner, t.mark)
	switch {
	case err != nil:
		t.db.cfg.Log.Error("the outcome of a commit is unknown", "owner", t.owner, "cause", cause, "error", err)
		if t.ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		t.failed = fmt.Errorf("%w: the server was lost while it committed: %w", err, errUnknown)
		return t.failed
	case committed:
		t.db.stats.commits.Add(1)
		return nil
	}
	return t.fail(cause)
}

// outcome asks whether the transaction that left a mark was committed. It
// takes the owner's row, for which it waits until the server has ended that
// transaction, and commits: where standbys confirm commits, they then have
// confirmed all that was committed before.
func (db *DB) outcome(ctx context.Context, owner store.Owner, m *mark) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, db.cfg.OutcomeWait)
	defer cancel()
	p := patient(db.cfg.OutcomeWait)
	for {
		tokens, err := db.look(ctx, owner)
		if err == nil {
			return m.judge(tokens)
		}
		if !p.again(ctx) {
			return false, err
		}
	}
}

// look returns the tokens in an owner's row, confirmed as a commit is.
func (db *DB) look(ctx context.Context, owner store.Owner) (tokens []byte, err error) {
	conn, err := db.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { db.rollBack(conn) }()
	notes := conn.Conn().PgConn().CustomData()
	delete(notes, warned)
	b := &pgx.Batch{}
	b.Queue(beginWrite)
	b.Queue(db.sql.lock, []byte(owner), []byte{}).QueryRow(func(row pgx.Row) error { return row.Scan(&tokens) })
	b.Queue(commit)
	if err := db.send(ctx, conn, b); err != nil {
		return nil, err
	}
	if notes[warned] != nil {
		return nil, errUnconfirmed
	}
	return tokens, nil
}
