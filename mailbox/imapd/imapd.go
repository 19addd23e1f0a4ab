// Package imapd speaks IMAP to mail clients.
//
// It is a face: it parses a command, makes one call of the mailbox, and
// translates the answer (RFC 9051, and RFC 3501 for older clients). It decides
// nothing about mail.
//
// The protocol itself is go-imap's imapserver. That library sits behind a
// guard (see guard): every byte a client sends under TLS is framed by this
// package first, into whole commands within named limits, and the library is
// handed one finished command line at a time. It never meets a literal, but
// for the message of an APPEND that it has agreed to; so nothing that it
// refuses can be taken for the next command.
package imapd

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/mailbox"
	"pli/signin"
	"pli/store"
)

// SignIn opens the door to a mail client: *signin.Service.
type SignIn interface {
	// Mail signs in with an address and a mail password. errs.Unauthenticated
	// says that the pair is wrong, and no more.
	Mail(ctx context.Context, address, password string) (*signin.Opened, error)
	// Watch calls end once, on a goroutine of its own, when a slot of an
	// account is taken away, until stop.
	Watch(account store.Owner, slot string, end func()) (stop func())
	// Holds returns nil while a slot opens an account.
	Holds(ctx context.Context, account store.Owner, slot string) error
}

// Config says what a Server works on and where its limits are. A zero limit is
// replaced by the default named beside it.
type Config struct {
	Mail   *mailbox.Service
	Signin SignIn
	TLS    *tls.Config      // with a certificate; required
	Now    func() time.Time // the clock; required
	Log    *slog.Logger     // required

	MaxConnections int // open at once: 16 384
	MaxSigningIn   int // of these, not signed in yet: 1 024
	MaxPerAddress  int // of one address (IPv6: one /64): 2 048
	MaxNewPerAddr  int // of these, not signed in yet: 128
	MaxPerAccount  int // signed in to one account: 1 024

	MaxPreAuth  int   // bytes of one command before sign-in, literals included: 8 KiB
	MaxCommand  int   // bytes of one command after it, literals included but for APPEND's message: 32 KiB; at most 48 KiB
	MaxAppend   int64 // bytes of a message given by APPEND: 26 214 400 (25 MiB)
	MaxDepth    int   // parentheses, NOT and OR within each other: 32
	MaxSections int   // sections of the body in one FETCH: 64
	MaxFailures int   // failed sign-ins of one connection: 3

	HandshakeTimeout time.Duration // STARTTLS and the TLS handshake: 15 s
	SignInTimeout    time.Duration // from the handshake to the sign-in: 1 min
	CommandTimeout   time.Duration // from a command's first byte to its last: 1 min
	IdleTimeout      time.Duration // between commands, and within IDLE: 35 min (RFC 9051 5.4: at least 30)
	StallTimeout     time.Duration // without one byte of an APPEND's message: 1 min
	WriteTimeout     time.Duration // until the client takes the next bytes: 1 min
	RecheckEvery     time.Duration // before a command, or a word within IDLE, asks whether the sign-in still stands: 10 s
	MinRate          int64         // bytes a second of an APPEND's message, on the whole: 2 048

	// A failed sign-in is answered after FailureDelay, the next of the same
	// address and account after twice that, and so on up to FailureDelayMax;
	// FailureMemory after the last one it is forgotten. One that succeeds does
	// not wait.
	FailureDelay    time.Duration // 200 ms
	FailureDelayMax time.Duration // 30 s
	FailureMemory   time.Duration // 15 min
	MaxFailureKeys  int           // pairs remembered: 16 384
}

