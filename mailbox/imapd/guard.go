package imapd

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/netip"
	"sync"
	"time"
)

// guard is what the library takes for its connection. It lies above TLS, sees
// every byte that comes and goes, and lets the library have one whole command
// at a time (see assembler). It also keeps all deadlines: those that the
// library sets do nothing.
//
// Below TLS nothing is counted: what can come there is bounded by the deadlines
// of the handshake and of the sign-in, and by what crypto/tls takes for a
// handshake; from then on every plain byte passes here, and is counted against
// the command that it belongs to.
//
// A guard that waits holds no buffer of its own: bytes are read into the
// library's.
type guard struct {
	srv  *Server
	addr netip.Addr
	tls  *tls.Conn

	// Of the goroutine that reads, which is the session's.
	asm      *assembler
	in       []byte // read and not yet taken: commands that were pipelined
	out      []byte // taken and not yet given to the library
	signedIn bool
	recheck  func() error // after sign-in: why it stands no more
	utf8     func() bool  // after sign-in: whether names may be in UTF-8
	quota    func(tag, name string, line []byte) string
	hangUp   string    // why the connection ends before the next command
	signInBy time.Time // deadline of the sign-in
	msg      incoming  // APPEND's message
	ended    bool

	mu       sync.Mutex    // what follows, and writing
	gather   *bufio.Writer // answers of a FETCH, not sent yet
	tag      string        // of the command that runs
	name     string
	entered  bool     // the command has reached the session
	muted    bool     // the library's greeting is not for the client
	midLine  bool     // the last byte written did not end a line
	awaiting bool     // between commands, or within one that is not whole yet
	invited  bool     // the library has said "+ "
	leave    farewell // why the connection ends before the next command, whatever else
	over     bool     // the client has been told BYE
	closed   bool
	session  bool // a session holds the guard until it ends
}

// begin is at the end of the handshake.
func (g *guard) begin() { g.signInBy = g.srv.cfg.Now().Add(g.srv.cfg.SignInTimeout) }

// Read implements net.Conn for the library.
func (g *guard) Read(p []byte) (int, error) {
	if err := g.flush(); err != nil {
		return 0, g.failed(err)
	}
	for len(p) > 0 {
		if len(g.out) > 0 {
			n := copy(p, g.out)
			if g.out = g.out[n:]; len(g.out) == 0 {
				g.out = nil
			}
			return n, nil
		}
		if g.ended {
			return 0, io.EOF
		}
		if g.msg.open {
			if n, err := g.readMessage(p); n > 0 || err != nil {
				return n, g.failed(err)
			}
			continue
		}
		if err := g.next(p); err != nil {
			return 0, g.failed(err)
		}
	}
	return 0, nil
}

// next reads what comes between two answers: a command, or the one line that
// the library has asked for. buf is free to be read into.
func (g *guard) next(buf []byte) error {
	if g.hangUp != "" {
		return farewell(g.hangUp)
	}
	if why := g.await(); why != "" {
		return why
	}
	defer g.awaited()
	if g.asked() {
		return g.nextLine(buf)
	}
	g.asm = g.newAssembler()
	defer func() { g.asm = nil }()
	for {
		b, err := g.more(buf, g.asm.taken == 0)
		if err != nil {
			return err
		}
		n, what, lit, err := g.asm.take(b)
		g.in = keep(b[n:])
		if err != nil {
			g.mu.Lock()
			g.tag, g.name = nameOf(g.asm.line)
			g.mu.Unlock()
			return err
		}
		switch what {
		case stepInvite:
			if err := g.say("+ Ready for literal data\r\n"); err != nil {
				return err
			}
		case stepMessage, stepDone:
			if g.recheck != nil {
				if err := g.recheck(); err != nil {
					return err
				}
			}
			if what == stepMessage {
				return g.beginMessage(lit)
			}
			return g.dispatch()
		}
	}
}

// newAssembler returns one with the limits of now.
func (g *guard) newAssembler() *assembler {
	cfg := &g.srv.cfg
	a := &assembler{limit: cfg.MaxPreAuth, maxDepth: cfg.MaxDepth, append: g.signedIn}
	if g.signedIn {
		a.limit = cfg.MaxCommand
	}
	return a
}

// keep returns a copy of b, nil if it is empty.
func keep(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// more returns the next bytes: what was pipelined, or what the client sends
// now, in buf. first says that a command has not begun.
func (g *guard) more(buf []byte, first bool) ([]byte, error) {
	if len(g.in) > 0 {
		if first {
			g.setReadDeadline(g.srv.cfg.CommandTimeout)
		}
		return g.in, nil
	}
	if first {
		g.setReadDeadline(g.srv.cfg.IdleTimeout)
	}
	n, err := g.tls.Read(buf)
	if n > 0 {
		if first {
			g.setReadDeadline(g.srv.cfg.CommandTimeout)
		}
		return buf[:n], nil
	}
	return nil, err
}

// setReadDeadline gives the client d, but no longer than it has to sign in.
func (g *guard) setReadDeadline(d time.Duration) {
	at := g.srv.cfg.Now().Add(d)
	if !g.signedIn && at.After(g.signInBy) {
		at = g.signInBy
	}
	g.tls.SetReadDeadline(at)
}

// maxLine is the most that a client may say where the library reads a bare
// line: the answer to AUTHENTICATE's challenge, and DONE. The library takes a
// line longer than its buffer, 4 096 bytes, for several.
const maxLine = 2048

// nextLine reads one line as it comes.
func (g *guard) nextLine(buf []byte) error {
	var line []byte
	for {
		b, err := g.more(buf, line == nil)
		if err != nil {
			return err
		}
		i := bytes.IndexByte(b, '\n')
		end := i + 1
		if i < 0 {
			end = len(b)
		}
		line = append(line, b[:end]...)
		g.in = keep(b[end:])
		if len(line) > maxLine {
			return bad("Line too long")
		}
		if i >= 0 {
			break
		}
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.ContainsAny(text, "\r\x00") {
		return bad("Malformed line")
	}
	if g.command() == "IDLE" && bytes.EqualFold(text, []byte("DONE")) {
		line = []byte("DONE\r\n") // the library knows capitals only
	}
	g.out = line
	return nil
}

// await notes that the guard waits for the client, or says why it must not.
func (g *guard) await() farewell {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaiting = g.leave == ""
	return g.leave
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
