package imapd_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
)

// syncBuffer is a log that a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (h *house) clear() *wire { return newWire(h.t, get(net.Dial("tcp", h.imap))(h)) }

// upgrade does STARTTLS.
func (h *house) upgrade(w *wire) *wire {
	h.t.Helper()
	w.ok("STARTTLS")
	c := tls.Client(w.conn, h.tlsConfig())
	h.must(c.Handshake())
	return newWire(h.t, c)
}

func TestNothingBeforeSTARTTLS(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.clear()
	if line := w.line(); !strings.Contains(line, "STARTTLS LOGINDISABLED]") || strings.Contains(line, "AUTH=") {
		t.Errorf("greeting: %q", line)
	}
	if caps := w.ok("CAPABILITY"); !strings.Contains(caps[0], " STARTTLS LOGINDISABLED") {
		t.Errorf("CAPABILITY: %q", caps)
	}
	w.expect("NO [PRIVACYREQUIRED]", "LOGIN %s %s", h.user, h.pass)
	w.expect("NO [PRIVACYREQUIRED]", "AUTHENTICATE PLAIN AHgAeQ==")
	w.expect("BAD", "SELECT INBOX")
	w.expect("BAD", "STARTTLS now")
}

func TestSTARTTLS(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.clear()
	w.line()
	w = h.upgrade(w)
	caps := w.ok("CAPABILITY") // and no second greeting
	if len(caps) != 1 || !strings.Contains(caps[0], "AUTH=PLAIN") || strings.Contains(caps[0], "STARTTLS") {
		t.Errorf("after STARTTLS: %q", caps)
	}
	w.expect("NO", "STARTTLS")
	w.ok("LOGIN %s %s", h.user, h.pass)
	w.ok("SELECT INBOX")
}

// Bytes that came in clear behind STARTTLS close the connection, in one piece
// with it or after it.
func TestSTARTTLSInjection(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, c := range []struct{ name, first, then string }{
		{"command in one piece", "a STARTTLS\r\nb NOOP\r\n", ""},
		{"one byte in one piece", "a STARTTLS\r\nb", ""},
		{"command afterwards", "a STARTTLS\r\n", "b CAPABILITY\r\n"},
		{"literal behind a command", "b LOGIN {5+}\r\na STARTTLS\r\n", ""},
		{"bare line feed", "a STARTTLS\nb NOOP\r\n", ""},
		{"line too long", strings.Repeat("a", 600) + " STARTTLS\r\n", ""},
		{"too many lines", strings.Repeat("a NOOP\r\n", 8) + "b STARTTLS\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := h.clear()
			w.line()
			w.send(c.first)
			if c.then != "" {
				w.line()
				w.send(c.then)
			}
			if said := w.ends(); strings.Contains(said, "b OK") || strings.Contains(said, "a OK Begin") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// What the library must never be let offer.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.dial()
	before := " " + w.ok("CAPABILITY")[0] + " "
	w.ok("LOGIN %s %s", h.user, h.pass)
	after := " " + w.ok("CAPABILITY")[0] + " "
	for _, c := range strings.Fields("IMAP4rev1 IMAP4rev2 LITERAL- SASL-IR AUTH=PLAIN") {
		if !strings.Contains(before, " "+c+" ") {
			t.Errorf("before sign-in no %s: %s", c, before)
		}
	}
	for _, c := range strings.Fields("IMAP4rev1 IMAP4rev2 LITERAL- SPECIAL-USE UIDPLUS MOVE NAMESPACE LIST-EXTENDED " +
		"LIST-STATUS STATUS=SIZE ESEARCH SEARCHRES IDLE UNSELECT ENABLE APPENDLIMIT=26214400") {
		if !strings.Contains(after, " "+c+" ") {
			t.Errorf("after sign-in no %s: %s", c, after)
		}
	}
	if strings.Contains(before+after, "LITERAL+") || strings.Contains(before+after, "LOGINDISABLED") {
		t.Errorf("offered: %s%s", before, after)
	}
}

// Before sign-in nothing but what leads to it is parsed; what speaks another
// protocol is hung up on.
func TestBeforeSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.dial()
	for _, c := range []string{"SELECT INBOX", "LIST \"\" *", "SEARCH ALL", "APPEND INBOX {3+}\r\nabc", "ID NIL", "IDLE", "UID FETCH 1 BODY[]"} {
		w.expect("BAD", "%s", c)
	}
	w.expect("NO", "AUTHENTICATE CRAM-MD5")
	w.expect("BAD", "AUTHENTICATE PLAIN !!!!")
	w.ok("NOOP")
	for _, c := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "EHLO x\r\n", "\r\n", "a\r\n", "\x16\x03\x01\x00\r\n"} {
		w := h.dial()
		w.send(c)
		if said := w.ends(); !strings.Contains(said, "* BYE ") || strings.Count(said, "\n") > 2 {
			t.Errorf("%q: said %q", c, said)
		}
	}
}