func set[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// withDefaults returns c with its zero limits replaced.
func (c Config) withDefaults() Config {
	set(&c.MaxConnections, 16_384)
	set(&c.MaxSigningIn, 1_024)
	set(&c.MaxPerAddress, 2_048)
	set(&c.MaxNewPerAddr, 128)
	set(&c.MaxPerAccount, 1_024)
	set(&c.MaxPreAuth, 8<<10)
	set(&c.MaxCommand, 32<<10)
	c.MaxCommand = min(c.MaxCommand, 48<<10) // the library itself stops at 50 KiB
	set(&c.MaxAppend, 25<<20)
	set(&c.MaxDepth, 32)
	set(&c.MaxSections, 64)
	set(&c.MaxFailures, 3)
	set(&c.HandshakeTimeout, 15*time.Second)
	set(&c.SignInTimeout, time.Minute)
	set(&c.CommandTimeout, time.Minute)
	set(&c.IdleTimeout, 35*time.Minute)
	set(&c.StallTimeout, time.Minute)
	set(&c.WriteTimeout, time.Minute)
	set(&c.RecheckEvery, 10*time.Second)
	set(&c.MinRate, 2048)
	set(&c.FailureDelay, 200*time.Millisecond)
	set(&c.FailureDelayMax, 30*time.Second)
	set(&c.FailureMemory, 15*time.Minute)
	set(&c.MaxFailureKeys, 16_384)
	return c
}

// Server serves IMAP. Its methods may run at once.
type Server struct {
	cfg      Config
	inner    *imapserver.Server
	handed   *handoff
	ctx      context.Context // ends when sessions must
	cancel   context.CancelFunc
	admitCtx context.Context // ends when Shutdown begins
	stop     context.CancelFunc
	throttle *throttle
	limits   *limits
	gather   sync.Pool // of *bufio.Writer

	mu        sync.Mutex
	closing   bool
	listeners map[net.Listener]struct{}
	guards    map[*guard]struct{} // connections with TLS up
	open      int                 // connections, those without TLS yet included
	idle      chan struct{}       // closed when closing and no connection is left
}

// New returns a Server that listens to nothing yet.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if cfg.Mail == nil || cfg.Signin == nil || cfg.TLS == nil || cfg.Now == nil || cfg.Log == nil {
		return nil, errors.New("imapd: Mail, Signin, TLS, Now and Log are required")
	}
	s := &Server{
		cfg:       cfg,
		handed:    newHandoff(),
		throttle:  newThrottle(cfg),
		limits:    newLimits(cfg),
		listeners: make(map[net.Listener]struct{}),
		guards:    make(map[*guard]struct{}),
		idle:      make(chan struct{}),
	}
	s.gather.New = func() any { return bufio.NewWriterSize(nil, gatherSize) }
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.admitCtx, s.stop = context.WithCancel(s.ctx)
	s.inner = imapserver.New(&imapserver.Options{
		NewSession: s.newSession,
		Caps:       capabilities(),
		Logger:     libraryLog{cfg.Log},
		// The library looks for a *tls.Conn, and what it is given is a guard
		// above one. Nothing but a guard reaches it: see handoff, newSession.
		InsecureAuth: true,
	})
	go s.inner.Serve(s.handed)
	return s, nil
}

// capabilities is what the server can do besides what the library always
// offers (ENABLE, IDLE, LITERAL-, SASL-IR, UNSELECT, UTF8=ACCEPT). LITERAL+
// must never stand here.
func capabilities() imap.CapSet {
	return imap.CapSet{
		imap.CapIMAP4rev1:        {},
		imap.CapIMAP4rev2:        {},
		imap.CapNamespace:        {}, // RFC 2342
		imap.CapUIDPlus:          {}, // RFC 4315
		imap.CapESearch:          {}, // RFC 4731
		imap.CapSearchRes:        {}, // RFC 5182
		imap.CapListExtended:     {}, // RFC 5258
		imap.CapListStatus:       {}, // RFC 5819
		imap.CapMove:             {}, // RFC 6851
		imap.CapStatusSize:       {}, // RFC 8438
		imap.CapChildren:         {}, // RFC 3348
		imap.CapSpecialUse:       {}, // RFC 6154
		imap.CapCreateSpecialUse: {}, // RFC 6154
		imap.CapUnauthenticate:   {}, // RFC 8437
	}
}

// Stats is how a Server stands.
type Stats struct {
	Connections int // open, signed in or not
	SignedIn    int
}

// Stats returns how s stands now.
func (s *Server) Stats() Stats { return s.limits.stats() }
