package web_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// G1, A3: identifier and password, then a one-time code.
func TestSigningInAsksForPasswordThenCode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	b := h.browser()
	b.get("/mail/inbox?page=2")
	b.want(200, "Se connecter", "code à usage unique")
	if got := b.page.url.RequestURI(); got != "/sign-in?next=%2Fmail%2Finbox%3Fpage%3D2" {
		t.Errorf("led to %s", got)
	}
	for _, wrong := range []fields{
		{"login": {camille.login}, "password": {"autre chose 123"}},
		{"login": {"personne"}, "password": {password}},
	} {
		b.submit("/sign-in", wrong)
		b.want(http.StatusUnauthorized, "Identifiant ou mot de passe inexact")
	}
	b.submit("/sign-in", fields{"login": {camille.login}, "password": {password}})
	b.want(200, "Votre code", "h…@courriel.test")
	b.submit("/sign-in/code", fields{"code": {"000000"}})
	b.want(http.StatusUnauthorized, "Ce code n’est pas le bon")
	code := h.codes.code(camille.contact)
	b.submit("/sign-in/code", fields{"code": {code[:3] + " " + code[3:]}})
	b.want(200, "Boîte de réception", "Camille ROUX", "Pas encore de message")
	if got := b.page.url.RequestURI(); got != "/mail/inbox?page=2" {
		t.Errorf("after sign-in at %s", got)
	}
	b.get("/sign-in")
	b.want(200, "Boîte de réception")

	b.submit("/sign-out", nil)
	b.want(200, "Vous êtes déconnecté")
	b.get("/mail/inbox")
	b.want(200, "Se connecter")
}

// A session's cookie is of no use to scripts, to other sites, or in clear.
func TestCookiesOfASession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	b := h.browser()
	b.get("/sign-in")
	b.submit("/sign-in", fields{"login": {camille.login}, "password": {password}})
	form := b.page.form("/sign-in/code")
	values := formValues(form)
	values.Set("code", h.codes.code(camille.contact))
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p := b.post("/sign-in/code", values)
	set := p.header.Values("Set-Cookie")
	found := false
	for _, c := range set {
		for _, want := range []string{"__Host-", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Strict"} {
			if !strings.Contains(c, want) {
				t.Errorf("%s lacks %s", c, want)
			}
		}
		found = found || strings.HasPrefix(c, "__Host-pli=")
	}
	if !found || strings.Contains(strings.Join(set, " "), "Domain=") {
		t.Errorf("cookies: %q", set)
	}
}

// Nobody is led off the portal by a link to its sign-in.
func TestNextLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	for _, next := range []string{"https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\t/evil.example", "\\\\evil"} {
		b := h.browser()
		b.get("/sign-in?next=" + strings.NewReplacer("/", "%2F", "\\", "%5C", "\t", "%09", ":", "%3A").Replace(next))
		b.submit("/sign-in", fields{"login": {camille.login}, "password": {password}})
		b.submit("/sign-in/code", fields{"code": {h.codes.code(camille.contact)}})
		if b.page.url.Path != "/mail/inbox" || b.page.status != 200 {
			t.Errorf("%q led to %s (%d)", next, b.page.url, b.page.status)
		}
	}
}

// A link in a letter or a notice comes without our strict cookie; the page
// asks for itself again and is then known.
func TestALinkFromElsewhereFindsTheSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.browser()
	r, err := http.NewRequest(http.MethodGet, h.server.URL+"/mail/inbox", nil)
	h.must(err)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	p := b.do(r, nil)
	b.want(200, "Un instant")
	if !strings.Contains(p.body, `http-equiv="refresh"`) || !strings.Contains(p.body, `url=/mail/inbox`) {
		t.Error("the page does not ask for itself again")
	}
}

