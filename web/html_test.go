package web_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// An HTML letter is shown in a frame of its own: sanitised, without script,
// loading nothing from elsewhere.
func TestAnHTMLLetterIsShownInItsFrame(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	png := "\x89PNG\r\n\x1a\nlogo"
	related := parts("related", part("text/html; charset=utf-8", "", `<p onclick="x()">Bonjour <b>Madame</b></p><script>alert(1)</script><img src="cid:logo@x" alt="Logo"><img src="https://pisteur.example/p.gif"><a href="https://mauvais.example/">banque.example</a>`),
		part("image/png", "cid:logo@x", png))
	raw := "From: Dr Louise MOREAU <louise.moreau@medecin.pli.test>\r\nTo: <" + camille.address.String() + ">\r\nDate: Mon, 2 Mar 2026 09:30:00 +0100\r\n" +
		"Message-ID: <h@medecin.pli.test>\r\nSubject: Mise en forme\r\nMIME-Version: 1.0\r\n" + parts("alternative", part("text/plain; charset=utf-8", "", "Bonjour en texte"), related)
	h.must(moreau.sendRaw(camille, raw))
	b := camille.signIn()
	b.follow("Mise en forme")
	b.want(200, "Une image distante n’a pas été chargée", "Afficher en texte simple")
	b.lacks("Bonjour en texte", "pièce jointe")
	frame := ""
	walk(b.page.doc, func(n *html.Node) {
		if n.Data == "iframe" {
			frame = attr(n, "src")
			if attr(n, "sandbox") != "allow-popups allow-popups-to-escape-sandbox" {
				t.Errorf("sandbox %q", attr(n, "sandbox"))
			}
		}
	})
	p := b.get(frame)
	b.want(200, "Bonjour Madame", "banque.example [mauvais.example]")
	csp := p.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "img-src data:", "frame-ancestors 'self'", "sandbox allow-popups allow-popups-to-escape-sandbox", "form-action 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("the frame's policy lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(csp, "script-src") || p.header.Get("X-Frame-Options") != "SAMEORIGIN" {
		t.Errorf("%v", p.header)
	}
	for _, bad := range []string{"<script", "onclick", "pisteur", "<img src=\"http"} {
		if strings.Contains(p.body, bad) {
			t.Errorf("the frame holds %s: %s", bad, p.body)
		}
	}
	if strings.Count(p.body, `src="data:image/png;base64,`) != 1 {
		t.Errorf("the letter's own picture is missing: %s", p.body)
	}
	b.get("/mail/inbox/1?as=text")
	b.want(200, "Bonjour en texte", "Afficher la mise en forme")
}

// The hostile samples, through the whole portal.
func TestHostileLettersThroughThePortal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	camille, moreau := h.holder("Camille", "ROUX"), h.member("louise.moreau", "Dr Louise MOREAU", "10")
	files, err := filepath.Glob("safehtml/testdata/hostile/*.harmless.html")
	h.must(err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		h.must(err)
		name := filepath.Base(f)
		moreau.send(camille, letter{subject: name + ` <script>alert("s")</script>`, text: string(b), html: string(b),
			files: []attachment{{"image/png", `"><script>alert(1)</script>.png`, "x"}}})
	}
	b := camille.signIn()
	for i := range files {
		path := "/mail/inbox/" + itoa(i+1)
		for _, p := range []*page{b.get(path), b.get(path + "?as=text"), b.get(path + "/reply")} {
			if p.status != 200 {
				t.Fatalf("%s: %d", files[i], p.status)
			}
			checkPage(t, files[i], p, "fr")
		}
		p := b.get(path + "/letter/1.2")
		walk(p.doc, func(n *html.Node) {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcset" || a.Key == "action" ||
					a.Key == "href" && !strings.HasPrefix(a.Val, "http") && !strings.HasPrefix(a.Val, "/static/") {
					t.Errorf("%s: <%s %s=%q>", files[i], n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "script" || n.Data == "form" || n.Data == "svg" || n.Data == "base" || n.Data == "style" || n.Data == "object" {
				t.Errorf("%s: <%s>", files[i], n.Data)
			}
		})
	}
}
