package safehtml_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/sys/unix"

	"pli/web/safehtml"
)

func clean(t testing.TB, src string, image safehtml.Image) safehtml.Letter {
	t.Helper()
	l, err := safehtml.New(safehtml.Limits{}).Clean(strings.NewReader(src), image)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var png = []byte("\x89PNG\r\n\x1a\n.....")

func oneImage(id string) ([]byte, string) {
	if id == "logo@labo" {
		return png, "image/png"
	}
	return nil, ""
}

// safeElements and safeAttributes are all that may ever come out.
var safeElements = strings.Fields("p br hr div span h1 h2 h3 h4 h5 h6 b strong i em u s strike del ins sub sup small big mark " +
	"blockquote pre code tt address center cite q abbr ul ol li dl dt dd table caption thead tbody tfoot tr th td a img")

var safeAttributes = map[string]bool{
	"a href": true, "a rel": true, "a target": true, "img src": true, "img alt": true, "img width": true, "img height": true,
	"td colspan": true, "td rowspan": true, "th colspan": true, "th rowspan": true,
	"td align": true, "th align": true, "p align": true, "div align": true,
	"p dir": true, "div dir": true, "span dir": true, "td dir": true, "li dir": true, "blockquote dir": true,
}

// harmless reports what a browser would find in s beyond what is allowed.
func harmless(t *testing.T, name, s string) {
	t.Helper()
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.CommentToken, html.DoctypeToken:
			t.Errorf("%s: a comment or doctype came through: %s", name, s)
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			known := false
			for _, e := range safeElements {
				known = known || e == token.Data
			}
			if !known {
				t.Errorf("%s: <%s> came through: %s", name, token.Data, s)
			}
			for _, a := range token.Attr {
				if !safeAttributes[token.Data+" "+a.Key] {
					t.Errorf("%s: %s=%q on <%s> came through: %s", name, a.Key, a.Val, token.Data, s)
				}
				v := strings.ToLower(strings.TrimSpace(a.Val))
				if a.Key == "href" && !strings.HasPrefix(v, "https://") && !strings.HasPrefix(v, "http://") && !strings.HasPrefix(v, "tel:") {
					t.Errorf("%s: link to %q", name, a.Val)
				}
				if a.Key == "src" && !strings.HasPrefix(v, "data:image/png;base64,") {
					t.Errorf("%s: image from %q", name, a.Val)
				}
			}
		}
	}
}

// Each sample tries another way to run script, to load from afar, or to lay
// something over the page.
func TestHostileLettersAreHarmless(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/hostile/*.harmless.html")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		harmless(t, filepath.Base(f), clean(t, string(b), oneImage).HTML)
	}
}

func TestWhatCarriesTheSenseStays(t *testing.T) {
	t.Parallel()
	src := `<html><head><title>x</title><style>p{color:red}</style></head><body onload="a()">
		<h1>Résultats</h1><p style="color:red" class="x">Bonjour <b>Madame</b>,<br>voici&nbsp;:</p>
		<table width="600"><tr><td colspan="2" bgcolor="red">Glycémie</td><td>0,92 g/L</td></tr></table>
		<ul><li>un</li></ul><img src="cid:logo@labo" alt="Logo" width="80" onerror="x()"></body></html>`
	l := clean(t, src, oneImage)
	for _, want := range []string{"<h1>Résultats</h1>", "<b>Madame</b>", `<td colspan="2">Glycémie</td>`, "<li>un</li>", `src="data:image/png;base64,`, `alt="Logo"`} {
		if !strings.Contains(l.HTML, want) {
			t.Errorf("%s is lost: %s", want, l.HTML)
		}
	}
	harmless(t, "letter", l.HTML)
	if strings.Contains(l.HTML, "color:red") || strings.Contains(l.HTML, "<title>") || strings.Contains(l.HTML, ">x<") {
		t.Errorf("style or title came through: %s", l.HTML)
	}
}

func TestRemoteImagesAreLeftOutAndCounted(t *testing.T) {
	t.Parallel()
	l := clean(t, `<img src="https://pisteur.example/1.gif"><img src="//x/y.png"><img src="http://z"><img src="cid:none"><p>texte</p>`, oneImage)
	if l.Blocked != 3 || strings.Contains(l.HTML, "<img") || !strings.Contains(l.HTML, "texte") {
		t.Errorf("%d blocked: %s", l.Blocked, l.HTML)
	}
}

func TestALinkTellsWhereItLeads(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		`<a href="https://mauvais.example/x">https://banque.example</a>`: " [mauvais.example]",
		`<a href="https://mauvais.example/x">Cliquez ici</a>`:            " [mauvais.example]",
		`<a href="https://labo.example/x">https://labo.example/x</a>`:    "",
		`<a href="https://labo.example/x">labo.example</a>`:              "",
		`<a href="tel:+33400000000">04 00</a>`:                           "",
	} {
		l := clean(t, src, nil)
		if got := strings.Contains(l.HTML, " ["); got != (want != "") || !strings.Contains(l.HTML, want) {
			t.Errorf("%s: %s", src, l.HTML)
		}
		if !strings.Contains(l.HTML, `rel="`) || !strings.Contains(l.HTML, "noreferrer") {
			t.Errorf("a link tells where the reader comes from: %s", l.HTML)
		}
	}
}

func TestLimitsOfALetter(t *testing.T) {
	t.Parallel()
	c := safehtml.New(safehtml.Limits{MaxHTML: 1000, MaxImages: 2 * len(png)})
	for n, cut := range map[int]bool{1000: false, 1001: true} {
		l, err := c.Clean(strings.NewReader(strings.Repeat("a", n)), nil)
		if err != nil || l.Cut != cut || len(l.HTML) != 1000 {
			t.Errorf("%d bytes: cut %v, %d bytes, %v", n, l.Cut, len(l.HTML), err)
		}
	}
	for n, want := range map[int]int{2: 2, 3: 2} {
		l, err := c.Clean(strings.NewReader(strings.Repeat(`<img src="cid:logo@labo">`, n)), oneImage)
		if got := strings.Count(l.HTML, "<img"); err != nil || got != want {
			t.Errorf("%d images: %d shown, %v", n, got, err)
		}
	}
}

// Nothing in a letter makes it costly.
func TestDeepAndWideLettersAreCheap(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for name, src := range map[string]string{
		"deep":       strings.Repeat("<div>", 200_000),
		"attributes": "<p " + strings.Repeat("a=b ", 250_000) + ">",
		"open":       strings.Repeat("<", 1_000_000),
		"entities":   strings.Repeat("&amp;", 200_000),
		"comment":    "<!--" + strings.Repeat("-", 999_000),
		"links":      strings.Repeat(`<a href="https://x.y">`, 45_000),
	} {
		start := processorTime(t)
		clean(t, src, nil)
		if d := processorTime(t) - start; d > 5*time.Second {
			t.Errorf("%s took %v of a processor", name, d)
		}
	}
}

// processorTime returns how long this thread has run on a processor, whatever
// else the machine does.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func FuzzClean(f *testing.F) {
	files, _ := filepath.Glob("testdata/hostile/*.harmless.html")
	for _, name := range files {
		b, _ := os.ReadFile(name)
		f.Add(b)
	}
	c := safehtml.New(safehtml.Limits{MaxHTML: 4096})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := c.Clean(bytes.NewReader(b), oneImage)
		if err != nil {
			t.Fatal(err)
		}
		harmless(t, "fuzz", l.HTML)
	})
}
