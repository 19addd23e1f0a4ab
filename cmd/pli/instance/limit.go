package instance

import (
	"net"
	"net/netip"
	"sync"

	"pli/internal/source"
)

// maxWebConns bounds the portal's connections, in all: some 40 kB each. Of one
// source there are at most limits.connections_per_source, and half of all.
const maxWebConns = 10_000

// limit returns l with at most so many connections open at once, in all and of
// one source (an IPv4 address, an IPv6 /64). One too many is closed at once:
// those who wait in the kernel's queue would only wait longer.
func limit(l net.Listener, most, perSource int) net.Listener {
	return &limitedListener{Listener: l, most: most, perSource: min(perSource, most/2), of: make(map[netip.Addr]int)}
}

type limitedListener struct {
	net.Listener
	most, perSource int

	mu   sync.Mutex
	open int
	of   map[netip.Addr]int
}

// Accept waits for a connection that is let in.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if from := source.Of(c); l.enter(from) {
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		c.Close()
	}
}

func (l *limitedListener) enter(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.most || l.of[from] >= l.perSource {
		return false
	}
	l.open++
	l.of[from]++
	return true
}

func (l *limitedListener) leave(from netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.of[from]--; l.of[from] <= 0 {
		delete(l.of, from)
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

// Close closes and makes room.
func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
