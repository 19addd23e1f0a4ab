// Package safehtml makes what others wrote fit to be shown in a page.
//
// What it returns is the last word of a sanitiser that allows a short list of
// elements and attributes and nothing else: no script, no style, no form, no
// frame, no image but those that came inside the message. The page that shows
// it has a policy of its own besides (see the frame's headers in package web).
package safehtml

import (
	"encoding/base64"
	"io"
	"net/url"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// Limits bound the work on one letter. Zero values take the defaults.
type Limits struct {
	MaxHTML   int // bytes of HTML read; the rest is left out (1 MB)
	MaxImages int // bytes of images put into the page, all together (6 MB)
}

func (l Limits) withDefaults() Limits {
	if l.MaxHTML <= 0 {
		l.MaxHTML = 1000 * 1000
	}
	if l.MaxImages <= 0 {
		l.MaxImages = 6 * 1000 * 1000
	}
	return l
}

// Letter is an HTML letter made safe.
type Letter struct {
	HTML    string // what the sanitiser let through
	Blocked int    // remote images that were left out
	Cut     bool   // the letter was longer than MaxHTML
	Height  int    // rough number of lines when shown, to size its frame
}

// Image gives the content of an image that came with the message by its
// Content-ID without angle brackets, and its type ("image/png"); nil if there
// is none, or if it is none of PNG, JPEG, GIF or WebP.
type Image func(contentID string) (data []byte, mediaType string)

// Cleaner makes letters safe. It may be used by many at once.
type Cleaner struct {
	limits Limits
	policy *bluemonday.Policy
}

// New returns a cleaner.
func New(l Limits) *Cleaner {
	return &Cleaner{limits: l.withDefaults(), policy: policy()}
}

// policy allows what carries the sense of a letter.
func policy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "div", "span", "h1", "h2", "h3", "h4", "h5", "h6",
		"b", "strong", "i", "em", "u", "s", "strike", "del", "ins", "sub", "sup", "small", "big", "mark",
		"blockquote", "pre", "code", "tt", "address", "center", "cite", "q", "abbr",
		"ul", "ol", "li", "dl", "dt", "dd",
		"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td")
	p.AllowAttrs("colspan", "rowspan").Matching(bluemonday.Integer).OnElements("td", "th")
	p.AllowAttrs("align").Matching(bluemonday.CellAlign).OnElements("td", "th", "p", "div")
	p.AllowAttrs("dir").Matching(bluemonday.Direction).OnElements("p", "div", "span", "td", "li", "blockquote")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "tel")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	p.AllowAttrs("src").OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.AllowAttrs("width", "height").Matching(bluemonday.Number).OnElements("img")
	p.AllowDataURIImages()
	p.SkipElementsContent("title", "textarea", "select", "button", "iframe", "object", "noscript", "template",
		"svg", "math", "xmp", "noembed", "noframes", "plaintext", "frameset", "applet", "audio", "video", "canvas")
	return p
}

// Clean reads a letter and returns what may be shown of it. It fails only
// when r does.
func (c *Cleaner) Clean(r io.Reader, image Image) (Letter, error) {
	src, err := io.ReadAll(io.LimitReader(r, int64(c.limits.MaxHTML)+1))
	if err != nil {
		return Letter{}, err
	}
	var out Letter
	if len(src) > c.limits.MaxHTML {
		src, out.Cut = src[:c.limits.MaxHTML], true
	}
	p := &pass{image: image, budget: c.limits.MaxImages}
	p.run(string(src))
	out.Blocked = p.blocked
	p.line()
	out.Height = p.lines
	// The sanitiser comes last: nothing is added to what it lets through.
	out.HTML = c.policy.Sanitize(p.out.String())
	return out, nil
}

// pass rewrites a letter before it is sanitised: images by Content-ID become
// data, remote ones are left out, and a link whose words hide where it leads
// gets its host written beside it.
type pass struct {
	image   Image
	budget  int
	blocked int
	lines   int
	text    int // bytes of text since the last line began
	hidden  int // depth inside elements whose text nobody sees
	link    string
	words   strings.Builder
	out     strings.Builder
}

