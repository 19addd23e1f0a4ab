package notify

import (
	"context"
	"log/slog"
	"time"

	"pli/store"
)

// OutboxConfig is what an Outbox needs.
type OutboxConfig struct {
	DB     store.DB
	Sender Sender
	Now    func() time.Time // required
	Log    *slog.Logger     // default: discards
	// Sent is called after each attempt with the notice's kind and what
	// became of it: "sent", "retry" or "dropped". For metrics; may be nil.
	Sent func(kind, outcome string)

	Batch    int           // notices looked for at once: 64
	Poll     time.Duration // between looks, where nothing woke it: 5 s
	RetryMin time.Duration // after the first failure, doubled after each: 10 s
	RetryMax time.Duration // 1 h
	GiveUp   time.Duration // after the notice was due first: 72 h
	SendTime time.Duration // for one attempt: 30 s
}

// Outbox keeps notices in the store of the owner they are about until they are sent.
type Outbox struct{ cfg OutboxConfig }

// NewOutbox returns an outbox; Run sends.
func NewOutbox(cfg OutboxConfig) *Outbox { return &Outbox{cfg: cfg} }

// Enqueue writes a notice in tx, to be sent at a time or soon after. Notices
// with the same key become one: while one waits, another is not written. key
// is 1 to 200 bytes, opaque, unique within tx's owner.
func (o *Outbox) Enqueue(tx store.Tx, key string, n Notice, at time.Time) error { return nil }

// Run sends what is due until ctx ends; it returns ctx's error.
func (o *Outbox) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
