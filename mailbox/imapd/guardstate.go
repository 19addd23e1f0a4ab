package imapd

import (
	"bytes"
	"net"
	"strings"
	"time"
)

// await notes that the guard waits for the client; false if the server is
// going down.
func (g *guard) await() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaiting = !g.closing
	return g.awaiting
}

func (g *guard) awaited() {
	g.mu.Lock()
	g.awaiting = false
	g.mu.Unlock()
}

// asked reports whether the library has asked the client for a bare line.
func (g *guard) asked() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.invited
	g.invited = false
	return was
}

// command returns the name of the command that runs.
func (g *guard) command() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.name
}

// bye tells a client that waits that the server is going down; one whose
// command runs is told after it.
func (g *guard) bye() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closing = true
	if g.awaiting && !g.closed {
		g.sayLocked("* BYE Server is going down\r\n")
		g.tls.Close()
	}
}

// cut ends the connection at once.
func (g *guard) cut() { g.tls.NetConn().Close() }

// Write implements net.Conn for the library.
func (g *guard) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
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
	return g.writeLocked(b)
}

// maxLibraryLine is what the library reads of a command (50 KiB), with some
// room: beyond it, it would take the rest of the line for the next command.
// Quoting a literal can make a command longer than the client sent it.
const maxLibraryLine = 50_000

const librarySorry = " NO [SERVERBUG] Internal server error\r\n"

// writeLocked writes, with a deadline of its own; g.mu is held.
func (g *guard) writeLocked(b []byte) (int, error) {
	g.tls.SetWriteDeadline(g.srv.cfg.Now().Add(g.srv.cfg.WriteTimeout))
	n, err := g.tls.Write(b)
	if n > 0 {
		g.midLine = b[n-1] != '\n'
	}
	return n, err
}

func (g *guard) say(line string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sayLocked(line)
}

// sayLocked writes a line of our own, never into the middle of another.
func (g *guard) sayLocked(line string) error {
	if g.midLine {
		return net.ErrClosed
	}
	_, err := g.writeLocked([]byte(line))
	return err
}

// dispatch gives the library the command that is whole, or answers in its
// stead.
func (g *guard) dispatch() error {
	line, spoilt := g.asm.line, g.asm.spoilt
	tag, name := nameOf(line)
	g.mu.Lock()
	g.tag, g.name, g.entered = tag, name, false
	g.mu.Unlock()
	if name == "" {
		return bad("Malformed command")
	}
	if !g.signedIn && !beforeSignIn(name) {
		if !afterSignIn(name) {
			// Something that speaks another protocol at us.
			return bad("Unknown command")
		}
		spoilt = "Sign in first"
	}
	if spoilt == "" && strings.HasSuffix(name, "SEARCH") {
		line, spoilt = searchLine(line, g.srv.cfg.MaxDepth)
	}
	if len(line) > maxLibraryLine {
		spoilt = "Command too long"
	}
	if spoilt != "" {
		return g.say(tag + " BAD [CLIENTBUG] " + spoilt + "\r\n")
	}
	g.out = line
	return nil
}

// beforeSignIn reports whether a command may reach the library before sign-in.
func beforeSignIn(name string) bool {
	switch name {
	case "CAPABILITY", "NOOP", "LOGOUT", "LOGIN", "AUTHENTICATE", "STARTTLS":
		return true
	}
	return false
}

// afterSignIn reports whether name is a command for those who are signed in.
func afterSignIn(name string) bool {
	switch name {
	case "APPEND", "CHECK", "CLOSE", "COMPRESS", "COPY", "CREATE", "DELETE", "ENABLE", "EXAMINE", "EXPUNGE",
		"FETCH", "GETQUOTA", "GETQUOTAROOT", "ID", "IDLE", "LIST", "LSUB", "MOVE", "NAMESPACE", "RENAME",
		"SEARCH", "SELECT", "STATUS", "STORE", "SUBSCRIBE", "UNSELECT", "UNSUBSCRIBE":
		return true
	}
	return strings.HasPrefix(name, "UID ")
}

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
