package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// D4, issue 4, 10: a holder takes out their key, after the password was asked
// for again; the log shows nothing. Line and notice: TestExportOpensElsewhere.
func TestHolderTakesTheirKeyOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	b := camille.signIn()
	b.get("/account")
	b.follow("Télécharger ma clé")
	b.want(200, "Qui a ce fichier et sa phrase secrète lit tous vos messages")
	const phrase = "une phrase à garder"
	take := func(present, phrase, again string) *page {
		b.get("/account/key")
		return b.submit("/account/key", fields{"present": {present}, "phrase": {phrase}, "again": {again}})
	}
	take(password, phrase, "autre")
	b.want(http.StatusUnprocessableEntity, "ne sont pas les mêmes")
	take("faux", phrase, phrase)
	b.want(http.StatusForbidden, "n’est pas le bon")
	take(password, "court", "court")
	b.want(http.StatusUnprocessableEntity, "trop simple")
	b.lacks(password, "PRIVATE KEY")
	p := take(password, phrase, phrase)
	if p.status != 200 || !strings.HasPrefix(p.body, "-----BEGIN PGP PRIVATE KEY BLOCK-----") {
		t.Fatalf("%d: %.60s", p.status, p.body)
	}
	for name, want := range map[string]string{"Content-Type": "application/pgp-keys", "Cache-Control": "no-store",
		"Content-Disposition": `attachment; filename="pli-key.asc"`} {
		if got := p.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, secret := range []string{phrase, password, "PRIVATE KEY"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

// A professional's mailbox has a key too, and no trace. Nobody gets one
// without a sign-in, nor by a form of another site.
func TestWhoMayTakeAKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	moreau := h.member("louise.moreau", "Dr Louise MOREAU", "10")
	b := moreau.signIn()
	b.get("/account/key")
	p := b.submit("/account/key", fields{"present": {password}, "phrase": {"une phrase à garder"}, "again": {"une phrase à garder"}})
	if p.status != 200 || !strings.Contains(p.body, "PRIVATE KEY") {
		t.Errorf("a professional: %d", p.status)
	}
	if p := b.post("/account/key", fields{"present": {password}, "phrase": {"une phrase à garder"}, "again": {"une phrase à garder"}}); p.status != http.StatusForbidden {
		t.Errorf("without the form's token: %d", p.status)
	}
	if p := h.browser().post("/account/key", fields{"present": {password}}); p.status != http.StatusUnauthorized {
		t.Errorf("without a sign-in: %d", p.status)
	}
}
