package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// Serve accepts connections on l until Shutdown, and then returns nil. With
// implicitTLS a connection begins with a TLS handshake (RFC 8314 3.2); without,
// it must ask for one by STARTTLS and may do nothing before.
func (s *Server) Serve(l net.Listener, implicitTLS bool) error {
	if !s.listen(l) {
		l.Close()
		return net.ErrClosed
	}
	var delay time.Duration
	for {
		c, err := l.Accept()
		if err == nil {
			delay = 0
			go s.admit(c, implicitTLS)
			continue
		}
		if s.isClosing() {
			return nil
		}
		var ne net.Error
		if errors.Is(err, net.ErrClosed) || !errors.As(err, &ne) {
			return err
		}
		// Out of file descriptors, most likely: wait for some to come back.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.cfg.Log.Warn("imap: accept failed", "error", err, "retry", delay)
		select {
		case <-time.After(delay):
		case <-s.stopping:
		}
	}
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// admit takes a connection through limits and TLS, and hands it to the
// library. It runs on a goroutine of its own, whose stack, grown by the
// handshake, is gone when the session begins.
func (s *Server) admit(c net.Conn, implicitTLS bool) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Log.Error("imap: panic before the session", "stack", string(debug.Stack()))
			c.Close()
		}
	}()
	addr := remoteAddr(c)
	if !s.limits.enter(addr) {
		s.cfg.Log.Warn("imap: too many connections", "addr", addr)
		if !implicitTLS {
			c.SetDeadline(s.cfg.Now().Add(time.Second))
			c.Write([]byte("* BYE [UNAVAILABLE] Too many connections\r\n"))
		}
		c.Close()
		return
	}
	g := &guard{srv: s, addr: addr, muted: !implicitTLS}
	if !s.secure(g, c, implicitTLS) || !s.keep(g) {
		s.limits.leave(addr)
		c.Close()
		return
	}
	if !s.handed.hand(g) {
		g.Close()
	}
}

// secure brings TLS up on c for g, within one deadline for all of it.
func (s *Server) secure(g *guard, c net.Conn, implicitTLS bool) bool {
	stop := context.AfterFunc(s.ctx, func() { c.Close() })
	defer stop()
	c.SetDeadline(s.cfg.Now().Add(s.cfg.HandshakeTimeout))
	if !implicitTLS && !startTLS(c) {
		return false
	}
	g.tls = tls.Server(c, s.cfg.TLS)
	if err := g.tls.HandshakeContext(s.ctx); err != nil {
		return false
	}
	c.SetDeadline(time.Time{})
	g.begin()
	return true
}

// keep makes g known to Shutdown; false if that has begun.
func (s *Server) keep(g *guard) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.guards[g] = struct{}{}
	return true
}

// forget is the end of g.
func (s *Server) forget(g *guard) {
	s.mu.Lock()
	_, known := s.guards[g]
	delete(s.guards, g)
	if s.closing && known && len(s.guards) == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	if known {
		s.limits.leave(g.addr)
	}
}

// Shutdown stops listening, tells every client that waits BYE, lets commands
// that run come to their end, and returns when all sessions are closed. When
// ctx ends first, what is left is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.stopping)
		for l := range s.listeners {
			l.Close()
		}
		if len(s.guards) == 0 {
			close(s.idle)
		}
	}
	left := s.open()
	s.mu.Unlock()
	for _, g := range left {
		go g.bye()
	}
	var err error
	select {
	case <-s.idle:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cancel()
	s.mu.Lock()
	left = s.open()
	s.mu.Unlock()
	for _, g := range left {
		g.cut()
	}
	s.handed.Close()
	return err
}

// open returns the guards that are left; s.mu is held.
func (s *Server) open() []*guard {
	all := make([]*guard, 0, len(s.guards))
	for g := range s.guards {
		all = append(all, g)
	}
	return all
}

// handoff is the listener that the library accepts from: guards only.
type handoff struct {
	conns chan *guard
	done  chan struct{}
	once  sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan *guard), done: make(chan struct{})}
}

// hand gives g to the library; false after Close.
func (h *handoff) hand(g *guard) bool {
	select {
	case h.conns <- g:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case g := <-h.conns:
		return g, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }
