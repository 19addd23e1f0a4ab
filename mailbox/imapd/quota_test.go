package imapd_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// A message above the quota is answered OVERQUOTA (RFC 9208 4.3.1), by
// whatever size, and the connection stays in step; a copy takes no room, and
// an expunge gives it back.
func TestOverQuota(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, err := h.mail.SetQuota(context.Background(), h.owner, 400_000)
	h.must(err)
	w := h.login()
	sized := func(n int) string {
		head := letter("sized", "")
		return head + strings.Repeat("x", n-len(head))
	}
	add := func(n int, want string) {
		t.Helper()
		w.send(fmt.Sprintf("a APPEND Drafts {%d}\r\n", n))
		if line := w.line(); !strings.HasPrefix(line, "+ ") {
			t.Fatalf("no invitation: %q", line)
		}
		w.send(sized(n) + "\r\nb NOOP\r\n")
		if _, answer := w.until("a"); !strings.HasPrefix(answer, want) {
			t.Errorf("%d bytes: %q", n, answer)
		}
		if _, answer := w.until("b"); !strings.HasPrefix(answer, "OK") {
			t.Errorf("NOOP after it: %q", answer)
		}
	}
	add(400_001, "NO [OVERQUOTA] ")
	add(300_000, "OK [APPENDUID ")
	add(100_001, "NO [OVERQUOTA] ")
	add(1000, "OK [APPENDUID ")
	add(99_000, "OK [APPENDUID ")
	add(500, "NO [OVERQUOTA] ")
	w.ok("SELECT Drafts")
	w.ok("COPY 1:* Trash")
	w.ok("MOVE 2 Archive")
	w.ok(`STORE 1 +FLAGS (\Deleted)`)
	w.ok("EXPUNGE")
	add(500, "NO [OVERQUOTA] ") // it lies in the bin still
	w.ok("SELECT Trash")
	w.ok(`STORE 1 +FLAGS (\Deleted)`)
	w.ok("EXPUNGE")
	add(300_000, "OK [APPENDUID ")
}

// A client sees how full the mailbox is (RFC 9208 4.2): one root for all of it,
// none where there is no limit.
func TestGetQuota(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	limit := func(bytes int64) {
		t.Helper()
		_, err := h.mail.SetQuota(context.Background(), h.owner, bytes)
		h.must(err)
	}
	w := h.dial()
	w.expect("BAD", `GETQUOTAROOT INBOX`)
	for _, said := range []string{w.ok("CAPABILITY")[0], w.loginAnswer(h), w.ok("CAPABILITY")[0]} {
		if strings.Count(said, " QUOTA QUOTA=RES-STORAGE") != 1 {
			t.Errorf("not offered: %q", said)
		}
	}
	one := letter("one", strings.Repeat("x", 3000))
	h.deliver(one)
	h.deliver(letter("two", ""))
	limit(1_000_000)
	for command, want := range map[string]string{
		`GETQUOTAROOT INBOX`:          `* QUOTAROOT INBOX ""|* QUOTA "" (STORAGE 3 977)`,
		`getquotaroot "Sant&AOk-/x"`:  `* QUOTAROOT "Sant&AOk-/x" ""|* QUOTA "" (STORAGE 3 977)`,
		`GETQUOTAROOT "a \"b\" \\ c"`: `* QUOTAROOT "a \"b\" \\ c" ""|* QUOTA "" (STORAGE 3 977)`,
		`GETQUOTA ""`:                 `* QUOTA "" (STORAGE 3 977)`,
	} {
		if said := strings.Join(w.ok("%s", command), "|"); said != want {
			t.Errorf("%s: %q, want %q", command, said, want)
		}
	}
	w.send("x GETQUOTAROOT {5+}\r\nINBOX\r\n")
	if said, answer := w.until("x"); len(said) != 2 || !strings.HasPrefix(answer, "OK") {
		t.Errorf("by a literal: %q %q", said, answer)
	}
	w.expect("NO [NONEXISTENT]", `GETQUOTA "INBOX"`)
	for _, wrong := range []string{"GETQUOTAROOT", "GETQUOTAROOT ", "GETQUOTAROOT a b", `GETQUOTAROOT "a" b`, `GETQUOTAROOT "a"b`,
		"GETQUOTAROOT (INBOX)", "GETQUOTAROOT é", "GETQUOTA", `SETQUOTA "" (STORAGE 1)`} {
		w.expect("BAD", "%s", wrong)
	}
	w.ok("SELECT INBOX")
	w.ok(`STORE 1 +FLAGS (\Deleted)`)
	want := fmt.Sprintf(`* STATUS INBOX (DELETED-STORAGE %d)`, len(one))
	if said := w.ok("STATUS INBOX (DELETED-STORAGE)"); said[len(said)-1] != want {
		t.Errorf("%q, want %q", said, want)
	}
	if said := w.ok(`LIST "" INBOX RETURN (STATUS (DELETED-STORAGE))`); said[len(said)-1] != want {
		t.Errorf("%q, want %q", said, want)
	}
	limit(-1)
	if said := w.ok("GETQUOTAROOT INBOX"); len(said) != 1 || said[0] != "* QUOTAROOT INBOX" {
		t.Errorf("without a limit: %q", said)
	}
	w.expect("NO [NONEXISTENT]", `GETQUOTA ""`)
}

// loginAnswer signs in and returns the answer.
func (w *wire) loginAnswer(h *house) string {
	w.t.Helper()
	_, answer := w.do("LOGIN %s %s", h.user, h.pass)
	return answer
}
