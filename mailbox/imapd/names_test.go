package imapd_test

import (
	"slices"
	"strings"
	"testing"
)

// A mailbox is not made under a name in eight bits, which LIST would tell in
// modified UTF-7 and its client not know again (RFC 3501 5.1); it is under the
// name in that form, and for clients that have enabled UTF-8 (RFC 6855 3).
func TestNamesInUTF8(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.login()
	w.expect("NO [CANNOT]", `CREATE "Santé"`)
	w.expect("NO [CANNOT]", "CREATE Santé")
	w.expect("NO [CANNOT]", "CREATE {6+}\r\nSanté")
	w.ok("CREATE Plain")
	w.expect("NO [CANNOT]", `RENAME Plain "Santé"`)
	if names, _ := h.boxes(); strings.Contains(names, "Sant") {
		t.Errorf("folders: %s", names)
	}
	w.ok("CREATE Sant&AOk-")
	if said := w.ok(`LIST "" Sant*`); !slices.Equal(said, []string{`* LIST (\HasNoChildren) "/" "Sant&AOk-"`}) {
		t.Errorf("listed as %q", said)
	}
	w.ok("SELECT Sant&AOk-")
	w.ok(`SELECT "Santé"`) // it finds what is there, as a courtesy
	w.expect("NO [ALREADYEXISTS]", "CREATE Sant&AOk-")
	if names, _ := h.boxes(); !strings.Contains(names, "Santé ") {
		t.Errorf("folders: %s", names)
	}
	for _, enable := range []string{"UTF8=ACCEPT", "IMAP4rev2"} {
		w := h.login()
		w.ok("ENABLE %s", enable)
		w.expect("NO [ALREADYEXISTS]", `CREATE "Santé"`)
		w.ok(`CREATE "Été %s"`, enable)
		if said := w.ok(`LIST "" "Été*"`); !slices.Contains(said, `* LIST (\HasNoChildren) "/" "Été `+enable+`"`) {
			t.Errorf("%s: listed as %q", enable, said)
		}
	}
}
