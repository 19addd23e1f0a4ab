package imapd

import (
	"bufio"
	"bytes"
	"net"
	"strings"
)

// Write implements net.Conn for the library.
func (g *guard) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	if g.over {
		return 0, net.ErrClosed
	}
	if g.muted {
		// STARTTLS has greeted already; the library writes its greeting
		// first of all, in one piece.
		g.muted = false
		return len(b), nil
	}
	if !g.midLine && bytes.HasPrefix(b, []byte("+ ")) {
		switch g.name {
		case "AUTHENTICATE", "IDLE":
			g.invited = true
		case "APPEND":
			g.invited = true
			if g.msg.nonSync {
				return len(b), nil // the client did not ask
			}
		}
	}
	if !g.midLine && !g.entered && string(b) == g.tag+librarySorry {
		// The library has one answer for what it cannot parse and what went
		// wrong inside. Only a session fails inside, and it has words of its
		// own (see reply).
		return len(b), g.sayLocked(g.tag + " BAD [CLIENTBUG] Syntax error\r\n")
	}
	switch g.name {
	case "CAPABILITY", "LOGIN", "AUTHENTICATE":
		if g.midLine {
			break
		}
		_, err := g.writeLocked(withQuota(b))
		return len(b), err
	}
	return g.writeLocked(b)
}

const librarySorry = " NO [SERVERBUG] Internal server error\r\n"

// writeLocked writes, at once unless a FETCH runs; g.mu is held.
func (g *guard) writeLocked(b []byte) (n int, err error) {
	if strings.HasSuffix(g.name, "FETCH") && g.entered {
		if g.gather == nil {
			g.gather = g.srv.gather.Get().(*bufio.Writer)
			g.gather.Reset(timedWriter{g})
		}
		n, err = g.gather.Write(b)
	} else {
		n, err = timedWriter{g}.Write(b)
	}
	if n > 0 {
		g.midLine = b[n-1] != '\n'
	}
	return n, err
}

// timedWriter writes to the client, with a deadline for each write.
type timedWriter struct{ g *guard }

func (w timedWriter) Write(b []byte) (int, error) {
	w.g.tls.SetWriteDeadline(w.g.srv.cfg.Now().Add(w.g.srv.cfg.WriteTimeout))
	return w.g.tls.Write(b)
}

// gatherSize is how much of a FETCH's answers goes out at once: as much as one
// record of TLS holds. The library flushes after each message.
const gatherSize = 16 << 10

// flush sends what a FETCH has gathered. The library reads on only when a
// command is at its end.
func (g *guard) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gather == nil {
		return nil
	}
	err := g.gather.Flush()
	g.gather.Reset(nil)
	g.srv.gather.Put(g.gather)
	g.gather = nil
	return err
}

func (g *guard) say(line string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sayLocked(line)
}

// sayLocked writes a line of our own, never into the middle of another; g.mu is
// held, and nothing is gathered.
func (g *guard) sayLocked(line string) error {
	if g.midLine {
		return net.ErrClosed
	}
	_, err := timedWriter{g}.Write([]byte(line))
	return err
}
