// Package mss is the law of the trusted messaging space: who may write to
// whom, and what becomes of a message.
//
// A face opens a Transaction for a peer operator or a signed-in member, gives
// it the recipients and the message, and turns the Refusal that it gets back
// outward. When Data returns nil the message is durable for all recipients.
package mss

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"pli/certs"
	"pli/certs/keyring"
	"pli/consent"
	"pli/mailbox"
	"pli/mss/directory"
	"pli/space"
	"pli/store"
)

// Limits of the messaging space. A zero field takes the default beside it.
type Limits struct {
	MaxMessage    int64         // bytes of one message as it arrives: 25 000 000
	MaxHeader     int           // bytes of its header: 1 MiB
	MaxReceived   int           // Received fields, past which it goes round in circles: 50
	MaxRecipients int           // of one message: 100
	UnknownShare  float64       // of unknown holders among a sender's different holder recipients, above which it is paused: 0.3
	UnknownLeast  int           // different holder recipients before the share counts: 20
	UnknownMost   int           // different unknown holders, past which a sender is paused whatever the share: 1000
	UnknownWindow time.Duration // over which it is taken: 1 h
	UnknownPause  time.Duration // how long holder addresses are then put off: 15 min
	RepeatDays    int           // days for which a repeat adds nothing: 7

	// RepeatWithoutID is the same for a message that came without Message-ID,
	// which a second one may equal byte by byte: 10 min.
	RepeatWithoutID time.Duration

	RefusalFloor time.Duration // every refusal of a holder takes a multiple of this: 40 ms
	PeerLife     time.Duration // how long a checked certificate is not checked again: 1 min
	MaxOpeners   int           // senders that one exchange remembers as having opened it: 16
	MaxTraces    int           // refusals waiting for their trace line: 1024
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.MaxMessage, 25_000_000)
	setDefault(&l.MaxHeader, 1<<20)
	setDefault(&l.MaxReceived, 50)
	setDefault(&l.MaxRecipients, 100)
	setDefault(&l.UnknownShare, 0.3)
	setDefault(&l.UnknownLeast, 20)
	setDefault(&l.UnknownMost, 1000)
	setDefault(&l.UnknownWindow, time.Hour)
	setDefault(&l.UnknownPause, 15*time.Minute)
	setDefault(&l.RepeatDays, 7)
	setDefault(&l.RepeatWithoutID, 10*time.Minute)
	setDefault(&l.RefusalFloor, 40*time.Millisecond)
	setDefault(&l.PeerLife, time.Minute)
	setDefault(&l.MaxOpeners, 16)
	setDefault(&l.MaxTraces, 1024)
	return l
}

func setDefault[T int | int64 | float64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Recipients tells to whom an account's mail is sealed; *signin.Service does.
type Recipients interface {
	Recipient(ctx context.Context, owner store.Owner) (keyring.Recipient, error)
}

// Config says what a Service works on. All but Filer, Product, Log and the
// limits are required.
type Config struct {
	DB        store.DB // the sealed records that Gate and Mail work on
	Spaces    *space.Service
	Directory *directory.Directory
	Mail      *mailbox.Service
	Gate      *consent.Gate
	Signin    Recipients
	Filer     Filer // nil: nothing can be filed
	Trust     *certs.Trust
	Secret    [32]byte // of keyed digests (sealed.Master.Derive)
	Hostname  string   // in Received lines; our authserv-id (RFC 8601 2.5)
	Product   string   // X-MSS-NIL of submitted messages that carry none; "" adds none
	Now       func() time.Time
	Log       *slog.Logger // default: discards
	Limits    Limits

	// RepliesOnly lets holders answer a message, and not write anew to whoever
	// wrote to them (mission D2). Only messages delivered while it is set can
	// be answered then.
	RepliesOnly bool
}

// Service is the messaging space of one instance. All methods may run at once.
type Service struct {
	cfg    Config
	shares shares
	peers  peerCache
	stats  counters
	chunks sync.Pool // of *[chunkSize]byte

	tracing sync.RWMutex // held to send, or to close
	closed  bool
	traces  chan func(context.Context)
	done    sync.WaitGroup
}

// New returns a Service; Close ends it.
func New(cfg Config) *Service {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, traces: make(chan func(context.Context), cfg.Limits.MaxTraces)}
	s.shares.init(cfg.Limits)
	s.done.Add(1)
	go s.runTraces()
	return s
}

// Limits returns the limits in force.
func (s *Service) Limits() Limits { return s.cfg.Limits }

// Close writes the trace lines that wait, until ctx ends. Refusals after it
// are traced no more.
func (s *Service) Close(ctx context.Context) error {
	s.tracing.Lock()
	if !s.closed {
		s.closed = true
		close(s.traces)
	}
	s.tracing.Unlock()
	ended := make(chan struct{})
	go func() { s.done.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// traceTimeout bounds the writing of one trace line.
const traceTimeout = 10 * time.Second

// runTraces writes the lines of refused attempts one after another, so that no
// refusal waits for its own.
func (s *Service) runTraces() {
	defer s.done.Done()
	for write := range s.traces {
		ctx, cancel := context.WithTimeout(context.Background(), traceTimeout)
		write(ctx)
		cancel()
	}
}

// traceLater queues a trace line off the reply path.
func (s *Service) traceLater(write func(context.Context) error) {
	line := func(ctx context.Context) {
		if err := write(ctx); err != nil {
			s.cfg.Log.Error("a refused attempt could not be traced", "error", err)
		}
	}
	s.tracing.RLock()
	defer s.tracing.RUnlock()
	if s.closed {
		s.cfg.Log.Error("a refused attempt was not traced: the service is closed")
		return
	}
	select {
	case s.traces <- line:
	default:
		s.cfg.Log.Error("a refused attempt was not traced: too many wait")
	}
}
