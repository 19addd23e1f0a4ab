// Package smtpd speaks SMTP with peer operators and members.
package smtpd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"pli/mss"
	"pli/signin"
)

// Limits of a Server. A zero field takes the default beside it.
type Limits struct {
	MaxPerAddress int // connections from one address to one port: 200
}

// Config says what a Server works on.
type Config struct {
	Service  *mss.Service
	Signin   *signin.Service
	TLS      *tls.Config
	Hostname string
	Now      func() time.Time
	Log      *slog.Logger
	Limits   Limits
}

// Server is the SMTP doors of an instance.
type Server struct{ cfg Config }

// New returns a Server.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// ServeMX serves peer operators until Shutdown.
func (s *Server) ServeMX(l net.Listener) error { return nil }

// ServeSubmission serves members until Shutdown.
func (s *Server) ServeSubmission(l net.Listener, implicitTLS bool) error { return nil }

// Shutdown ends the server.
func (s *Server) Shutdown(ctx context.Context) error { return nil }
