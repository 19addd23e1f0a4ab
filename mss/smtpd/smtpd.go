// Package smtpd speaks SMTP with peer operators and members, and leaves every
// decision to mss.
//
// go-smtp parses the commands and words the replies. It sees no network: each
// connection is a link, which hands it one complete command line at a time,
// takes the messages (DATA, BDAT) off its hands, and keeps time, size and step.
package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"pli/mss"
	"pli/signin"
)

// Limits of a Server. A zero field takes the default beside it.
type Limits struct {
	MaxConns        int           // connections in all: 20 000
	MaxPerAddress   int           // connections from one network address (IPv6: one /64): 500
	MaxLine         int           // bytes of one command line, its CRLF included: 12 288
	MaxDiscard      int64         // bytes of a refused message that are read to stay in step: 100 000 000
	MaxErrors       int           // replies of 5xx for commands out of order or unknown, before the end: 10
	MaxRefusals     int           // any other replies of 4xx and 5xx: 1000
	MaxIdleCommands int           // commands in a row that bring no message forward: 1000
	MaxAuthFailures int           // sign-ins that fail: 3
	CommandTimeout  time.Duration // to send one whole command: 5 min (RFC 5321 4.5.3.2.7)
	DataTimeout     time.Duration // between two bytes of a message: 3 min
	MinRate         int           // bytes a second that a message comes with, on average: 512
	RateGrace       time.Duration // before the rate counts: 1 min
	WriteTimeout    time.Duration // for one reply: 1 min
	Handshake       time.Duration // for TLS: 30 s
	AuthTime        time.Duration // from the first byte until a member has signed in, or a peer's MAIL is accepted: 2 min
	RecheckEvery    time.Duration // before a message goes on, it is asked whether its sign-in still stands: 10 s
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.MaxConns, 20_000)
	setDefault(&l.MaxPerAddress, 500)
	setDefault(&l.MaxLine, 12_288)
	setDefault(&l.MaxDiscard, 100_000_000)
	setDefault(&l.MaxErrors, 10)
	setDefault(&l.MaxRefusals, 1000)
	setDefault(&l.MaxIdleCommands, 1000)
	setDefault(&l.MaxAuthFailures, 3)
	setDefault(&l.CommandTimeout, 5*time.Minute)
	setDefault(&l.DataTimeout, 3*time.Minute)
	setDefault(&l.MinRate, 512)
	setDefault(&l.RateGrace, time.Minute)
	setDefault(&l.WriteTimeout, time.Minute)
	setDefault(&l.Handshake, 30*time.Second)
	setDefault(&l.AuthTime, 2*time.Minute)
	setDefault(&l.RecheckEvery, 10*time.Second)
	return l
}

func setDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Config says what a Server works on. Service, TLS and Hostname are required,
// Signin for submission.
type Config struct {
	Service  *mss.Service
	Signin   *signin.Service
	TLS      *tls.Config      // certs.ServerTLS; client certificates are asked for besides
	Hostname string           // in greetings
	Now      func() time.Time // default time.Now: its times bound network waits
	Log      *slog.Logger     // default: discards
	Limits   Limits
}

// Server is the SMTP doors of an instance. All methods may run at once.
type Server struct {
	cfg  Config
	tls  *tls.Config
	ctx  context.Context // of every call of the domain; ends when Shutdown gives up waiting
	stop context.CancelFunc

	draining atomic.Bool
	mu       sync.Mutex
	links    map[*link]struct{}
	from     map[netip.Addr]int // connections of each network address
	servers  []*smtp.Server
	doors    []net.Listener
}

// New returns a Server.
func New(cfg Config) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, tls: cfg.TLS.Clone(), links: make(map[*link]struct{}), from: make(map[netip.Addr]int)}
	// Whose certificate it is, and why it is refused, is for mss to say, in a
	// reply that a person can read: a failed handshake says nothing.
	s.tls.ClientAuth = tls.RequestClientCert
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// role is what a port is for.
type role uint8

const (
	roleMX          role = iota // peers, TLS after STARTTLS
	roleSubmission              // members, TLS after STARTTLS
	roleSubmissions             // members, TLS from the first byte
)

// ServeMX serves peer operators on l until Shutdown: STARTTLS first.
func (s *Server) ServeMX(l net.Listener) error { return s.serve(l, roleMX) }

// ServeSubmission serves members on l until Shutdown: TLS from the first byte
// (RFC 8314 3.3) or STARTTLS first (RFC 6409).
func (s *Server) ServeSubmission(l net.Listener, implicitTLS bool) error {
	if implicitTLS {
		return s.serve(l, roleSubmissions)
	}
	return s.serve(l, roleSubmission)
}

func (s *Server) serve(l net.Listener, r role) error {
	limits := s.cfg.Service.Limits()
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return newSession(s, c) }))
	srv.Domain = s.cfg.Hostname
	srv.MaxMessageBytes = limits.MaxMessage
	srv.MaxRecipients = limits.MaxRecipients
	srv.EnableSMTPUTF8, srv.EnableDSN = true, true
	srv.ErrorLog = printer{s.cfg.Log}
	// The link keeps line lengths and time, and there is none without TLS.
	srv.MaxLineLength, srv.AllowInsecureAuth = 0, true
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		l.Close()
		return nil
	}
	s.servers, s.doors = append(s.servers, srv), append(s.doors, l)
	s.mu.Unlock()
	err := srv.Serve(&listener{Listener: l, s: s, role: r})
	if s.draining.Load() {
		return nil
	}
	return err
}

// Shutdown closes the listeners, tells idle clients to come back later, and
// waits for messages on their way to be answered. When ctx ends before that,
// it cuts what is left and returns ctx's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	servers := s.servers
	for _, l := range s.doors {
		l.Close()
	}
	for l := range s.links {
		l.wire.kick()
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	errc := make(chan error, len(servers))
	for _, srv := range servers {
		wg.Go(func() {
			if err := srv.Shutdown(ctx); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				errc <- err
			}
		})
	}
	wg.Wait()
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		l.wire.Close()
	}
	select {
	case err := <-errc:
		return err
	default:
		return nil
	}
}

// Connections returns how many connections are open, for metrics.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links)
}

// printer gives go-smtp a log. What it says of a connection is of no interest;
// a panic is, which it reports with address, value and stack: the value may
// hold content, so that it is told by its type alone.
type printer struct{ log *slog.Logger }

func (p printer) Printf(format string, v ...any) {
	if len(v) > 2 {
		p.log.Error("smtp: panic in a session", "addr", fmt.Sprint(v[0]), "panic", fmt.Sprintf("%T", v[1]), "stack", fmt.Sprintf("%s", v[2]))
		return
	}
	p.log.Debug("a connection ended", "text", fmt.Sprintf(format, v...))
}

func (p printer) Println(v ...any) { p.log.Debug("a connection ended", "text", fmt.Sprint(v...)) }
