package imapd_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pli/mailbox"
	"pli/mailbox/imapd"
)

// boxes returns the names of the member's folders and how many messages lie in
// INBOX, from the mailbox itself.
func (h *house) boxes() (names string, inbox uint32) {
	h.t.Helper()
	ctx := context.Background()
	in := get(h.door.Mail(ctx, h.user, h.pass))(h)
	defer in.Keys.Wipe()
	a := get(h.mail.Open(ctx, in.Actor, in.Account, in.Keys))(h)
	defer a.Close()
	for _, b := range get(a.Boxes(ctx))(h) {
		names += b.Name + " "
		if b.Name == mailbox.Inbox {
			inbox = b.Messages
		}
	}
	return names, inbox
}

const evil = "x1 CREATE Evil\r\nx2 CREATE Evil2\r\n"

// Whatever literal is refused, the connection closes, and not one byte more of
// it is executed.
func TestRefusedLiteralRunsNothing(t *testing.T) {
	t.Parallel()
	big := strings.Repeat(evil, 200)
	for _, c := range []struct{ name, before, send, answer string }{
		{"append without waiting, too large for that", "", fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s\r\n", len(big), big), "a BAD"},
		{"append above the limit", "", "a APPEND INBOX {2000000}\r\n" + big, "a NO [TOOBIG]"},
		{"append above any number", "", "a APPEND INBOX {99999999999999999999}\r\n" + big, "a NO [TOOBIG]"},
		{"append without waiting, above any number", "", "a APPEND INBOX {99999999999999999999+}\r\n" + big, "a BAD"},
		{"create without waiting", "", fmt.Sprintf("a CREATE {%d+}\r\n%s\r\n", 5030, big), "a BAD"},
		{"create, waiting, above the command", "", "a CREATE {50000}\r\n" + big, "a BAD"},
		{"mailbox name that the library refuses", "", fmt.Sprintf("a APPEND &bad {%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"flag that the library refuses", "", fmt.Sprintf("a APPEND INBOX ({) {%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"flag list that the library refuses", "", fmt.Sprintf("a APPEND INBOX (*) {%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"date that the library refuses", "", fmt.Sprintf("a APPEND INBOX \"yesterday\" {%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"data extension that the library refuses", "", fmt.Sprintf("a APPEND INBOX CATENATE {%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"two messages in one append", "", fmt.Sprintf("a APPEND INBOX {5+}\r\nhello {%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"space behind the announcement", "", fmt.Sprintf("a CREATE {%d+} \r\n%s\r\n", len(evil), evil), "a BAD"},
		{"announcement inside a word", "", fmt.Sprintf("a CREATE x{%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"announcement without a number", "", "a CREATE {+}\r\n" + evil, "a BAD"},
		{"binary literal outside append", "", fmt.Sprintf("a CREATE ~{%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"line end within quotes", "", "a CREATE \"x\r\n" + evil, "a BAD"},
		{"literal announced within quotes", "", fmt.Sprintf("a CREATE \"x {%d+}\r\n%s\r\n", len(evil), evil), "a BAD"},
		{"bare line feed", "", "a NOOP\nx1 CREATE Evil\r\n", "a BAD"},
		{"bare carriage return", "", "a NOOP\rx1 CREATE Evil\r\n", "a BAD"},
		{"NUL", "", "a NOOP \x00\r\nx1 CREATE Evil\r\n", "a BAD"},
		{"answer to AUTHENTICATE longer than the library's buffer", "out", "a AUTHENTICATE PLAIN\r\n" + strings.Repeat("A", 4096) + evil, "* BYE"},
		{"end of IDLE longer than the library's buffer", "", "a IDLE\r\n" + strings.Repeat("A", 4096) + evil, "* BYE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(cfg *imapd.Config) { cfg.MaxAppend = 1 << 20 })
			w := h.dial()
			if c.before != "out" {
				w.ok("LOGIN %s %s", h.user, h.pass)
			}
			w.send(c.send)
			said := w.ends()
			if !strings.Contains(said, c.answer) || !strings.Contains(said, "* BYE ") || strings.Contains(said, "x1 ") {
				t.Errorf("said %q, want %q and BYE", said, c.answer)
			}
			if names, n := h.boxes(); strings.Contains(names, "Evil") || n != 0 {
				t.Errorf("afterwards: %s, %d messages", names, n)
			}
		})
	}
}

// Literals that are in order reach their command, whatever is in them.
func TestLiteralsReachTheirCommand(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.dial()
	w.send(fmt.Sprintf("a LOGIN {%d}\r\n", len(h.user)))
	if line := w.line(); !strings.HasPrefix(line, "+ ") {
		t.Fatalf("no invitation: %q", line)
	}
	w.send(fmt.Sprintf("%s {%d+}\r\n%s\r\n", h.user, len(h.pass), h.pass))
	if _, answer := w.until("a"); !strings.HasPrefix(answer, "OK") {
		t.Fatalf("LOGIN: %q", answer)
	}
	w.send("b CREATE {10+}\r\nA\"b {c} (d\r\n")
	if _, answer := w.until("b"); !strings.HasPrefix(answer, "OK") {
		t.Fatalf("CREATE: %q", answer)
	}
	if names, _ := h.boxes(); !strings.Contains(names, `A"b {c} (d`) {
		t.Errorf("folders: %s", names)
	}
	// What cannot be in a string is refused in step: the literal was taken.
	w.send("c CREATE {6+}\r\nab\r\ncd\r\nd NOOP\r\n")
	if _, answer := w.until("c"); !strings.HasPrefix(answer, "BAD") {
		t.Errorf("CREATE with a line end: %q", answer)
	}
	if _, answer := w.until("d"); !strings.HasPrefix(answer, "OK") {
		t.Errorf("NOOP after it: %q", answer)
	}
	// An empty one, and one in the middle of a list.
	w.ok("SELECT INBOX")
	w.send("e SEARCH SUBJECT {0+}\r\n HEADER {7+}\r\nSubject {1+}\r\n\\\r\n")
	if _, answer := w.until("e"); !strings.HasPrefix(answer, "OK") {
		t.Errorf("SEARCH: %q", answer)
	}
}

// A message may be sent without waiting up to 4 096 bytes (RFC 7888 4).
func TestUnaskedMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.login()
	text := letter("unasked", "")
	text += strings.Repeat("x", 4096-len(text))
	w.send(fmt.Sprintf("a APPEND {5+}\r\nINBOX (\\Flagged) \"02-Mar-2026 10:00:00 +0100\" {4096+}\r\n%s\r\nb NOOP\r\n", text))
	if said, answer := w.until("a"); !strings.HasPrefix(answer, "OK [APPENDUID ") || len(said) > 0 {
		t.Fatalf("APPEND: %q %q", said, answer)
	}
	if _, answer := w.until("b"); !strings.HasPrefix(answer, "OK") {
		t.Errorf("NOOP after it: %q", answer)
	}
	w.send(fmt.Sprintf("c APPEND INBOX {4097+}\r\n%sx\r\n", text))
	if said := w.ends(); !strings.Contains(said, "c BAD [TOOBIG]") {
		t.Errorf("4097 bytes: %q", said)
	}
	if _, n := h.boxes(); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// A message that breaks off is not stored: the library takes the end of the
// connection for the end of the literal.
func TestMessageThatBreaksOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, tail := range []string{"", "hel", "hello", "hello\r"} {
		w := h.login()
		w.send("a APPEND INBOX {5}\r\n")
		if line := w.line(); !strings.HasPrefix(line, "+ ") {
			t.Fatalf("no invitation: %q", line)
		}
		w.send(tail)
		w.conn.Close()
	}
	time.Sleep(200 * time.Millisecond)
	if _, n := h.boxes(); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// Commands of any size in one piece or byte by byte come to the same.
func TestPipelining(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.login()
	script := "a CREATE One\r\nb CREATE {3+}\r\nTwo\r\nc APPEND INBOX {5+}\r\nhello\r\nd IDLE\r\ndone\r\ne SELECT INBOX\r\nf NOOP\r\n"
	w.send(script)
	for _, tag := range []string{"a", "b", "c", "d", "e", "f"} {
		if _, answer := w.until(tag); !strings.HasPrefix(answer, "OK") {
			t.Errorf("%s: %q", tag, answer)
		}
	}
	w = h.login()
	for _, c := range []byte("a DELETE One\r\nb DELETE {3+}\r\nTwo\r\nc APPEND INBOX {5+}\r\nhello\r\nd NOOP\r\n") {
		w.send(string(c))
	}
	for _, tag := range []string{"a", "b", "c", "d"} {
		if _, answer := w.until(tag); !strings.HasPrefix(answer, "OK") {
			t.Errorf("%s: %q", tag, answer)
		}
	}
	if names, n := h.boxes(); strings.Contains(names, "One") || n != 2 {
		t.Errorf("afterwards: %s, %d messages", names, n)
	}
}
