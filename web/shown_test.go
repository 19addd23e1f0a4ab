package web_test

import (
	"strings"
	"testing"

	"pli/space"
)

// shown is every address that shows something of a message: %d is its UID.
var shown = []string{"/mail/inbox/%/", "/mail/inbox/%/letter/1.2", "/mail/inbox/%/part/2", "/mail/inbox/%/part/2?download=1", "/mail/inbox/%/open/2",
	"/mail/inbox/%/reply", "/mail/inbox/%/file/2"}

func shownAddress(pattern string, uid int) string {
	return strings.TrimSuffix(strings.Replace(pattern, "%", itoa(uid), 1), "/")
}

// C4: whatever way a message is first seen, the trace says so, once.
func TestEveryWayToAMessageIsTraced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	for range shown {
		moreau.send(camille, letter{subject: "Lettre", text: "Texte", html: "<p>Texte</p>", files: []attachment{{"application/pdf", "a.pdf", pdf("a")}}})
	}
	b := camille.signIn()
	lines := func() int { return strings.Count(b.get("/trace/trace.json").body, `"mail.display"`) }
	for i, pattern := range shown {
		path := shownAddress(pattern, i+1)
		for range 2 {
			if p := b.get(path); p.status != 200 {
				t.Errorf("%s: %d", path, p.status)
			}
			if got := lines(); got != i+1 {
				t.Fatalf("%s: the trace tells of %d messages shown, want %d", path, got, i+1)
			}
		}
	}
}

// C4: where the gate refuses, nothing is shown.
func TestWhatTheGateRefusesIsNotShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	moreau.send(camille, letter{subject: "Lettre", text: "Texte confidentiel", html: "<p>Texte confidentiel</p>", files: []attachment{{"text/plain", "note.txt", "Texte confidentiel"}}})
	b := camille.signIn()
	h.must(h.spaces.SetState(t.Context(), camille.owner, space.Closed))
	for _, pattern := range shown {
		path := shownAddress(pattern, 1)
		if p := b.get(path); p.status == 200 || strings.Contains(p.body, "confidentiel") {
			t.Errorf("%s: %d\n%s", path, p.status, p.text())
		}
	}
}

// Only a draft is taken up as one.
func TestALetterIsNoDraft(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, _ := pair(h)
	b := camille.signIn()
	b.get("/mail/inbox/1/edit")
	b.want(404)
}
