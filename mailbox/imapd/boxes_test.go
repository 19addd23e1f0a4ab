package imapd_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestList(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.login()
	w.ok("CREATE Sant&AOk-/Analyses/") // a delimiter at the end
	w.ok("CREATE \"Sant&AOk-/Photos\"")
	w.ok("SUBSCRIBE \"Sant&AOk-/Photos\"")
	for _, b := range []string{"INBOX", "Sent", "Drafts", "Trash", "Archive", "Junk"} {
		w.do("UNSUBSCRIBE %s", b)
	}
	for _, c := range []struct {
		command string
		want    []string
	}{
		{`LIST "" ""`, []string{`(\Noselect) "/" ""`}},
		{`LIST "" %`, []string{`(\HasNoChildren) "/" INBOX`, `(\HasNoChildren \Sent) "/" "Sent"`, `(\HasChildren) "/" "Sant&AOk-"`}},
		{`LIST "" Sant*`, []string{`(\HasChildren) "/" "Sant&AOk-"`, `(\HasNoChildren) "/" "Sant&AOk-/Analyses"`, `(\HasNoChildren) "/" "Sant&AOk-/Photos"`}},
		{`LIST "Sant&AOk-" %s`, []string{`(\HasNoChildren) "/" "Sant&AOk-/Analyses"`, `(\HasNoChildren) "/" "Sant&AOk-/Photos"`}},
		{`LIST "" inbox`, []string{`(\HasNoChildren) "/" INBOX`}},
		{`LIST (SUBSCRIBED) "" *`, []string{`(\HasNoChildren \Subscribed) "/" "Sant&AOk-/Photos"`}},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" %`, []string{`(\HasChildren) "/" "Sant&AOk-" (CHILDINFO ("SUBSCRIBED"))`}},
		{`LSUB "" *`, []string{`(\HasNoChildren \Subscribed) "/" "Sant&AOk-/Photos"`}},
		{`LSUB "" %`, []string{`(\Noselect) "/" "Sant&AOk-"`}},
		{`LIST (SPECIAL-USE) "" * RETURN (SPECIAL-USE)`, []string{`(\HasNoChildren \Drafts) "/" "Drafts"`}},
		{`LIST "" (Sent Junk)`, []string{`(\HasNoChildren \Junk) "/" "Junk"`, `(\HasNoChildren \Sent) "/" "Sent"`}},
		{`LIST "" Sent RETURN (STATUS (MESSAGES))`, []string{`(\HasNoChildren \Sent) "/" "Sent"`}},
	} {
		said := w.ok("%s", strings.Replace(c.command, "%s", "%", 1))
		for _, want := range c.want {
			if !slices.ContainsFunc(said, func(l string) bool { return strings.HasSuffix(l, " "+want) }) {
				t.Errorf("%s: %q, no %q", c.command, said, want)
			}
		}
	}
	if said := w.ok(`LIST "" Sent RETURN (STATUS (MESSAGES))`); said[1] != `* STATUS "Sent" (MESSAGES 0)` {
		t.Errorf("LIST-STATUS: %q", said)
	}
	if said := w.ok("NAMESPACE"); said[0] != `* NAMESPACE (("" "/")) NIL NIL` {
		t.Errorf("NAMESPACE: %q", said)
	}
	w.ok("SUBSCRIBE Sent")
	w.do("DELETE \"Sant&AOk-/Photos\"")
	if said := w.ok(`LIST (SUBSCRIBED) "" *`); !slices.Contains(said, `* LIST (\NonExistent \Subscribed) "/" "Sant&AOk-/Photos"`) {
		t.Errorf("subscribed and gone: %q", said)
	}
}

// Patterns made to try every way are answered at once.
func TestHostilePatterns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.login()
	w.ok("CREATE %s", strings.Repeat("a", 400))
	began := time.Now()
	w.ok(`LIST "" "%sb"`, strings.Repeat("*a", 500))
	w.expect("NO [LIMIT]", `LIST "" "%s"`, strings.Repeat("*", 1025))
	w.expect("NO [LIMIT]", `LIST "" (%s)`, strings.TrimSpace(strings.Repeat("a* ", 17)))
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

