package imapd_test

import (
	"strings"
	"testing"
	"time"

	"pli/mailbox/imapd"
)

// Who gives up the sign-in is a stranger again, with a stranger's limits, and
// may sign in as somebody else, who sees nothing of the one before (RFC 8437).
func TestUnauthenticate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, pass := h.member("paule", "paule@patient.pli.test")
	h.deliver(letter("of Rose", "x"))
	w := h.dial()
	w.expect("BAD", "UNAUTHENTICATE")
	w.ok("LOGIN %s %s", h.user, h.pass)
	if said := w.ok("CAPABILITY"); !strings.Contains(said[0]+" ", " UNAUTHENTICATE ") {
		t.Errorf("not offered: %q", said)
	}
	w.ok("ENABLE UTF8=ACCEPT")
	w.ok("SELECT INBOX")
	w.ok("SEARCH RETURN (SAVE) ALL")
	w.ok("UNAUTHENTICATE")
	if s := h.srv.Stats(); s.SignedIn != 0 {
		t.Errorf("%+v", s)
	}
	for _, c := range []string{"FETCH 1 BODY[]", "SELECT INBOX", "GETQUOTA \"\"", "APPEND INBOX {3+}\r\nabc", "UNAUTHENTICATE"} {
		w.expect("BAD", "%s", c)
	}
	w.ok("LOGIN paule@patient.pli.test %s", pass)
	w.expect("BAD", "FETCH 1 BODY[]")
	w.expect("NO [CANNOT]", `CREATE "Été"`) // what was enabled is not any more
	if said := strings.Join(w.ok("SELECT INBOX"), "|"); !strings.Contains(said, "* 0 EXISTS") {
		t.Errorf("%q", said)
	}
	if said := w.ok("UID SEARCH UID $"); strings.Contains(said[0], "1") {
		t.Errorf("what the one before has saved: %q", said)
	}
	w.ok("UNAUTHENTICATE")
	w.send("a LOGIN \"" + strings.Repeat("u", 8192))
	if said := w.ends(); !strings.Contains(said, "BYE Command too long") {
		t.Errorf("a stranger's command: %q", said)
	}
	w = newHouse(t, func(cfg *imapd.Config) { cfg.SignInTimeout = 3 * time.Second }).login()
	w.ok("UNAUTHENTICATE")
	if said := w.ends(); !strings.HasSuffix(said, "* BYE Timeout\r\n") {
		t.Errorf("a stranger may wait: %q", said)
	}
}
