package consent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pli/audit"
	"pli/identity"
	"pli/internal/errs"
	"pli/notify"
	"pli/space"
	"pli/store"
)

// ErrNothing, returned by the function given to Do, says that the act adds
// nothing to what is there: nothing is written nor traced, and Do returns nil.
var ErrNothing = errors.New("consent: nothing to do")

// Outbox takes what holders are told; *notify.Outbox is one. Notices of the
// same key become one while one waits.
type Outbox interface {
	Enqueue(tx store.Tx, key string, n notify.Notice, at time.Time) error
}

// Config says what a Gate works on. DB and Now are required.
type Config struct {
	DB     store.DB
	Now    func() time.Time
	Log    *slog.Logger // default: discards
	Outbox Outbox       // nil: holders are not told

	// TellAfter is how long a notice waits for others to become one with it.
	// Default: 1 minute.
	TellAfter time.Duration
	// Words returns the subject and body of a notice of a kind: KindMessage,
	// KindDocument, KindAccess, KindNearlyFull or KindFull. No health content, no name. Default: French
	// and English sentences.
	Words func(kind string) (subject, body string)
	// FailTime bounds the writing of a failed act's line, which goes on when
	// the caller has gone. Default: 10 seconds.
	FailTime time.Duration
}

// Gate is the only door to a space. All methods may run at once.
type Gate struct{ cfg Config }

// NewGate returns a Gate on the given parts.
func NewGate(cfg Config) *Gate {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.TellAfter == 0 {
		cfg.TellAfter = time.Minute
	}
	if cfg.Words == nil {
		cfg.Words = words
	}
	if cfg.FailTime == 0 {
		cfg.FailTime = 10 * time.Second
	}
	return &Gate{cfg: cfg}
}

// failure carries an error of the act's own function out of the transaction.
type failure struct {
	cause error
	rule  string
}

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// Do decides whether actor may do what req asks, runs fn if so, and writes the
// trace, all in one transaction on the space's records: there is no act
// without its line, and no "permit" line without its act.
//
// A refusal leaves its line alone and is an error of kind Denied, or NotFound
// where the refusal itself would tell too much. When fn returns an error, what
// it wrote is undone, a line of its own says so ("deny" for an error of kind
// Denied, else "fail"), and Do returns the error as it is; but for ErrNothing,
// which undoes, traces nothing and returns nil. Where there is no such space
// nothing is traced, and the error is of kind NotFound.
//
// fn may run more than once and on another goroutine; it touches nothing but
// tx and variables it sets anew. The actor must have been authenticated.
func (g *Gate) Do(ctx context.Context, actor identity.Actor, req Request, fn func(tx store.Tx) error) error {
	var refused error
	err := g.update(ctx, req.Space, func(tx store.Tx) (err error) {
		refused, err = g.try(tx, actor, req, fn)
		return err
	})
	var failed *failure
	switch {
	case err == nil:
		return refused
	case !errors.As(err, &failed):
		return err // of the store: undone, or, if ctx ended, unknown
	case errors.Is(failed.cause, ErrNothing):
		return nil
	}
	return g.traceFailure(ctx, actor, req, failed)
}

// try is one run of the transaction. It returns the refusal apart from the
// errors that undo.
func (g *Gate) try(tx store.Tx, actor identity.Actor, req Request, fn func(tx store.Tx) error) (refused, err error) {
	contact, facts, err := gather(tx, actor, req)
	if err != nil {
		return nil, err
	}
	line := g.line(actor, req)
	d := Decide(facts)
	line.Rule = d.Rule
	if !d.Permit {
		line.Outcome, line.Reason = audit.Deny, d.Reason
		if d.Hidden {
			line.Title, line.Detail = "", nil
		}
		_, err := audit.Append(tx, line)
		return d.refusal(), err
	}
	if err := fn(tx); err != nil {
		return nil, &failure{err, d.Rule}
	}
	line.Outcome = audit.Permit
	if _, err := audit.Append(tx, line); err != nil {
		return nil, err
	}
	return nil, g.tell(tx, contact, facts)
}

// refusal returns the error that a refused actor gets.
func (d Decision) refusal() error {
	if d.Hidden {
		return errs.New(errs.NotFound, "%s", d.Reason)
	}
	return errs.New(errs.Denied, "%s", d.Reason)
}

// gather reads the facts that a decision rests on, and where the holder is told.
func gather(tx store.Tx, actor identity.Actor, req Request) (contact string, f Facts, err error) {
	state, contact, err := space.StateOf(tx)
	if err != nil {
		return "", Facts{}, err
	}
	doc := req.Document
	if req.Load != nil {
		if doc, err = req.Load(tx); errs.Is(err, errs.NotFound) {
			doc = nil
		} else if err != nil {
			return "", Facts{}, err
		}
	}
	return contact, Facts{
		Actor: actor, Relation: Relate(actor, tx.Owner(), doc), Act: req.Act,
		State: state, Mode: req.Mode, Document: doc,
	}, nil
}

// line returns the trace line of a request, without its outcome.
func (g *Gate) line(actor identity.Actor, req Request) audit.Entry {
	return audit.Entry{At: g.cfg.Now(), Actor: actor, Act: string(req.Act),
		Object: req.Object, Title: req.Title, Detail: req.Detail}
}

// traceFailure writes the line of an act whose function failed and was undone,
// and returns its error.
func (g *Gate) traceFailure(ctx context.Context, actor identity.Actor, req Request, f *failure) error {
	line := g.line(actor, req)
	line.Rule, line.Outcome, line.Reason = f.rule, audit.Fail, errs.KindOf(f.cause).String()
	if errs.Is(f.cause, errs.Denied) {
		line.Outcome, line.Reason = audit.Deny, errs.Public(f.cause)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.FailTime)
	defer cancel()
	err := g.cfg.DB.Update(ctx, req.Space, func(tx store.Tx) error {
		_, err := audit.Append(tx, line)
		return err
	})
	if err != nil {
		g.cfg.Log.Error("a failed act could not be traced", "space", req.Space, "act", req.Act, "error", err)
	}
	return f.cause
}

// Trace writes the line of an attempt that was refused (audit.Deny) or failed
// (audit.Fail) outside the gate, for a reason fit for the holder to read.
//
// Errors: Invalid for another outcome; NotFound if there is no such space.
func (g *Gate) Trace(ctx context.Context, actor identity.Actor, req Request, outcome audit.Outcome, reason string) error {
	if outcome != audit.Deny && outcome != audit.Fail {
		return errs.New(errs.Invalid, "only the gate itself traces outcome %q", outcome)
	}
	return g.update(ctx, req.Space, func(tx store.Tx) error {
		if _, _, err := space.StateOf(tx); err != nil {
			return err
		}
		line := g.line(actor, req)
		line.Outcome, line.Reason = outcome, reason
		_, err := audit.Append(tx, line)
		return err
	})
}

// update is a transaction on a space's records, and on no other owner's.
func (g *Gate) update(ctx context.Context, owner store.Owner, fn func(tx store.Tx) error) error {
	if !space.IsSpace(owner) {
		return errs.New(errs.NotFound, "there is no such space")
	}
	return g.cfg.DB.Update(ctx, owner, fn)
}
