package s3

import (
	"context"
	"net"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	// idleConns is how many connections are kept for the next requests.
	idleConns = 64
)

// dialer returns a dial function whose connections fail once nothing has moved
// on them for a time, in either direction. So a server that hangs is noticed
// without a limit on how long a large body may take.
func dialer(stall time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: min(dialTimeout, stall)}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &stallConn{conn, stall}, nil
	}
}

type stallConn struct {
	net.Conn
	stall time.Duration
}

// Read puts off the deadline of writes too, and Write that of reads: a read
// waits for the answer all the while that a body is being sent.
func (c *stallConn) Read(p []byte) (int, error) {
	c.SetDeadline(time.Now().Add(c.stall))
	return c.Conn.Read(p)
}

func (c *stallConn) Write(p []byte) (int, error) {
	c.SetDeadline(time.Now().Add(c.stall))
	return c.Conn.Write(p)
}
