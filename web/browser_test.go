package web_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"pli/certs/keyring"
)

// browser is somebody at the portal: it keeps cookies, follows redirects, and
// fills in the forms that the pages show.
type browser struct {
	t      testing.TB
	h      *house
	client *http.Client
	page   *page
}

// page is an answer.
type page struct {
	url    *url.URL
	status int
	header http.Header
	body   string
	doc    *html.Node
}

func (h *house) browser() *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	h.must(err)
	client := *h.server.Client()
	client.Jar = jar
	return &browser{t: h.t, h: h, client: &client}
}

// signIn returns a browser in which the person is signed in.
func (p *person) signIn() *browser {
	p.h.t.Helper()
	b := p.h.browser()
	b.get("/sign-in")
	b.submit("/sign-in", fields{"login": {p.login}, "password": {password}})
	b.submit("/sign-in/code", fields{"code": {p.h.codes.code(p.contact)}})
	b.want(200, "Boîte de réception")
	return b
}

type fields = url.Values

func (b *browser) do(r *http.Request, err error) *page {
	b.t.Helper()
	b.h.must(err)
	resp, err := b.client.Do(r)
	b.h.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	b.h.must(err)
	p := &page{url: resp.Request.URL, status: resp.StatusCode, header: resp.Header, body: string(body)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		p.doc, err = html.Parse(strings.NewReader(p.body))
		b.h.must(err)
		if strings.Contains(p.body, "⟦") || strings.Contains(p.body, "%!") || strings.Contains(p.body, " | ") {
			b.t.Errorf("%s: a sentence is missing or ill used: %s", p.url.Path, around(p.body, "⟦", "%!", " | "))
		}
	}
	b.page = p
	return p
}

// around returns what stands around the first of some texts.
func around(s string, marks ...string) string {
	for _, m := range marks {
		if i := strings.Index(s, m); i >= 0 {
			return s[max(0, i-80):min(len(s), i+80)]
		}
	}
	return ""
}

// get asks for an address of the portal.
func (b *browser) get(path string) *page {
	b.t.Helper()
	return b.do(http.NewRequest(http.MethodGet, b.h.server.URL+path, nil))
}

// post sends a form to an address, whatever the page shows.
func (b *browser) post(path string, f fields) *page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.h.server.URL+path, strings.NewReader(f.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.do(r, err)
}

// submit fills in the form on the page that goes to action, and sends it.
func (b *browser) submit(action string, f fields, files ...attachment) *page {
	b.t.Helper()
	form := b.page.form(action)
	if form == nil {
		b.t.Fatalf("%s shows no form to %s:\n%s", b.page.url.Path, action, b.page.text())
	}
	values := formValues(form)
	for k, v := range f {
		values[k] = v
	}
	if attr(form, "enctype") != "multipart/form-data" {
		return b.post(action, values)
	}
	return b.upload(action, values, files...)
}

// upload sends a form with files: the fields first, in any order, the files
// last, as browsers do with the form of the portal.
func (b *browser) upload(action string, values fields, files ...attachment) *page {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, list := range values {
		for _, v := range list {
			b.h.must(w.WriteField(k, v))
		}
	}
	if len(files) == 0 {
		files = []attachment{{}}
	}
	for _, f := range files {
		p, err := w.CreateFormFile("file", f.name)
		b.h.must(err)
		io.WriteString(p, f.content)
	}
	b.h.must(w.Close())
	r, err := http.NewRequest(http.MethodPost, b.h.server.URL+action, &body)
	if err == nil {
		r.Header.Set("Content-Type", w.FormDataContentType())
	}
	return b.do(r, err)
}

// follow goes where the link with these words leads.
func (b *browser) follow(words string) *page {
	b.t.Helper()
	var href string
	walk(b.page.doc, func(n *html.Node) {
		if n.Data == "a" && href == "" && strings.Contains(textOf(n), words) {
			href = attr(n, "href")
		}
	})
	if href == "" {
		b.t.Fatalf("%s has no link %q:\n%s", b.page.url.Path, words, b.page.text())
	}
	u, err := b.page.url.Parse(href)
	b.h.must(err)
	return b.get(u.RequestURI())
}

// want checks the page's status and that it says some words.
func (b *browser) want(status int, words ...string) {
	b.t.Helper()
	if b.page.status != status {
		b.t.Fatalf("%s: status %d, want %d:\n%s\n%s", b.page.url.Path, b.page.status, status, b.page.text(), b.h.log.String())
	}
	text := b.page.text()
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.t.Errorf("%s does not say %q:\n%s", b.page.url.Path, w, text)
		}
	}
}

// lacks checks that the page does not say some words.
func (b *browser) lacks(words ...string) {
	b.t.Helper()
	for _, w := range words {
		if strings.Contains(b.page.text(), w) {
			b.t.Errorf("%s says %q:\n%s", b.page.url.Path, w, b.page.text())
		}
	}
}

// text returns what a reader sees, in one line.
func (p *page) text() string {
	if p.doc == nil {
		return p.body
	}
	return textOf(p.doc)
}

func textOf(n *html.Node) string {
	var out []string
	var visit func(*html.Node)
	visit = func(n *html.Node) {
		if n.Type == html.TextNode {
			out = append(out, n.Data)
		}
		if n.Type == html.ElementNode && (n.Data == "option" || n.Data == "head") {
			return
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			visit(c)
		}
	}
	visit(n)
	return strings.ReplaceAll(strings.Join(strings.Fields(strings.Join(out, " ")), " "), "\u00a0", " ")
}

func walk(n *html.Node, fn func(*html.Node)) {
	if n == nil {
		return
	}
	if n.Type == html.ElementNode {
		fn(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, fn)
	}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// form returns the form that goes to an address, or one of whose buttons does.
func (p *page) form(action string) *html.Node {
	var found *html.Node
	walk(p.doc, func(n *html.Node) {
		if n.Data != "form" || found != nil {
			return
		}
		if attr(n, "action") == action {
			found = n
		}
		walk(n, func(c *html.Node) {
			if attr(c, "formaction") == action {
				found = n
			}
		})
	})
	return found
}

// formValues returns what a form sends as it stands.
func formValues(form *html.Node) fields {
	f := fields{}
	walk(form, func(n *html.Node) {
		name := attr(n, "name")
		switch {
		case name == "":
		case n.Data == "textarea":
			text := ""
			if n.FirstChild != nil {
				text = n.FirstChild.Data
			}
			f.Set(name, text)
		case n.Data == "select":
			walk(n, func(o *html.Node) {
				for _, a := range o.Attr {
					if o.Data == "option" && a.Key == "selected" {
						f.Set(name, attr(o, "value"))
					}
				}
			})
		case n.Data == "input":
			kind, checked := attr(n, "type"), false
			for _, a := range n.Attr {
				checked = checked || a.Key == "checked"
			}
			if kind != "file" && (kind != "checkbox" || checked) {
				f.Add(name, attr(n, "value"))
			}
		}
	})
	return f
}

// keys opens the person's keys, as a mail client of theirs would.
func (b *browser) keys(p *person) *keyring.Bundle {
	b.t.Helper()
	keys, err := b.h.signin.Unlock(b.t.Context(), p.owner, password)
	b.h.must(err)
	return keys
}
