package imapd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"pli/mailbox/imapd"
)

// Shutdown tells those who wait, lets what runs come to its end, and takes
// nobody new.
func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fresh, waiting, idling, half, busy := h.dial(), h.login(), h.inbox(), h.login(), h.login()
	idling.send("a IDLE\r\n")
	idling.line()
	half.send("a NOO")
	busy.send("a APPEND INBOX {5}\r\n")
	busy.line()
	handshake := get(net.Dial("tcp", h.imaps))(h)
	time.Sleep(50 * time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- h.srv.Shutdown(ctx) }()
	for name, w := range map[string]*wire{"fresh": fresh, "waiting": waiting, "idling": idling, "half a command": half} {
		if said := w.ends(); said != "* BYE Server is going down\r\n" {
			t.Errorf("%s: %q", name, said)
		}
	}
	if _, err := tls.Dial("tcp", h.imaps, h.tlsConfig()); err == nil {
		t.Error("a new connection got through")
	}
	select {
	case err := <-stopped:
		t.Fatalf("did not wait for the command that runs: %v", err)
	default:
	}
	busy.send("hello\r\n")
	if said := busy.ends(); !strings.HasPrefix(said, "a OK [APPENDUID") || !strings.HasSuffix(said, "* BYE Server is going down\r\n") {
		t.Errorf("busy: %q", said)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	newWire(t, handshake).ends()
	if _, n := h.boxes(); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// What does not end in time is cut, and what it was about to store is not.
func TestShutdownCuts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	busy, deaf := h.login(), h.inbox()
	for i := range 40 {
		h.deliver(letter(fmt.Sprint(i), strings.Repeat("x", 100_000)))
	}
	deaf.ok("NOOP")
	busy.send("a APPEND INBOX {5}\r\n")
	busy.line()
	busy.send("hello")
	deaf.send(strings.Repeat("a FETCH 1:* BODY.PEEK[]\r\n", 20)) // and reads nothing
	time.Sleep(200 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := h.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("Shutdown took %v", d)
	}
	busy.ends()
	if _, n := h.boxes(); n != 40 {
		t.Errorf("%d messages", n)
	}
}

// A client that does not read does not hold its session for ever, and no other
// client waits for it.
func TestDeafClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t, shortWrites)
	for i := range 40 {
		h.deliver(letter(fmt.Sprint(i), strings.Repeat("x", 100_000)))
	}
	deaf := h.inbox()
	deaf.send(strings.Repeat("a FETCH 1:* BODY.PEEK[]\r\n", 20))
	h.inbox().ok("FETCH 1 BODY[]")
	eventually(t, func() bool { return h.srv.Stats().SignedIn <= 1 })
}

func shortWrites(cfg *imapd.Config) { cfg.WriteTimeout = 300 * time.Millisecond }
