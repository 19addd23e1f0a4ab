package safehtml_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"pli/web/safehtml"
)

func TestPlainTextIsEscapedAndLinked(t *testing.T) {
	t.Parallel()
	const rel = ` rel="nofollow noopener noreferrer" target="_blank">`
	for text, want := range map[string]string{
		`<script>alert(1)</script>`:        `&lt;script&gt;alert(1)&lt;/script&gt;`,
		`voir https://labo.example/a?b=1.`: `voir <a href="https://labo.example/a?b=1"` + rel + `https://labo.example/a?b=1</a>.`,
		`(https://labo.example/(x))`:       `(<a href="https://labo.example/(x)"` + rel + `https://labo.example/(x)</a>)`,
		`www.labo.example`:                 `<a href="https://www.labo.example"` + rel + `www.labo.example</a>`,
		`javascript:alert(1)`:              `javascript:alert(1)`,
		`https://user:pass@evil.example/`:  `https://user:pass@evil.example/`,
		`https://x.example/"onclick="a()`:  `<a href="https://x.example/"` + rel + `https://x.example/</a>&#34;onclick=&#34;a()`,
		"a\u202egnp.exe\u0007b":            `agnp.exeb`,
	} {
		if got := safehtml.Line(text); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", text, got, want)
		}
	}
}

func TestQuotationsAreTakenApart(t *testing.T) {
	t.Parallel()
	text := "Merci.\r\n\r\nLe 3 mars, X a écrit :\r\n> Bonjour\r\n> > Question ?\r\n>> Encore\r\n> Fin\r\n\r\nÀ bientôt\r\n"
	var got []string
	for _, b := range safehtml.Text(text) {
		got = append(got, fmt.Sprintf("%d:%s", b.Depth, strings.ReplaceAll(b.HTML, "\n", "/")))
	}
	want := "0:Merci.//Le 3 mars, X a écrit : 1:Bonjour 2:Question ?/Encore 1:Fin 0:À bientôt"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
	if n := len(safehtml.Text(" \r\n\r\n")); n != 0 {
		t.Errorf("%d blocks of nothing", n)
	}
}

func FuzzText(f *testing.F) {
	f.Add("> a\n>> https://x.y/<b>")
	f.Fuzz(func(t *testing.T, s string) {
		for _, b := range safehtml.Text(s) {
			z := html.NewTokenizer(strings.NewReader(b.HTML))
			for z.Next() != html.ErrorToken {
				if token := z.Token(); token.Type == html.StartTagToken {
					if token.Data != "a" || len(token.Attr) != 3 || !strings.HasPrefix(strings.ToLower(token.Attr[0].Val), "http") {
						t.Errorf("%q becomes %s", s, b.HTML)
					}
				}
			}
		}
	})
}