// Each failure has its code and an answer in step. RFC 5530
func TestAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("one", ""))
	w := h.login()
	for _, c := range []struct{ want, command string }{
		{"NO [NONEXISTENT]", "SELECT Nowhere"},
		{"BAD", "FETCH 1 FLAGS"}, // nothing selected
		{"BAD", "EXPUNGE"},
		{"NO [ALREADYEXISTS]", "CREATE Sent"},
		{"NO [CANNOT]", "CREATE \"a*b\""},
		{"NO [USEATTR]", "CREATE Two (USE (\\Drafts \\Sent))"},
		{"OK", "CREATE A/B"},
		{"NO [HASCHILDREN]", "DELETE A"},
		{"NO [NOPERM]", "DELETE INBOX"},
		{"NO [NONEXISTENT]", "STATUS Nowhere (MESSAGES)"},
		{"BAD", "STATUS INBOX (HIGHESTMODSEQ)"},
		{"OK", "STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE APPENDLIMIT)"},
		{"NO [TRYCREATE]", "APPEND Nowhere {3+}\r\nabc"},
		{"BAD", "APPEND INBOX (\\Nonsense) {3+}\r\nabc"},
		{"BAD", "NONSENSE"},
		{"BAD", "ID NIL"},
		{"OK", "SELECT INBOX"},
		{"NO [TRYCREATE]", "COPY 1 Nowhere"},
		{"NO [TRYCREATE]", "UID MOVE 1 Nowhere"},
		{"BAD", "FETCH 2 FLAGS"}, {"BAD", "FETCH 0 FLAGS"}, {"BAD", "STORE 1:2 FLAGS ()"},
		{"OK", "UID FETCH 7 FLAGS"}, {"OK", "UID FETCH 1:4294967295 FLAGS"}, {"OK", "FETCH 1:* FLAGS"},
		{"OK", "UID COPY 7 Sent"}, {"OK", "UID MOVE 7 Sent"}, // nothing, and that is fine
		{"BAD", "STORE 1 FLAGS (\\Recent \\Nonsense)"},
		{"BAD", "STORE 1 +X-FLAGS (a)"},
		{"OK", "STORE 1 +FLAGS (Work $Urgent)"},
		{"BAD", "STORE 1 +FLAGS (a]b)"},
		{"OK", "RENAME A C"},
		{"NO [NONEXISTENT]", "RENAME A C"},
		{"OK", "ENABLE CONDSTORE UTF8=ACCEPT"},
	} {
		w.expect(c.want, "%s", c.command)
	}
	// An empty mailbox: "*" names nothing, and no numbers are in use.
	w.ok("SELECT Junk")
	w.ok("FETCH 1:* FLAGS")
	w.ok("UID FETCH 1:* FLAGS")
	w.expect("BAD", "FETCH 1 FLAGS")
}

func TestCopyMoveTellUIDs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 3 {
		h.deliver(letter("x", ""))
	}
	w := h.inbox()
	if _, answer := w.do("COPY 1,3 Archive"); !strings.HasPrefix(answer, "OK [COPYUID ") || !strings.HasSuffix(answer, " 1,3 1:2] COPY completed") {
		t.Errorf("COPY: %q", answer)
	}
	said := w.ok("UID MOVE 2:3 Archive")
	if len(said) != 3 || !strings.HasSuffix(said[0], " 2:3 3:4] COPY completed") || said[1] != "* 3 EXPUNGE" || said[2] != "* 2 EXPUNGE" {
		t.Errorf("MOVE: %q", said)
	}
	if answer := w.append("INBOX", letter("mine", "")); !strings.HasPrefix(answer, "OK [APPENDUID ") || !strings.HasSuffix(answer, " 4] APPEND completed") {
		t.Errorf("APPEND: %q", answer)
	}
	if said := w.ok("FETCH 2 UID"); said[0] != "* 2 FETCH (UID 4)" {
		t.Errorf("afterwards: %q", said)
	}
}
