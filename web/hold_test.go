package web_test

import (
	"io"
	"testing"
	"time"

	"pli/web"
)

// stream opens an event stream and returns a channel that closes when it ends.
func (b *browser) stream() <-chan struct{} {
	b.t.Helper()
	resp, err := b.client.Get(b.h.server.URL + "/events")
	b.h.must(err)
	if resp.StatusCode != 200 {
		b.t.Fatalf("a stream: %d", resp.StatusCode)
	}
	b.t.Cleanup(func() { resp.Body.Close() })
	over := make(chan struct{})
	go func() {
		defer close(over)
		io.Copy(io.Discard, resp.Body)
	}()
	return over
}

func ends(over <-chan struct{}, within time.Duration) bool {
	select {
	case <-over:
		return true
	case <-time.After(within):
		return false
	}
}

// H8: a session that its person ends elsewhere, or by a new password, hears
// nothing more.
func TestAStreamEndsWithItsSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	here, there := camille.signIn(), camille.signIn()
	own, other := here.stream(), there.stream()
	here.get("/account")
	here.submit("/account/session/end", nil)
	if !ends(other, 5*time.Second) {
		t.Error("an ended session still listens")
	}
	third := camille.signIn().stream()
	here.get("/account")
	here.submit("/account/password", fields{"present": {password}, "new": {"quatre petits pots"}, "again": {"quatre petits pots"}})
	here.want(200, "Votre mot de passe est changé")
	if !ends(third, 5*time.Second) {
		t.Error("a session whose password was changed still listens")
	}
	if ends(own, 50*time.Millisecond) {
		t.Error("the session that changed the password no longer listens")
	}
}

// What ended otherwise is found out at the next beat.
func TestAStreamAsksWhetherItsSessionGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.StreamBeat = 20 * time.Millisecond })
	camille := h.holder("Camille", "ROUX")
	over := camille.signIn().stream()
	if ends(over, 100*time.Millisecond) {
		t.Fatal("the stream ends with its session still there")
	}
	h.signin.RevokeAll(camille.owner)
	if !ends(over, 5*time.Second) {
		t.Error("the stream outlives its session")
	}
}

// held waits until the portal holds the mail of n sessions.
func (h *house) held(when string, n int) {
	h.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); h.portal.Held() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: the mail of %d sessions is held, want %d", when, h.portal.Held(), n)
		}
	}
}

// B1: mail stays open between the requests of a session, and no longer.
func TestMailIsHeldWhileItIsUsed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, antoine := h.holder("Camille", "ROUX"), h.holder("Antoine", "LEFEVRE")
	h.held("before anybody came", 0)
	here, there := camille.signIn(), camille.signIn()
	other := antoine.signIn()
	for range 3 {
		here.get("/mail/inbox")
		there.get("/mail/inbox")
	}
	h.held("three sessions", 3)
	other.submit("/sign-out", nil)
	h.held("after one signed out", 2)
	here.get("/account")
	here.submit("/account/session/end", nil)
	h.held("after another was ended", 1)
	here.get("/mail/inbox")
	here.want(200, "Pas encore de message")
	h.portal.Close()
	h.held("after the end", 0)
	here.get("/mail/inbox")
	here.want(200, "Pas encore de message")
	h.held("after a late request", 0)
}

// A hold ends some time after the last request; what comes later opens anew,
// and passes the gate like all others.
func TestMailIsNotHeldForLong(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.HoldTime = 50 * time.Millisecond })
	b := h.holder("Camille", "ROUX").signIn()
	h.held("unused", 0)
	b.get("/mail/inbox")
	b.want(200, "Pas encore de message")
	h.held("unused again", 0)
}

// Beyond so many people mail is opened by each request.
func TestLimitOfHeldMail(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *web.Config) { c.MaxHeld = 2 })
	for i := range 3 {
		b := h.holder("Camille", "ROUX").signIn()
		b.get("/mail/inbox")
		b.want(200, "Pas encore de message")
		h.held("so many", min(i+1, 2))
	}
}
