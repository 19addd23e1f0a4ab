package web_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var generated = regexp.MustCompile(`\b(?:[0-9a-z]{4}-){6}[0-9a-z]{4}\b`)

// shownCode returns the generated secret that a page shows.
func (b *browser) shownCode() string {
	b.h.t.Helper()
	code := generated.FindString(b.page.text())
	if code == "" {
		b.h.t.Fatalf("%s shows no code: %s", b.page.url.Path, b.page.text())
	}
	return code
}

// I1: the holder makes a recovery code, loses the password, and is back with
// everything: by login, recovery code and one-time code.
func TestAHolderComesBackByTheRecoveryCode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	moreau.send(camille, letter{subject: "Résultats", text: "glycémie"})
	elsewhere := camille.signIn()
	elsewhere.get("/account")
	elsewhere.want(200, "Vous n’avez pas de code de secours")
	elsewhere.submit("/account/recovery", fields{"present": {"pas le bon mot 1"}})
	elsewhere.want(http.StatusForbidden, "Vous n’avez pas de code de secours")
	elsewhere.submit("/account/recovery", fields{"present": {password}})
	elsewhere.want(200, "Votre code de secours", "Imprimez cette page", camille.address.String())
	code := elsewhere.shownCode()
	elsewhere.get("/account")
	elsewhere.want(200, "Vous avez un code de secours depuis le")
	elsewhere.lacks(code)

	b := h.browser()
	b.get("/sign-in")
	b.follow("Mot de passe oublié")
	for _, wrong := range []fields{{"login": {camille.login}, "code": {strings.Repeat("0", 28)}}, {"login": {"personne"}, "code": {code}}} {
		b.submit("/recover", wrong)
		b.want(http.StatusUnauthorized, "Identifiant ou code de secours inexact")
	}
	b.submit("/recover", fields{"login": {camille.login}, "code": {strings.ToUpper(strings.ReplaceAll(code, "-", " "))}})
	b.want(200, "Nouveau mot de passe", "h…@courriel.test")
	otp, next := h.codes.code(camille.contact), "un autre mot de passe 8"
	b.submit("/recover/code", fields{"code": {otp}, "new": {next}, "again": {next + "x"}})
	b.want(http.StatusUnprocessableEntity, "Nouveau mot de passe")
	b.submit("/recover/code", fields{"code": {otp}, "new": {"court"}, "again": {"court"}})
	b.want(http.StatusUnprocessableEntity, "Nouveau mot de passe")
	b.submit("/recover/code", fields{"code": {"000000x"}, "new": {next}, "again": {next}})
	b.want(http.StatusUnauthorized, "Ce code n’est pas le bon")
	b.submit("/recover/code", fields{"code": {otp}, "new": {next}, "again": {next}})
	b.want(200, "Vous avez un nouveau mot de passe", "Votre code de secours")
	second := b.shownCode()
	if second == code {
		t.Error("the code that was used is shown again")
	}
	b.follow("Je l’ai gardé")
	b.want(200, "Camille ROUX")
	b.get("/mail/inbox?q=glycémie")
	b.want(200, "Résultats")
	elsewhere.get("/mail/inbox")
	elsewhere.want(200, "Se connecter") // the other session is over

	b.submit("/sign-out", nil)
	b.get("/sign-in")
	b.submit("/sign-in", fields{"login": {camille.login}, "password": {password}})
	b.want(http.StatusUnauthorized)
	b.submit("/sign-in", fields{"login": {camille.login}, "password": {next}})
	b.want(200, "Votre code")
	b.get("/recover")
	b.submit("/recover", fields{"login": {camille.login}, "code": {code}})
	b.want(http.StatusUnauthorized, "Identifiant ou code de secours inexact")
}

// A one-time code that is spent leads back to the beginning.
func TestARecoveryEndsWithItsCode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	inside := camille.signIn()
	inside.get("/account")
	inside.submit("/account/recovery", fields{"present": {password}})
	b := h.browser()
	b.get("/recover/code")
	b.want(200, "Retrouver l’accès") // nobody has asked for a code
	b.submit("/recover", fields{"login": {camille.login}, "code": {inside.shownCode()}})
	for range 4 {
		b.submit("/recover/code", fields{"code": {"999999x"}, "new": {"un autre mot 88"}, "again": {"un autre mot 88"}})
		b.want(http.StatusUnauthorized, "Ce code n’est pas le bon")
	}
	b.submit("/recover/code", fields{"code": {"999999x"}, "new": {"un autre mot 88"}, "again": {"un autre mot 88"}})
	b.want(http.StatusUnauthorized, "Retrouver l’accès")
	inside.get("/recover")
	inside.want(200, "Vous avez un code de secours depuis le")
}

// recoveryPages visits the pages of a recovery with the browser of who is
// signed in, and calls fn with each.
func recoveryPages(p *person, b *browser, fn func(name string, b *browser)) {
	b.get("/account")
	b.submit("/account/recovery", fields{"present": {password}})
	code := b.shownCode()
	fn("recovery code", b)
	b.submit("/sign-out", nil)
	b.get("/recover")
	fn("/recover", b)
	b.submit("/recover", fields{"login": {p.login}, "code": {"x"}})
	fn("wrong recovery code", b)
	b.submit("/recover", fields{"login": {p.login}, "code": {code}})
	fn("/recover/code", b)
	b.submit("/recover/code", fields{"code": {p.h.codes.code(p.contact)}, "new": {password}, "again": {password}})
	fn("recovered", b)
}
