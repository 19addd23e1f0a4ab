package imapd

import (
	"errors"
	"io"
	"net"
	"time"
)

// farewell is why the server ends a connection that broke no rule of framing.
type farewell string

func (f farewell) Error() string { return string(f) }

const (
	goingDown farewell = "Server is going down"
	signedOut farewell = "This sign-in has ended"
	cannotAsk farewell = "The sign-in cannot be checked now, try again later"
)

// failed ends the connection for err, telling the client why where it is the
// client's doing.
func (g *guard) failed(err error) error {
	if err == nil {
		return nil
	}
	g.ended, g.in, g.out = true, nil, nil
	defer g.setOver()
	var v *violation
	var f farewell
	var ne net.Error
	switch {
	case errors.As(err, &f):
		g.say("* BYE " + string(f) + "\r\n")
	case errors.As(err, &v):
		g.mu.Lock()
		answer := "* BYE " + v.text + "\r\n"
		if v.status != "" && g.tag != "" {
			answer = g.tag + " " + v.status + " " + v.text + "\r\n" + answer
		}
		g.sayLocked(answer)
		g.mu.Unlock()
		g.linger()
	case errors.As(err, &ne) && ne.Timeout():
		g.say("* BYE Timeout\r\n")
	}
	return io.EOF
}

// setOver lets nothing of the library's follow a BYE.
func (g *guard) setOver() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
}

// linger closes our half and lets what the client still sends run out for a
// moment: closing at once would reset the connection, and the client might
// never see why. Not one byte of it is looked at.
func (g *guard) linger() {
	g.tls.CloseWrite()
	raw := g.tls.NetConn()
	raw.SetReadDeadline(g.srv.cfg.Now().Add(lingerTime))
	io.CopyN(io.Discard, raw, lingerBytes)
}

const (
	lingerTime  = 2 * time.Second
	lingerBytes = 1 << 20
)

// bye tells a client that waits why the connection ends; one whose command runs
// is told after it.
func (g *guard) bye(why farewell) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leave == "" {
		g.leave = why
	}
	if g.awaiting && !g.closed && !g.over {
		g.over = true
		g.sayLocked("* BYE " + string(why) + "\r\n")
		g.tls.Close()
	}
}

// cut ends the connection at once.
func (g *guard) cut() { g.tls.NetConn().Close() }

// Close implements net.Conn for the library.
func (g *guard) Close() error {
	g.mu.Lock()
	first, session := !g.closed, g.session
	g.closed = true
	g.mu.Unlock()
	if !first {
		return net.ErrClosed
	}
	err := g.tls.Close()
	if !session {
		g.srv.forget(g)
	}
	return err
}

// LocalAddr implements net.Conn.
func (g *guard) LocalAddr() net.Addr { return g.tls.LocalAddr() }

// RemoteAddr implements net.Conn.
func (g *guard) RemoteAddr() net.Addr { return g.tls.RemoteAddr() }

// SetDeadline implements net.Conn; the guard sets its own.
func (g *guard) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn; the guard sets its own.
func (g *guard) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn; the guard sets its own.
func (g *guard) SetWriteDeadline(time.Time) error { return nil }
