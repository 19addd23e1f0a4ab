package imapd_test

import (
	"strings"
	"testing"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("alpha", "one"))
	h.deliver(letter("beta not smaller", strings.Repeat("two ", 400)))
	h.deliver(letter("gamma", "three"))
	w := h.inbox()
	w.ok("STORE 2 +FLAGS.SILENT (\\Flagged $Label1)")
	for _, c := range []struct{ keys, want string }{
		{"ALL", "1 2 3"},
		{"SUBJECT ALPHA", "1"},
		{"FROM rose TEXT three", "3"},
		{"NOT SUBJECT alpha", "2 3"},
		{"OR SUBJECT alpha BODY three", "1 3"},
		{"FLAGGED", "2"}, {"KEYWORD $label1", "2"}, {"UNKEYWORD $Label1", "1 3"},
		{"NEW", ""}, {"RECENT", ""}, {"OLD", "1 2 3"},
		{"2:*", "2 3"}, {"*", "3"}, {"UID 2,3:9", "2 3"}, {"UID *", "3"}, {"UID 9:*", "3"}, {"UID 9", ""},
		{"SMALLER 1000 SINCE 1-Jan-2020", "1 3"}, // the library forgets SMALLER here
		{"SMALLER 1000 LARGER 100", "1 3"},
		{"NOT SMALLER 1000 LARGER 100", "2"},
		{"SUBJECT SMALLER", "2"}, {"SUBJECT \"NOT SMALLER\"", "2"}, {"(SUBJECT NOT SUBJECT SMALLER)", "2"},
		{"BEFORE 1-Jan-2020", ""}, {"SENTON 2-Mar-2026", "1 2 3"}, {"SENTBEFORE 2-Mar-2026", ""},
		{"CHARSET UTF-8 SUBJECT {5+}\r\ngamma", "3"},
		{"HEADER Message-ID alpha@", "1"}, {"HEADER Bcc \"\"", ""},
		{"(OR (SUBJECT alpha) (NOT (OR SUBJECT alpha FLAGGED))) UNDELETED", "1 3"},
	} {
		said := w.ok("SEARCH %s", c.keys)
		if want := strings.TrimSpace("* SEARCH " + c.want); len(said) != 1 || said[0] != want {
			t.Errorf("SEARCH %s: %q, want %q", c.keys, said, want)
		}
	}
	for _, keys := range []string{"NONSENSE", "SUBJECT", "NOT", "(ALL", "1:x", "SINCE yesterday", "LARGER many"} {
		w.expect("BAD", "SEARCH %s", keys)
	}
	w.expect("NO [BADCHARSET]", "SEARCH CHARSET KOI8-R ALL")
}

// RFC 4731, RFC 5182
func TestExtendedSearch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 5 {
		h.deliver(letter("x", ""))
	}
	w := h.inbox()
	w.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
	w.ok("EXPUNGE") // so that numbers and UIDs differ
	w.ok("STORE 1,3:4 +FLAGS.SILENT (\\Flagged)")
	for _, c := range []struct{ command, want string }{
		{"SEARCH RETURN (MIN MAX COUNT) FLAGGED", " MIN 1 MAX 4 COUNT 3"},
		{"UID SEARCH RETURN () FLAGGED", " UID ALL 2,4:5"},
		{"SEARCH RETURN (ALL) DRAFT", ""},
		{"SEARCH RETURN (COUNT) DRAFT", " COUNT 0"},
	} {
		said := w.ok("%s", c.command)
		if _, rest, _ := strings.Cut(said[0], ")"); rest != c.want {
			t.Errorf("%s: %q, want %q", c.command, said, c.want)
		}
	}
	saved := func(want string) {
		t.Helper()
		said := w.ok("UID SEARCH $")
		if said[0] != strings.TrimSpace("* SEARCH "+want) {
			t.Errorf("saved: %q, want %q", said, want)
		}
	}
	w.ok("SEARCH RETURN (SAVE) FLAGGED")
	saved("2 4 5")
	if said := w.ok("FETCH $ UID"); len(said) != 3 || said[1] != "* 3 FETCH (UID 4)" {
		t.Errorf("FETCH $: %q", said)
	}
	w.ok("UID STORE $ +FLAGS.SILENT (\\Seen)")
	w.ok("UID SEARCH RETURN (SAVE MIN) FLAGGED")
	saved("2")
	w.ok("UID SEARCH RETURN (SAVE MIN MAX) FLAGGED")
	saved("2 5")
	w.ok("UID SEARCH RETURN (SAVE COUNT) FLAGGED")
	saved("2 4 5")
	w.ok("UID STORE 4 +FLAGS.SILENT (\\Deleted)")
	w.ok("UID EXPUNGE $")
	saved("2 5")
	w.ok("COPY $ Archive")
	w.ok("MOVE $ Trash")
	saved("")
	w.ok("FETCH $ FLAGS")
	w.ok("SELECT INBOX")
	saved("")
}
