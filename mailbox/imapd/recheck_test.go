package imapd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pli/mailbox/imapd"
	"pli/signin"
	"pli/space"
)

// slot returns the id of the member's one mail password.
func (h *house) slot() string {
	h.t.Helper()
	list := get(h.door.MailPasswords(h.t.Context(), h.owner))(h)
	if len(list) != 1 {
		h.t.Fatalf("%d mail passwords", len(list))
	}
	return list[0].ID
}

// removeElsewhere removes the member's mail password as another process would.
func (h *house) removeElsewhere() {
	h.t.Helper()
	other := get(signin.New(signin.Config{DB: h.db, Names: h.names, Server: [32]byte{1}, Sender: nobody{}, Now: time.Now}))(h)
	h.must(other.RemoveMailPassword(h.t.Context(), h.owner, h.slot()))
}

func often(cfg *imapd.Config) { cfg.RecheckEvery = time.Millisecond }

const signedOut = "* BYE This sign-in has ended\r\n"

// A removed mail password ends every session that it opened at once, whatever
// the session is doing, and no other.
func TestARemovedMailPasswordEndsSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	slot := h.slot()
	second := get(h.door.AddMailPassword(t.Context(), h.owner, nil, "another"))(h)
	h.deliver(letter("one", "x"))
	fresh, waiting, idling, unselected, half, busy := h.dial(), h.inbox(), h.inbox(), h.login(), h.login(), h.login()
	other := h.dial()
	other.ok("LOGIN %s %s", h.user, second)
	for _, w := range []*wire{idling, unselected} {
		w.send("a IDLE\r\n")
		w.line()
	}
	half.send("a STAT")
	busy.send("a APPEND INBOX {5}\r\n")
	busy.line()
	time.Sleep(50 * time.Millisecond)
	began := time.Now()
	h.must(h.door.RemoveMailPassword(t.Context(), h.owner, slot))
	for name, w := range map[string]*wire{"waiting": waiting, "idling": idling, "idling on nothing": unselected, "half a command": half} {
		if said := w.ends(); said != signedOut {
			t.Errorf("%s: %q", name, said)
		}
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("ended after %v", d)
	}
	busy.send("hello\r\n")
	if said := busy.ends(); !strings.HasPrefix(said, "a NO ") || !strings.HasSuffix(said, signedOut) {
		t.Errorf("busy: %q", said)
	}
	fresh.expect("NO [AUTHENTICATIONFAILED]", "LOGIN %s %s", h.user, h.pass)
	other.ok("SELECT INBOX")
	if exists := other.ok("STATUS INBOX (MESSAGES)"); !strings.Contains(strings.Join(exists, ""), "MESSAGES 1") {
		t.Errorf("APPEND went on: %q", exists)
	}
	eventually(t, func() bool { return h.srv.Stats().SignedIn == 1 })
	h.door.RevokeAll(h.owner)
	if said := other.ends(); said != signedOut {
		t.Errorf("everything of the account ended: %q", said)
	}
}

// What another process took away is seen at the next command, of any kind, or
// before a word within IDLE.
func TestARemovalElsewhereEndsSessions(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"NOOP", "FETCH 1 BODY.PEEK[]", "UID SEARCH ALL", "LIST \"\" *", "APPEND INBOX {5+}\r\nhello", "IDLE", "CLOSE"} {
		h := newHouse(t, often)
		h.deliver(letter("one", "canary"))
		w, idling := h.inbox(), h.inbox()
		idling.send("a IDLE\r\n")
		idling.line()
		w.ok("NOOP")
		h.removeElsewhere()
		time.Sleep(5 * time.Millisecond)
		w.send("a " + command + "\r\n")
		if said := w.ends(); said != signedOut {
			t.Errorf("%s: %q", command, said)
		}
		h.deliver(letter("two", "canary"))
		if said := idling.ends(); said != signedOut {
			t.Errorf("within IDLE: %q", said)
		}
	}
}

// It is asked no more often than every RecheckEvery.
func TestRecheckEvery(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.RecheckEvery = 500 * time.Millisecond })
	w := h.inbox()
	h.removeElsewhere()
	w.ok("NOOP")
	time.Sleep(600 * time.Millisecond)
	w.send("a NOOP\r\n")
	if said := w.ends(); said != signedOut {
		t.Errorf("later: %q", said)
	}
}

// A space that is closed, archived or deleted shows nothing more to sessions
// that are open; asking leaves no line in the trace while it is allowed. // C7
func TestAClosedSpaceEndsSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t, often)
	spaces, id := h.holder()
	h.deliver(letter("one", "canary"))
	w, idling := h.inbox(), h.inbox()
	idling.send("a IDLE\r\n")
	idling.line()
	for range 5 {
		time.Sleep(2 * time.Millisecond)
		w.ok("FETCH 1 BODY.PEEK[HEADER]")
	}
	if lines := h.traced(id); fmt.Sprint(lines) != "[permit mail.open]" {
		t.Errorf("trace: %q", lines)
	}
	h.must(spaces.SetState(t.Context(), id, space.Closed))
	time.Sleep(2 * time.Millisecond)
	w.send("a FETCH 1 BODY.PEEK[]\r\n")
	if said := w.ends(); said != signedOut {
		t.Errorf("after closing: %q", said)
	}
	h.deliver(letter("two", "canary")) // past the rules that would refuse it
	if said := idling.ends(); said != signedOut {
		t.Errorf("within IDLE: %q", said)
	}
	if lines := h.traced(id); fmt.Sprint(lines) != "[permit mail.open deny mail.open deny mail.open]" {
		t.Errorf("trace: %q", lines)
	}
}