// H8: sessions are listed and ended; a changed password ends the others.
func TestSessionsAndPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	here, there := camille.signIn(), camille.signIn()
	here.get("/account")
	here.want(200, "Ici, maintenant", "Ailleurs", camille.address.String())
	here.submit("/account/session/end", nil)
	here.want(200, "Cette session est fermée")
	here.lacks("Ailleurs")
	there.get("/mail/inbox")
	there.want(200, "Se connecter")

	there = camille.signIn()
	here.get("/account")
	change := func(present, next, again string) *page {
		return here.submit("/account/password", fields{"present": {present}, "new": {next}, "again": {again}})
	}
	change(password, "quatre petits pots", "autre")
	here.want(http.StatusUnprocessableEntity, "ne sont pas les mêmes")
	change("faux", "quatre petits pots", "quatre petits pots")
	here.want(http.StatusForbidden, "n’est pas le bon")
	change(password, "court", "court")
	here.want(http.StatusUnprocessableEntity, "trop simple")
	change(password, "quatre petits pots", "quatre petits pots")
	here.want(200, "Votre mot de passe est changé")
	there.get("/mail/inbox")
	there.want(200, "Se connecter")
}

// D5: a mail password is shown once, works, and is of no use once removed.
func TestMailPasswordIsShownOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	b := camille.signIn()
	b.get("/account")
	b.want(200, "Réglages pour Thunderbird", "portail.pli.test", "993", "465", "SSL/TLS")
	b.submit("/account/mail-password", fields{"label": {"Tablette"}})
	b.want(200, "Mot de passe pour « Tablette »", "il ne sera plus jamais affiché")
	i := strings.Index(b.page.body, `secret-word`)
	secret := b.page.body[i:]
	secret = secret[strings.IndexByte(secret, '>')+1 : strings.IndexByte(secret, '<')]
	if _, err := h.signin.Mail(t.Context(), camille.address.String(), secret); err != nil {
		t.Errorf("the password %q does not open: %v", secret, err)
	}
	b.get("/account")
	b.want(200, "Tablette", "Retirer")
	b.lacks(secret)
	b.submit("/account/mail-password/remove", nil)
	b.want(200, "Ce mot de passe ne sert plus")
	b.lacks("Tablette")
	if _, err := h.signin.Mail(t.Context(), camille.address.String(), secret); err == nil {
		t.Error("a removed password still opens")
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the password is in the log")
	}
}

// What a browser sends back is input like any other.
func TestStrangeCookiesDoNoHarm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	b := camille.signIn()
	at, err := url.Parse(h.server.URL)
	h.must(err)
	session := ""
	for _, c := range b.client.Jar.Cookies(at) {
		if c.Name == "__Host-pli" {
			session = c.Value
		}
	}
	notes := []string{"x", "e30", base64.RawURLEncoding.EncodeToString([]byte(`{"k":"err.internal"}`)),
		base64.RawURLEncoding.EncodeToString([]byte(`{"k":"note.sent","l":{"h":"//evil.example","k":"note.sent.link"},"u":{"b":"\"><script>","i":[1],"t":"x"}}`)),
		base64.RawURLEncoding.EncodeToString([]byte(`{"k":"note.trash"}`)), strings.Repeat("A", 3000)}
	for _, value := range notes {
		for _, path := range []string{"/mail/inbox", "/sign-in/code", "/sign-in"} {
			r, err := http.NewRequest(http.MethodGet, h.server.URL+path, nil)
			h.must(err)
			for _, name := range []string{"note", "code", "lang", "form"} {
				r.AddCookie(&http.Cookie{Name: "__Host-pli-" + name, Value: value})
			}
			r.AddCookie(&http.Cookie{Name: "__Host-pli", Value: session})
			client := *b.client
			client.Jar = nil
			resp, err := client.Do(r)
			h.must(err)
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode >= 500 || strings.Contains(string(body), "evil.example") || strings.Contains(string(body), "<script>") {
				t.Errorf("%s with %.40q: %d", path, value, resp.StatusCode)
			}
		}
	}
}
