package imapd_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"pli/mailbox/imapd"
	"pli/signin"
)

// Before sign-in a command may take 8 KiB, its literals included.
func TestBudgetBeforeSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	login := func(size int) string { // a LOGIN of size bytes, line end included
		pad := size - len("a LOGIN \"\" x\r\n")
		return fmt.Sprintf("a LOGIN \"%s\" x\r\n", strings.Repeat("u", pad))
	}
	w := h.dial()
	w.send(login(8192))
	if _, answer := w.until("a"); !strings.HasPrefix(answer, "NO [AUTHENTICATIONFAILED]") {
		t.Errorf("8192 bytes: %q", answer)
	}
	w = h.dial()
	w.send(login(8193))
	if said := w.ends(); !strings.HasPrefix(said, "a BAD [TOOBIG]") {
		t.Errorf("8193 bytes: %q", said)
	}
	w = h.dial()
	w.send("a LOGIN {4000+}\r\n" + strings.Repeat("u", 4000) + " {4096+}\r\n" + strings.Repeat("p", 4096) + " {200}\r\n")
	if said := w.ends(); !strings.HasPrefix(said, "a BAD [TOOBIG]") {
		t.Errorf("literals: %q", said)
	}
	w = h.dial()
	w.send(strings.Repeat("a", 100_000))
	if said := w.ends(); !strings.Contains(said, "* BYE Command too long") {
		t.Errorf("no line at all: %q", said)
	}
}

func TestBudgetAfterSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.MaxCommand = 10_000 })
	search := func(size int) string {
		return fmt.Sprintf("a SEARCH SUBJECT \"%s\"\r\n", strings.Repeat("s", size-len("a SEARCH SUBJECT \"\"\r\n")))
	}
	w := h.inbox()
	w.send(search(10_000))
	if _, answer := w.until("a"); !strings.HasPrefix(answer, "OK") {
		t.Errorf("at the limit: %q", answer)
	}
	w.send(search(10_001))
	if said := w.ends(); !strings.HasPrefix(said, "a BAD [TOOBIG]") {
		t.Errorf("above it: %q", said)
	}
}

// A literal that becomes longer than the library reads is refused in step.
func TestQuotingDoesNotOverflowTheLibrary(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.inbox()
	text := strings.Repeat(`"`, 30_000)
	w.send("a SEARCH SUBJECT {30000}\r\n")
	w.line()
	w.send(text + "\r\nb NOOP\r\n")
	if _, answer := w.until("a"); !strings.HasPrefix(answer, "BAD") {
		t.Errorf("SEARCH: %q", answer)
	}
	if _, answer := w.until("b"); !strings.HasPrefix(answer, "OK") {
		t.Errorf("NOOP after it: %q", answer)
	}
}

func TestNesting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.inbox()
	for _, c := range []struct {
		name string
		key  func(n int) string
	}{
		{"parentheses", func(n int) string { return strings.Repeat("(", n) + "ALL" + strings.Repeat(")", n) }},
		{"NOT", func(n int) string { return strings.Repeat("NOT ", n) + "SEEN" }},
		{"OR", func(n int) string { return strings.Repeat("OR SEEN ", n) + "SEEN" }},
		{"OR on the left", func(n int) string { return strings.Repeat("OR ", n) + "SEEN" + strings.Repeat(" SEEN", n) }},
	} {
		w.ok("SEARCH %s", c.key(31))
		w.expect("BAD", "SEARCH %s", c.key(33))
		w.expect("BAD", "UID SEARCH RETURN (COUNT) %s", c.key(4000/len(c.name)))
	}
	// Words that only look like keys, and many that are not within each other.
	w.ok("SEARCH SUBJECT NOT SUBJECT OR %s", strings.Repeat("NOT SEEN OR SEEN (NOT DRAFT) ", 60)+"ALL")
}

// A fourth connection of an address finds the door closed; one that leaves
// makes room.
func TestConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.MaxPerAddress = 3 })
	all := []*wire{h.dial(), h.dial(), h.dial()}
	if _, err := tls.Dial("tcp", h.imaps, h.tlsConfig()); err == nil {
		t.Error("a fourth connection got through")
	}
	c := get(net.Dial("tcp", h.imap))(h)
	if said := newWire(t, c).ends(); !strings.HasPrefix(said, "* BYE [UNAVAILABLE]") {
		t.Errorf("in clear: %q", said)
	}
	all[0].ok("LOGOUT")
	all[0].ends()
	eventually(t, func() bool { return h.srv.Stats().Connections == 2 })
	h.dial()
}

// Those who have not signed in take no place of those who have.
func TestConnectionsNotSignedIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.MaxSigningIn, cfg.MaxConnections = 2, 4 })
	h.login()
	h.login()
	h.dial()
	waiting := h.dial()
	full := func() {
		t.Helper()
		if _, err := tls.Dial("tcp", h.imaps, h.tlsConfig()); err == nil {
			t.Error("one connection too many got through")
		}
	}
	full()
	waiting.ok("LOGIN %s %s", h.user, h.pass)
	full() // now the four of all
}

