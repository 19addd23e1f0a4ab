package notify

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	"pli/internal/errs"
	"pli/store"
)

// keyPrefix begins the keys of all records of the outbox.
const keyPrefix = "notify/"

// MaxKey bounds the key of a notice, in bytes.
const MaxKey = 200

// OutboxConfig is what an Outbox needs. Zero values take their defaults.
type OutboxConfig struct {
	DB     store.DB
	Sender Sender
	Now    func() time.Time // required
	Log    *slog.Logger     // default: discards
	// Sent is called after each attempt with the notice's kind and what
	// became of it: "sent", "retry" or "dropped". For metrics; may be nil.
	Sent func(kind, outcome string)

	Batch    int           // due records looked at at once: 64
	Workers  int           // notices sent at the same time: 4
	Poll     time.Duration // between looks where nothing wakes the worker: 5 s
	RetryMin time.Duration // after the first failure, doubled after each: 10 s
	RetryMax time.Duration // 1 h
	GiveUp   time.Duration // after the notice was due first: 72 h
	SendTime time.Duration // for one attempt: 30 s
}

func (c OutboxConfig) withDefaults() OutboxConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Sent == nil {
		c.Sent = func(string, string) {}
	}
	for _, d := range []struct {
		v *int
		d int
	}{{&c.Batch, 64}, {&c.Workers, 4}} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&c.Poll, 5 * time.Second}, {&c.RetryMin, 10 * time.Second}, {&c.RetryMax, time.Hour},
		{&c.GiveUp, 72 * time.Hour}, {&c.SendTime, 30 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	return c
}

// Outbox keeps notices in the store of the owner they are about until they
// are sent, each at least once. One process at a time runs it on a store.
type Outbox struct {
	cfg  OutboxConfig
	wake chan struct{}
}

// NewOutbox returns an outbox; Run sends.
func NewOutbox(cfg OutboxConfig) *Outbox {
	return &Outbox{cfg: cfg.withDefaults(), wake: make(chan struct{}, 1)}
}

// record is a notice as it waits.
type record struct {
	Notice Notice    `cbor:"1,keyasint"`
	First  time.Time `cbor:"2,keyasint"` // when it was due first
	Tries  int       `cbor:"3,keyasint,omitempty"`
}

// Enqueue writes a notice in tx, to be sent at a time or soon after. Notices
// with the same key become one: while one waits, or is being sent, another is
// not written. key is 1 to MaxKey bytes, opaque, unique within tx's owner.
// Errors: errs.Invalid for a bad key or a notice without To; the store's own.
func (o *Outbox) Enqueue(tx store.Tx, key string, n Notice, at time.Time) error {
	if key == "" || len(key) > MaxKey {
		return errs.New(errs.Invalid, "a notice needs a key of 1 to %d bytes", MaxKey)
	}
	if n.To == "" {
		return errs.New(errs.Invalid, "a notice needs someone to go to")
	}
	k := []byte(keyPrefix + key)
	switch _, err := tx.Get(k); {
	case err == nil:
		return nil
	case !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt): // a damaged one could not be sent
		return err
	}
	if err := store.SaveDue(tx, k, record{Notice: n, First: at.UTC()}, at); err != nil {
		return err
	}
	tx.AfterCommit(o.kick)
	return nil
}

// kick makes the worker look, soon and once.
func (o *Outbox) kick() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// isNotice reports whether a due record is one of the outbox's.
func isNotice(key []byte) bool { return bytes.HasPrefix(key, []byte(keyPrefix)) }

// Pending returns how many of at most n due records are notices that wait,
// for metrics and tests.
func (o *Outbox) Pending(ctx context.Context, before time.Time, n int) (int, error) {
	due, err := o.cfg.DB.Due(ctx, before, n)
	count := 0
	for _, d := range due {
		if isNotice(d.Key) {
			count++
		}
	}
	return count, err
}
