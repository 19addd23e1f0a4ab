package web_test

import "testing"

// A person sees how much room their mail takes, and is warned on every list of
// messages from nine tenths on.
func TestAMailboxThatFills(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	anne, doctor := h.holder("Anne", "DUPONT"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	doctor.send(anne, letter{subject: "Résultats", text: "Tout va bien."})
	b := anne.signIn()
	used, err := h.mail.Quota(t.Context(), anne.owner)
	h.must(err)
	limit := func(bytes int64) {
		t.Helper()
		_, err := h.mail.SetQuota(t.Context(), anne.owner, bytes)
		h.must(err)
	}
	limit(5_000_000_000)
	b.get("/account")
	b.want(200, "Place occupée par les messages", " sur 5 Go")
	b.get("/mail/inbox")
	b.lacks("presque pleine")
	limit(used.Used*100/90 + 1)
	b.get("/mail/inbox")
	b.lacks("presque pleine")
	limit(used.Used)
	b.get("/mail/inbox")
	b.want(200, "presque pleine")
	b.get("/mail/inbox?lang=en")
	b.want(200, "nearly full")
}