// Those of one address who have not signed in take no place of other addresses,
// however many more it may have that are signed in.
func TestConnectionsOfAnAddressNotSignedIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.MaxNewPerAddr, cfg.MaxPerAddress = 2, 5 })
	refused := func(when string) {
		t.Helper()
		if _, err := tls.Dial("tcp", h.imaps, h.tlsConfig()); err == nil {
			t.Errorf("%s: one connection too many got through", when)
		}
	}
	first := get(net.Dial("tcp", h.imaps))(h) // counts before its handshake
	defer first.Close()
	eventually(t, func() bool { return h.srv.Stats().Connections == 1 })
	second := h.dial()
	refused("two that wait")
	second.ok("LOGIN %s %s", h.user, h.pass)
	third := h.dial()
	refused("two that wait, one signed in")
	third.ok("LOGIN %s %s", h.user, h.pass)
	third.ok("LOGOUT")
	third.ends()
	first.Close()
	eventually(t, func() bool { return h.srv.Stats().Connections == 1 })
	h.login()
	h.login()
	h.dial()
	h.dial()
	refused("five in all")
}

func TestConnectionsOfAnAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.MaxPerAccount = 2 })
	_, pass := h.member("paule", "paule@patient.pli.test")
	first := h.login()
	h.login()
	w := h.dial()
	w.expect("NO [LIMIT]", "LOGIN %s %s", h.user, h.pass)
	w.ok("LOGIN paule@patient.pli.test %s", pass)
	first.ok("LOGOUT")
	first.ends()
	eventually(t, func() bool { return h.srv.Stats().SignedIn == 2 })
	h.login()
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("not within 5 s")
}

// Each failure makes the next attempt of that address and account wait twice
// as long, and nobody else's.
func TestFailedSignInsWait(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) {
		cfg.FailureDelay, cfg.FailureDelayMax, cfg.MaxFailures = 50*time.Millisecond, 400*time.Millisecond, 100
	})
	_, pass := h.member("paule", "paule@patient.pli.test")
	w := h.dial()
	start := time.Now()
	for i := range 5 {
		w.expect("NO [AUTHENTICATIONFAILED]", "LOGIN %s wrong%d", h.user, i)
	}
	if d := time.Since(start); d < (50+100+200+400)*time.Millisecond || d > 3*time.Second {
		t.Errorf("five attempts took %v", d)
	}
	began := time.Now()
	h.dial().ok("LOGIN paule@patient.pli.test %s", pass)
	if d := time.Since(began); d > 300*time.Millisecond {
		t.Errorf("another account had to wait %v", d)
	}
	// Attempts side by side do not share one moment; those too far off are
	// refused at once.
	answers := make(chan string, 6)
	for range cap(answers) {
		w := h.dial()
		go func() {
			_, answer := w.do("LOGIN %s wrong", h.user)
			answers <- answer
		}()
	}
	refused := 0
	for range cap(answers) {
		if strings.HasPrefix(<-answers, "NO [UNAVAILABLE]") {
			refused++
		}
	}
	if refused < 3 {
		t.Errorf("%d of 6 refused at once", refused)
	}
}

func TestFailedSignInsEndTheConnection(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.FailureDelay = time.Millisecond })
	w := h.dial()
	for range 3 {
		w.expect("NO [AUTHENTICATIONFAILED]", "LOGIN %s wrong", h.user)
	}
	if said := w.ends(); !strings.HasPrefix(said, "* BYE Too many failed sign-ins") {
		t.Errorf("after three: %q", said)
	}
}

// A client that says nothing, or too slowly, or does not read, is let go.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) {
		cfg.HandshakeTimeout, cfg.SignInTimeout = time.Second, time.Second
		cfg.CommandTimeout, cfg.IdleTimeout, cfg.StallTimeout = 500*time.Millisecond, time.Second, 300*time.Millisecond
	})
	t.Run("handshake", func(t *testing.T) {
		t.Parallel()
		newWire(t, get(net.Dial("tcp", h.imaps))(h)).ends()
	})
	t.Run("STARTTLS", func(t *testing.T) {
		t.Parallel()
		newWire(t, get(net.Dial("tcp", h.imap))(h)).ends()
	})
	for name, c := range map[string]struct {
		open func() *wire
		send string
	}{
		"sign-in":           {h.dial, ""},
		"idle":              {h.login, ""},
		"IDLE":              {h.inbox, "a IDLE\r\n"},
		"half a command":    {h.login, "a NOO"},
		"half a literal":    {h.login, "a CREATE {5+}\r\nab"},
		"half a message":    {h.login, "a APPEND INBOX {5}\r\nab"},
		"message and stall": {h.login, "a APPEND INBOX {5}\r\nabcde"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := c.open()
			w.send(c.send)
			if said := w.ends(); !strings.HasSuffix(said, "* BYE Timeout\r\n") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// Bytes that come one by one do not hold a command's time up.
func TestSlowCommand(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.CommandTimeout = 300 * time.Millisecond })
	w := h.login()
	for range 40 {
		if _, err := w.conn.Write([]byte("a")); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if said := w.ends(); !strings.HasSuffix(said, "* BYE Timeout\r\n") {
		t.Errorf("said %q", said)
	}
}

// failingDoor is a sign-in with a fault.
type failingDoor struct{ imapd.SignIn }

func (failingDoor) Mail(context.Context, string, string) (*signin.Opened, error) {
	panic("a fault with a secret: canary-5521")
}

// A panic costs one connection.
func TestPanic(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	h := newHouse(t, func(cfg *imapd.Config) { cfg.Signin, cfg.Log = failingDoor{}, log.logger() })
	w := h.dial()
	w.send("a LOGIN x y\r\n")
	if said := w.ends(); said != "" {
		t.Errorf("said %q", said)
	}
	h.dial().ok("NOOP")
	eventually(t, func() bool { return strings.Contains(log.String(), "panic") })
	if text := log.String(); strings.Contains(text, "canary") {
		t.Errorf("log: %s", text)
	}
}
