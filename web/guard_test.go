package web_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// pattern finds the lines of the table in routes.go.
var pattern = regexp.MustCompile(`\{"(GET|POST) ([^"]+)", (anyone|signedIn|holder),`)

// addresses returns an address for each route, by "METHOD pattern", and what
// the route needs.
func addresses(t *testing.T) (paths, needs map[string]string) {
	t.Helper()
	b, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{$}", "", "{hash}", "0", "{name}", "portal.css", "{box}", "inbox", "{uid}", "1", "{part}", "2", "{id}", "none", "{file}", "trace.csv")
	paths, needs = map[string]string{}, map[string]string{}
	for _, m := range pattern.FindAllStringSubmatch(string(b), -1) {
		paths[m[1]+" "+m[2]], needs[m[1]+" "+m[2]] = fill.Replace(m[2]), m[3]
	}
	if len(paths) < 35 {
		t.Fatalf("%d routes were found in routes.go", len(paths))
	}
	return paths, needs
}

// checkHeaders checks what every answer carries.
func checkHeaders(t *testing.T, name string, h http.Header) {
	t.Helper()
	for key, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		"Strict-Transport-Security": "max-age=63072000",
	} {
		if h.Get(key) != want {
			t.Errorf("%s: %s is %q", name, key, h.Get(key))
		}
	}
	csp := h.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "http") {
		t.Errorf("%s: policy %q", name, csp)
	}
	if h.Get("Cache-Control") != "no-store" && !strings.HasPrefix(name, "GET /static") {
		t.Errorf("%s: Cache-Control %q", name, h.Get("Cache-Control"))
	}
	if h.Get("X-Frame-Options") == "" {
		t.Errorf("%s may be framed", name)
	}
}

// Every route, for whoever asks: headers and policy.
func TestEveryAnswerCarriesItsHeaders(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, labo := h.holder("Camille", "ROUX"), h.member("resultats", "Laboratoire", "")
	labo.send(camille, report)
	paths, _ := addresses(t)
	for who, b := range map[string]*browser{"stranger": h.browser(), "holder": camille.signIn(), "member": labo.signIn()} {
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for route, path := range paths {
			switch {
			case path == "/events" && who != "stranger": // an open stream is another test
			case strings.HasPrefix(route, "GET"):
				checkHeaders(t, route+" for a "+who, b.get(path).header)
			case path != "/sign-out":
				checkHeaders(t, route+" for a "+who, b.post(path, fields{}).header)
			}
		}
		checkHeaders(t, "GET /nowhere", b.get("/nowhere").header)
		checkHeaders(t, "GET /../x", b.get("/a/../x").header)
	}
}

// The style and the script that pages name are there, and kept for good.
func TestAssetsAreServed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.holder("Camille", "ROUX").signIn()
	n := 0
	for _, m := range regexp.MustCompile(`(?:href|src)="(/static/[^"#]+)`).FindAllStringSubmatch(b.page.body, -1) {
		p := b.get(m[1])
		checkHeaders(t, "GET "+m[1], p.header)
		if p.status != 200 || p.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || p.header.Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", m[1], p.status, p.header)
		}
		if strings.HasSuffix(m[1], ".svg") && (strings.Contains(p.body, "style=") || strings.Contains(p.body, "<script")) {
			t.Errorf("%s holds inline style or script", m[1])
		}
		n++
	}
	if n < 4 {
		t.Errorf("%d assets on the page", n)
	}
}

// G1: no page of the inside for strangers, none of a space for a member.
func TestWhoIsNotKnownIsNotLetIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	moreau := h.member("louise.moreau", "Dr Louise MOREAU", "10")
	stranger, member := h.browser(), moreau.signIn()
	token := formValues(member.page.form("/sign-out")).Get("csrf")
	for _, b := range []*browser{stranger, member} {
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	paths, needs := addresses(t)
	for route, path := range paths {
		get := strings.HasPrefix(route, "GET")
		if needs[route] != "anyone" {
			p := stranger.post
			if get {
				p = func(path string, _ fields) *page { return stranger.get(path) }
			}
			got := p(path, nil)
			led := got.status == http.StatusSeeOther && strings.HasPrefix(got.header.Get("Location"), "/sign-in")
			if got.status != http.StatusUnauthorized && !(get && led) {
				t.Errorf("%s: a stranger got %d %s", route, got.status, got.header.Get("Location"))
			}
		}
		if needs[route] == "holder" {
			status := 0
			if get {
				status = member.get(path).status
			} else {
				status = member.post(path, fields{"csrf": {token}}).status
			}
			if status != http.StatusNotFound {
				t.Errorf("%s: a member got %d", route, status)
			}
		}
	}
}

