package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"pli/internal/source"
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
		case <-s.admitCtx.Done():
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
	addr := source.Of(c)
	switch {
	case !s.count():
		c.Close()
		return
	case !s.limits.enter(addr):
		s.cfg.Log.Warn("imap: too many connections", "addr", addr)
		if !implicitTLS {
			c.SetDeadline(s.cfg.Now().Add(time.Second))
			c.Write([]byte("* BYE [UNAVAILABLE] Too many connections\r\n"))
		}
		c.Close()
		s.uncount()
		return
	}
	g := &guard{srv: s, addr: addr, muted: !implicitTLS}
	if !s.secure(g, c, implicitTLS) {
		c.Close()
		s.limits.leave(addr)
		s.uncount()
		return
	}
	s.keep(g)
	if !s.handed.hand(g) {
		g.Close()
	}
}

// secure brings TLS up on c for g, within one deadline for all of it.
func (s *Server) secure(g *guard, c net.Conn, implicitTLS bool) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			s.cfg.Log.Error("imap: panic before the session", "stack", string(debug.Stack()))
			ok = false
		}
	}()
	stop := context.AfterFunc(s.admitCtx, func() { c.Close() })
	defer stop()
	c.SetDeadline(s.cfg.Now().Add(s.cfg.HandshakeTimeout))
	if !implicitTLS && !startTLS(c) {
		return false
	}
	g.tls = tls.Server(c, s.cfg.TLS)
	if err := g.tls.HandshakeContext(s.admitCtx); err != nil {
		return false
	}
	c.SetDeadline(time.Time{})
	g.begin()
	return true
}

// count counts a connection; false if Shutdown has begun.
func (s *Server) count() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.open++
	}
	return !s.closing
}

func (s *Server) uncount() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open--; s.closing && s.open == 0 {
		close(s.idle)
	}
}

// keep makes g known to Shutdown.
func (s *Server) keep(g *guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guards[g] = struct{}{}
	if s.closing {
		g.leave = goingDown // then its first command is its last moment
	}
}

// forget is the end of g, which may come to it twice.
func (s *Server) forget(g *guard) {
	s.mu.Lock()
	_, known := s.guards[g]
	delete(s.guards, g)
	s.mu.Unlock()
	if known {
		s.limits.leave(g.addr)
		s.uncount()
	}
}

// Shutdown stops listening, tells every client that waits BYE, lets commands
// that run come to their end, and returns when all connections are closed.
// When ctx ends first, what is left is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		for l := range s.listeners {
			l.Close()
		}
		if s.open == 0 {
			close(s.idle)
		}
	}
	s.mu.Unlock()
	s.stop()
	for _, g := range s.left() {
		go g.bye(goingDown)
	}
	var err error
	select {
	case <-s.idle:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cancel()
	for _, g := range s.left() {
		g.cut()
	}
	s.handed.Close()
	return err
}

// left returns the guards that are left.
func (s *Server) left() []*guard {
	s.mu.Lock()
	defer s.mu.Unlock()
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
