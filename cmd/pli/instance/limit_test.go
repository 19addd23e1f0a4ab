package instance

import (
	"fmt"
	"net"
	"testing"
)

// fakeListener hands out connections that come from where they are told to.
type fakeListener struct {
	net.Listener
	next chan *fakeConn
}

func (l *fakeListener) Accept() (net.Conn, error) {
	c, ok := <-l.next
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

type fakeConn struct {
	net.Conn
	from   string
	closed int
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 1}
}

func (c *fakeConn) Close() error { c.closed++; return nil }

// The portal's connections are bounded, in all and by source, and one that
// closes makes room once.
func TestLimit(t *testing.T) {
	t.Parallel()
	inner := &fakeListener{next: make(chan *fakeConn, 20)}
	l := limit(inner, 6, 2)
	try := func(from string) net.Conn {
		t.Helper()
		c := &fakeConn{from: from}
		inner.next <- c
		witness := &fakeConn{from: "203.0.113.255"} // comes next, if c was refused
		inner.next <- witness
		got, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got.(*limitedConn).Conn == net.Conn(c) {
			if next := <-inner.next; next != witness {
				t.Fatal("out of order")
			}
			return got
		}
		if c.closed != 1 {
			t.Errorf("%s: refused and not closed", from)
		}
		got.Close()
		return nil
	}
	first := try("192.0.2.1")
	if first == nil || try("::ffff:192.0.2.1") == nil {
		t.Error("two of one source are too many")
	}
	if try("192.0.2.1") != nil {
		t.Error("a third of one source got through")
	}
	first.Close()
	first.Close()
	if try("192.0.2.1") == nil || try("192.0.2.1") != nil {
		t.Error("one that closed does not make room for one")
	}
	if try("2001:db8::1") == nil || try("2001:db8::ffff:1") == nil || try("2001:db8:0:0:9::1") != nil || try("2001:db8:0:1::1") == nil {
		t.Error("an IPv6 network is not one source")
	}
	// Five are open, so the sixth is the last.
	last, none := &fakeConn{from: "198.51.100.1"}, &fakeConn{from: "198.51.100.2"}
	inner.next <- last
	inner.next <- none
	close(inner.next)
	if c, err := l.Accept(); err != nil || c.(*limitedConn).Conn != net.Conn(last) {
		t.Errorf("the sixth: %v", err)
	}
	if _, err := l.Accept(); err == nil || none.closed != 1 {
		t.Errorf("a seventh got through: %v", err)
	}
}

// No source takes more than half of all.
func TestLimitLeavesRoom(t *testing.T) {
	t.Parallel()
	inner := &fakeListener{next: make(chan *fakeConn, 20)}
	l := limit(inner, 4, 100)
	for range 3 {
		inner.next <- &fakeConn{from: "192.0.2.1"}
	}
	inner.next <- &fakeConn{from: "192.0.2.2"}
	var got []string
	for range 3 {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, c.RemoteAddr().(*net.TCPAddr).IP.String())
	}
	if want := "[192.0.2.1 192.0.2.1 192.0.2.2]"; fmt.Sprint(got) != want {
		t.Errorf("let in %v, want %v", got, want)
	}
}
