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