func (p *pass) run(src string) {
	z := html.NewTokenizer(strings.NewReader(src))
	z.SetMaxBuf(0)
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return
		}
		t := z.Token()
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			p.start(t)
		case html.EndTagToken:
			p.end(t)
		case html.TextToken:
			p.say(t)
		}
	}
}

func (p *pass) start(t html.Token) {
	switch t.Data {
	case "img":
		p.picture(t)
		return
	case "a":
		p.link = goodLink(attr(t, "href"))
		p.words.Reset()
		t.Attr = nil
		if p.link != "" {
			t.Attr = []html.Attribute{{Key: "href", Val: p.link}}
		}
	case "p", "div", "tr", "li", "br", "h1", "h2", "h3", "h4", "h5", "h6", "hr":
		p.line()
	case "style", "script", "title":
		p.hidden++
	}
	p.out.WriteString(t.String())
}

func (p *pass) end(t html.Token) {
	switch t.Data {
	case "style", "script", "title":
		p.hidden = max(0, p.hidden-1)
	case "a":
		if host := p.elsewhere(); host != "" {
			p.out.WriteString(html.EscapeString(" [" + host + "]"))
		}
		p.link = ""
	}
	p.out.WriteString(t.String())
}

func (p *pass) say(t html.Token) {
	if p.hidden == 0 {
		p.text += len(strings.TrimSpace(t.Data))
		if p.link != "" && p.words.Len() < 1024 {
			p.words.WriteString(t.Data)
		}
	}
	p.out.WriteString(t.String())
}

// line counts the lines that the text so far takes, at about 75 bytes each.
func (p *pass) line() {
	if p.text > 0 {
		p.lines += 1 + p.text/75
	}
	p.text = 0
}

// goodLink returns an address that a letter may lead to, else "": the policy
// allows data: for its pictures, and must not for links.
func goodLink(href string) string {
	u, err := url.Parse(strings.TrimSpace(href))
	if err != nil {
		return ""
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host != "" && u.User == nil {
			return u.String()
		}
	case "tel":
		return u.String()
	}
	return ""
}

// picture keeps an image that came with the message and drops every other.
func (p *pass) picture(t html.Token) {
	src := strings.TrimSpace(attr(t, "src"))
	id, inside := cutPrefixFold(src, "cid:")
	if !inside {
		if src != "" {
			p.blocked++
		}
		return
	}
	if u, err := url.PathUnescape(id); err == nil {
		id = u
	}
	if p.image == nil {
		return
	}
	data, kind := p.image(id)
	if !Picture(kind) || len(data) == 0 || len(data) > p.budget {
		return
	}
	p.budget -= len(data)
	p.lines += 8
	clean := html.Token{Type: html.SelfClosingTagToken, Data: "img", Attr: []html.Attribute{
		{Key: "src", Val: "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data)},
		{Key: "alt", Val: attr(t, "alt")},
	}}
	for _, name := range []string{"width", "height"} {
		if v := attr(t, name); v != "" {
			clean.Attr = append(clean.Attr, html.Attribute{Key: name, Val: v})
		}
	}
	p.out.WriteString(clean.String())
}

// elsewhere returns the host that the open link leads to if its words do not
// name it.
func (p *pass) elsewhere() string {
	if p.link == "" {
		return ""
	}
	u, err := url.Parse(p.link)
	if err != nil || u.Host == "" {
		return ""
	}
	shown, ok := firstHost(p.words.String())
	if ok && strings.EqualFold(shown, u.Hostname()) {
		return ""
	}
	return u.Hostname()
}

// Picture reports whether a media type is an image that pages may show.
func Picture(mediaType string) bool {
	switch mediaType {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return true
	}
	return false
}

func attr(t html.Token, name string) string {
	for _, a := range t.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}
