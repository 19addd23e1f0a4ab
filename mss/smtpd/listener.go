package smtpd

import (
	"net"
	"time"
)

// listener hands go-smtp links instead of connections, as many as the limits
// allow.
type listener struct {
	net.Listener
	s    *Server
	role role
}

// Accept waits for a connection that is let in.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if link, reply := l.s.admit(c, l.role); link != nil {
			return link, nil
		} else if l.role != roleSubmissions {
			c.SetWriteDeadline(l.s.cfg.Now().Add(time.Second))
			c.Write([]byte(reply))
		}
		c.Close()
	}
}

// admit makes a link of a connection, or says why not.
func (s *Server) admit(c net.Conn, r role) (*link, string) {
	l := newLink(s, c, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining.Load():
		return nil, "421 4.3.2 shutting down\r\n"
	case len(s.links) >= s.cfg.Limits.MaxConns:
		return nil, "421 4.3.2 too many connections; try again later\r\n"
	case s.from[l.from] >= s.cfg.Limits.MaxPerAddress:
		return nil, "421 4.7.0 too many connections from your address; try again later\r\n"
	}
	s.links[l] = struct{}{}
	s.from[l.from]++
	return l, ""
}

// release forgets a link that has ended.
func (s *Server) release(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.links[l]; !ok {
		return
	}
	delete(s.links, l)
	if s.from[l.from]--; s.from[l.from] <= 0 {
		delete(s.from, l.from)
	}
}

// hostOf returns the network address that a connection comes from.
func hostOf(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return host
}