// Every form is refused without its token, with another session's, and when
// the browser says that another site sent it.
func TestForgedFormsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, labo := h.holder("Camille", "ROUX"), h.member("resultats", "Laboratoire", "")
	labo.send(camille, report)
	b := camille.signIn()
	other := formValues(labo.signIn().page.form("/sign-out")).Get("csrf")
	own := formValues(b.page.form("/sign-out")).Get("csrf")
	if own == other || len(own) < 40 {
		t.Fatalf("tokens %q and %q", own, other)
	}
	paths, _ := addresses(t)
	good := fields{"uid": {"1"}, "op": {"trash"}, "title": {"T"}, "type": {"11502-2"}, "date": {"2026-03-03"}, "to": {labo.address.String()}, "text": {"x"},
		"login": {camille.login}, "password": {password}, "code": {"123456"}}
	n := 0
	for route, path := range paths {
		if !strings.HasPrefix(route, "POST") {
			continue
		}
		n++
		for name, token := range map[string]string{"none": "", "another session's": other, "made up": strings.Repeat("a", 43)} {
			good.Set("csrf", token)
			p := b.post(path, good)
			if strings.HasPrefix(path, "/write/") {
				p = b.upload(path, good)
			}
			if p.status != http.StatusForbidden {
				t.Errorf("%s with the token %s: %d", route, name, p.status)
			}
		}
		good.Set("csrf", own)
		r, err := http.NewRequest(http.MethodPost, h.server.URL+path, strings.NewReader(good.Encode()))
		h.must(err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if p := b.do(r, nil); p.status != http.StatusForbidden {
			t.Errorf("%s from another site: %d", route, p.status)
		}
	}
	if n < 10 {
		t.Fatalf("%d forms", n)
	}
	b.get("/mail/inbox")
	b.want(200, "Résultats de biologie")
	b.get("/dossier")
	b.want(200, "Votre dossier est vide")
}

// Every page: no inline style or script, and what people with assistive
// technology need.
func checkPage(t *testing.T, name string, p *page, lang string) {
	t.Helper()
	count, ids, labelled := map[string]int{}, map[string]int{}, map[string]bool{}
	walk(p.doc, func(n *html.Node) {
		if n.Data == "label" {
			labelled[attr(n, "for")] = true
			walk(n, func(c *html.Node) { labelled["name "+attr(c, "name")+attr(c, "value")] = true })
		}
	})
	walk(p.doc, func(n *html.Node) {
		count[n.Data]++
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: <%s %s>", name, n.Data, a.Key)
			}
			if a.Key == "id" {
				if ids[a.Val]++; ids[a.Val] > 1 {
					t.Errorf("%s: the id %q stands twice", name, a.Val)
				}
			}
		}
		switch n.Data {
		case "html":
			if attr(n, "lang") != lang {
				t.Errorf("%s: lang %q", name, attr(n, "lang"))
			}
		case "script":
			if !strings.HasPrefix(attr(n, "src"), "/static/") || textOf(n) != "" {
				t.Errorf("%s: an inline script", name)
			}
		case "style":
			t.Errorf("%s: an inline style", name)
		case "img":
			if !strings.Contains(renderAttrs(n), "alt=") {
				t.Errorf("%s: a picture without alt: %s", name, renderAttrs(n))
			}
		case "iframe":
			if attr(n, "title") == "" || attr(n, "sandbox") == "" {
				t.Errorf("%s: a frame without title or sandbox", name)
			}
		case "button", "a":
			if textOf(n) == "" && attr(n, "aria-label") == "" && attr(n, "aria-hidden") != "true" && !strings.Contains(p.body, "picture") {
				t.Errorf("%s: a <%s> that says nothing: %s", name, n.Data, renderAttrs(n))
			}
		case "input", "select", "textarea":
			if attr(n, "type") != "hidden" && !labelled[attr(n, "id")] && !labelled["name "+attr(n, "name")+attr(n, "value")] {
				t.Errorf("%s: a field without label: %s", name, renderAttrs(n))
			}
		}
	})
	if count["h1"] != 1 || count["main"] != 1 || count["header"] < 1 || count["footer"] != 1 || !strings.Contains(p.body, `class="skip" href="#main"`) {
		t.Errorf("%s: landmarks: %d h1, %d main, %d header, %d footer", name, count["h1"], count["main"], count["header"], count["footer"])
	}
	checkReferences(t, name, p, ids)
}

// checkReferences checks that what pages point at within themselves is there.
func checkReferences(t *testing.T, name string, p *page, ids map[string]int) {
	walk(p.doc, func(n *html.Node) {
		for _, key := range []string{"for", "aria-labelledby", "aria-describedby"} {
			for _, id := range strings.Fields(attr(n, key)) {
				if ids[id] == 0 {
					t.Errorf("%s: %s=%q leads nowhere", name, key, id)
				}
			}
		}
	})
}

func renderAttrs(n *html.Node) string {
	out := n.Data
	for _, a := range n.Attr {
		out += " " + a.Key + "=" + a.Val
	}
	return out
}
