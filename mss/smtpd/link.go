package smtpd

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pli/internal/source"
)

// link is one connection as go-smtp sees it: command lines come out of Read,
// replies go into Write. It holds the guards that the library lacks:
//
//   - nothing is read after a read that failed, so that what comes late is never
//     taken for a command;
//   - a line is handed on only when it is whole, ends in CRLF and holds neither
//     CR, LF nor NUL besides;
//   - messages never pass through the library: Session.Data reads them from
//     body, and BDAT reaches the library as DATA;
//   - replies leave together, when the next command has to be waited for.
//
// But for Close, all methods are for the connection's own goroutine.
type link struct {
	s    *Server
	role role
	host string     // where it comes from
	from netip.Addr // what that counts as
	wire *wire
	tls  *tls.Conn
	in   *bufio.Reader // decrypted

	started   bool
	dead      bool
	closed    sync.Once
	out       []byte      // replies that wait to be sent
	partial   []byte      // of a reply line that is being written
	pending   []byte      // what the library reads next
	unread    []byte      // a command line to be taken again
	chunk     *chunk      // of BDAT, announced and not taken yet
	override  *string     // what stands for the library's next reply
	drop354   bool        // the library's "go ahead" has no place in BDAT
	answer    bool        // the next line answers a challenge (AUTH)
	signedOut atomic.Bool // what the client signed in by is taken away
	last      bool        // the next reply is the last: whoever sends this is not in step with us

	errors, refusals, fruitless int
}

// chunk is the rest of one BDAT command's content.
type chunk struct {
	left int64
	last bool
}

// inSize is the buffer that commands and messages are read through.
const inSize = 4096

func newLink(s *Server, c net.Conn, r role) *link {
	return &link{s: s, role: r, host: hostOf(c), from: source.Of(c), wire: newWire(c, &s.cfg.Limits, s.cfg.Now)}
}

// start runs once, before anything is read or written: the clear-text part and
// the TLS handshake.
func (l *link) start() {
	if l.started {
		return
	}
	l.started = true
	if l.role != roleSubmissions {
		if !l.clearPart() {
			l.die()
			return
		}
		none := ""
		l.override = &none // the greeting was given in clear
	}
	l.wire.phase(l.s.cfg.Limits.Handshake)
	l.tls = tls.Server(l.wire, l.s.tls)
	if err := l.tls.Handshake(); err != nil {
		l.s.cfg.Log.Debug("a TLS handshake failed", "error", err)
		l.die()
		return
	}
	l.in = bufio.NewReaderSize(l.tls, inSize)
}

// die ends the link: nothing is read or written after it.
func (l *link) die() {
	l.dead = true
	l.wire.Close()
}

// Read hands on the next command line.
func (l *link) Read(p []byte) (int, error) {
	l.start()
	for len(l.pending) == 0 {
		if l.dead {
			return 0, net.ErrClosed // never io.EOF, which the library takes for the end of a message
		}
		l.next()
	}
	n := copy(p, l.pending)
	l.pending = l.pending[n:]
	return n, nil
}

// next takes one command line and makes it pending, unless it is answered here.
func (l *link) next() {
	if l.chunk != nil && !l.discardChunk() { // the library refused the message
		return
	}
	line, ok := l.readLine()
	if !ok {
		return
	}
	if l.answer {
		l.answer = false
		l.pending = append(line, '\r', '\n')
		return
	}
	if l.fruitless++; l.fruitless > l.s.cfg.Limits.MaxIdleCommands {
		l.bye("421 4.7.0 too many commands without a message")
		return
	}
	word, arg := splitCommand(line)
	switch word {
	case "BDAT":
		l.announce(arg)
		return
	case "EHLO", "HELO":
		if len(arg) > 255 {
			l.reply("501 5.5.2 that is no host name")
			return
		}
	}
	l.pending = append(line, '\r', '\n')
}

// splitCommand returns a line's first word, in upper case, and the rest.
func splitCommand(line []byte) (word, arg string) {
	word, arg, _ = strings.Cut(string(line), " ")
	return strings.ToUpper(word), strings.TrimSpace(arg)
}

// readLine reads one whole command line, without its CRLF. A line that is not
// one is answered here; ok is false then, and when the link has died.
func (l *link) readLine() (line []byte, ok bool) {
	if l.unread != nil {
		line, l.unread = l.unread, nil
		return line, true
	}
	if l.s.draining.Load() {
		l.bye("421 4.3.2 shutting down; come back later")
		return nil, false
	}
	if l.signedOut.Load() {
		l.bye("421 4.7.0 this sign-in has ended")
		return nil, false
	}
	if !l.lineBuffered() && !l.flush() {
		return nil, false
	}
	l.wire.awaitCommand()
	for {
		part, err := l.in.ReadSlice('\n')
		if len(line)+len(part) > l.s.cfg.Limits.MaxLine {
			l.bye("500 5.5.2 the line is too long")
			return nil, false
		}
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			l.readFailed(err)
			return nil, false
		}
	}
	line, ok = bytes.CutSuffix(line, []byte("\r\n")) // RFC 5321 2.3.8
	if !ok || bytes.ContainsAny(line, "\r\n\x00") {
		l.answer = false
		l.reply("500 5.5.2 a command is one line that ends in CRLF")
		return nil, false
	}
	return line, true
}

// lineBuffered reports whether a whole line has arrived already: then replies
// can wait (RFC 2920 3.2).
func (l *link) lineBuffered() bool {
	b, _ := l.in.Peek(l.in.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// Close ends the connection, after the replies that wait. It may be called at
// any time; called by the server's own Close it cuts.
func (l *link) Close() error {
	l.closed.Do(func() {
		if l.started && !l.dead && l.flush() {
			l.end()
		}
		l.wire.Close()
		l.s.release(l)
	})
	return nil
}

// LocalAddr, RemoteAddr and the deadlines make a net.Conn of it; the phases of
// the wire are what keeps time.
func (l *link) LocalAddr() net.Addr                { return l.wire.LocalAddr() }
func (l *link) RemoteAddr() net.Addr               { return l.wire.RemoteAddr() }
func (l *link) SetDeadline(time.Time) error        { return nil }
func (l *link) SetReadDeadline(time.Time) error    { return nil }
func (l *link) SetWriteDeadline(t time.Time) error { return nil }

var _ io.ReadWriteCloser = (*link)(nil)
