package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pli/web"
	"pli/web/words"
)

// allPages visits every page of a holder's portal, and calls fn with each.
func allPages(h *house, fn func(name string, b *browser)) {
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	moreau.send(camille, report)
	moreau.send(camille, letter{subject: "", text: "a\n> b\n", html: "<p>a</p><img src='https://x.example/y'>", files: []attachment{{"image/png", "a.png", "\x89PNG\r\n\x1a\n"}}})
	moreau.send(camille, letter{subject: "RDV", text: "x", files: []attachment{{"text/calendar", "a.ics", "BEGIN:VEVENT\r\nDTSTART:20200410T083000\r\nSTATUS:CANCELLED\r\nEND:VEVENT\r\n"}}})
	b := h.browser()
	visit := func(path string) {
		b.get(path)
		fn(path, b)
	}
	visit("/sign-in")
	b.submit("/sign-in", fields{"login": {"x"}, "password": {"y"}})
	fn("wrong password", b)
	b.submit("/sign-in", fields{"login": {camille.login}, "password": {password}})
	fn("code", b)
	b.submit("/sign-in/code", fields{"code": {"999999x"}})
	fn("wrong code", b)
	b.submit("/sign-in/code", fields{"code": {h.codes.code(camille.contact)}})
	for _, path := range []string{"/mail/inbox", "/mail/inbox?q=glyc", "/mail/inbox?q=none", "/mail/sent", "/mail/drafts", "/mail/archive", "/mail/junk", "/mail/trash",
		"/mail/trash/empty", "/mail/inbox/1", "/mail/inbox/2", "/mail/inbox/2?as=text", "/mail/inbox/3", "/mail/inbox/1/open/2", "/mail/inbox/2/open/2",
		"/mail/inbox/1/delete", "/mail/inbox/1/reply", "/write", "/mail/inbox/1/file/2", "/dossier", "/trace", "/trace?who=others", "/account", "/account/key", "/nowhere"} {
		visit(path)
	}
	b.get("/mail/inbox/1/file/2")
	b.submit("/mail/inbox/1/file/2", nil)
	fn("document", b)
	b.get("/mail/inbox/1/file/2")
	b.submit("/mail/inbox/1/file/2", fields{"title": {"Autre titre"}})
	fn("filed already", b)
	visit("/dossier")
	b.get("/mail/inbox/1/reply")
	b.submit("/write/draft", fields{"text": {"x"}}, attachment{name: "a.pdf", content: "%PDF-1.4"})
	fn("drafts", b)
	visit("/mail/drafts/1/edit")
	moreau.send(camille, letter{subject: "[FIN]", text: "x"})
	visit("/mail/inbox/4")
	b.get("/mail/inbox/4")
	b.submit("/mail/inbox/act", fields{"op": {"trash"}})
	fn("undo", b)
	visit("/mail/trash/1")
	b.get("/account")
	b.submit("/account/mail-password", fields{"label": {"x"}})
	fn("secret", b)
	recoveryPages(camille, b, fn)
}

// G3: all pages, in both languages, are whole and made for everybody.
func TestAllPagesInBothLanguages(t *testing.T) {
	t.Parallel()
	book, err := words.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range words.Langs() {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			foreign := sentences(book, l)
			seen := map[string]bool{}
			first := true
			allPages(h, func(name string, b *browser) {
				if first {
					first = false
					b.get("/sign-in?lang=" + string(l))
					if b.page.url.RequestURI() != "/sign-in" {
						t.Errorf("the language stays in the address: %s", b.page.url)
					}
				}
				seen[name] = true
				checkPage(t, name, b.page, string(l))
				if got := b.page.header.Get("Content-Language"); got != string(l) {
					t.Errorf("%s: Content-Language %q", name, got)
				}
				for _, s := range foreign {
					if strings.Contains(b.page.text(), s) {
						t.Errorf("%s says %q", name, s)
					}
				}
			})
			if len(seen) < 25 {
				t.Errorf("%d pages were looked at", len(seen))
			}
		})
	}
}

// sentences returns the whole sentences of the other language, which no page
// in l may show.
func sentences(book *words.Book, l words.Lang) []string {
	other := words.French
	if l == words.French {
		other = words.English
	}
	var out []string
	for _, key := range book.Keys() {
		s := book.Say(other, key)
		if len(s) > 14 && !strings.ContainsAny(s, "%|") && !strings.HasPrefix(key, "lang.") && s != book.Say(l, key) {
			out = append(out, s)
		}
	}
	return out
}

// Every sentence that templates and code name is in the book, and none in the
// book is without use.
func TestSentencesAreThereAndUsed(t *testing.T) {
	t.Parallel()
	book, err := words.Load()
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, glob := range []string{"templates/*.html", "templates/layout/*.html", "*.go"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", glob, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(b)
		}
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b(?:t|tn|say|sorry\([^"]*) ?\(?"([a-z0-9.-]+)"`).FindAllStringSubmatch(sources.String(), -1) {
		if used[m[1]] = true; !book.Has(m[1]) && !strings.HasSuffix(m[1], ".") {
			t.Errorf("%q is said and is not in the book", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`"([a-z0-9.-]+)"`).FindAllStringSubmatch(sources.String(), -1) {
		used[m[1]] = true
	}
	made := []string{"profession.", "actor.", "trace.", "rule.", "why.", "file.", "box.", "note.", "lang."} // keys made of a word and a value
	for _, key := range book.Keys() {
		ok := used[key]
		for _, prefix := range made {
			ok = ok || strings.HasPrefix(key, prefix)
		}
		if !ok {
			t.Errorf("%q is in the book and nobody says it", key)
		}
	}
}

// What goes wrong on our side stays on our side.
func TestAnInternalErrorTellsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille := h.holder("Camille", "ROUX")
	b := camille.signIn()
	h.db.Close()
	b.get("/mail/inbox")
	b.want(http.StatusInternalServerError, "Une erreur s’est produite de notre côté")
	b.lacks("store", "closed", "bolt")
	if !strings.Contains(h.log.String(), "page failed") {
		t.Error("nothing is in the log")
	}
	h.people = nil // the store is closed: nothing can be verified
}

// No content, subject or address in the log.
func TestTheLogHoldsNoContent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	allPages(h, func(string, *browser) {})
	for _, secret := range []string{"Résultats", "louise.moreau", "180017500", "ROUX", "glyc", "csrf"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, h.log.String())
		}
	}
}

func TestAPortalNeedsItsRooms(t *testing.T) {
	t.Parallel()
	if _, err := web.New(web.Config{BaseURL: "https://portail.pli.test"}); err == nil {
		t.Error("a portal without rooms was made")
	}
	for _, base := range []string{"", "http://portail.pli.test", "https://", "::"} {
		if _, err := web.New(web.Config{BaseURL: base}); err == nil {
			t.Errorf("BaseURL %q was taken", base)
		}
	}
}
