package testenv_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// visitor is the holder at the portal, as a browser without script.
type visitor struct {
	correspondence
	client *http.Client
}

// enter signs the holder in to the portal with password and code.
func (c correspondence) enter() visitor {
	c.T.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.T.Fatal(err)
	}
	v := visitor{c, &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: c.TLS("", "")}}}
	c.T.Cleanup(v.client.CloseIdleConnections)
	seen := c.Seen()
	v.fill("/sign-in", "/sign-in", url.Values{"login": {c.holder.Login}, "password": {c.holder.Password}})
	v.fill("/sign-in/code", "/sign-in/code", url.Values{"code": {c.Code(seen)}})
	return v
}

// get returns a page of the portal.
func (v visitor) get(path string) string {
	v.T.Helper()
	return v.ask(http.NewRequest(http.MethodGet, v.File.Web+path, nil))
}

func (v visitor) mustShow(path, words string) {
	v.T.Helper()
	if body := v.get(path); !strings.Contains(body, words) {
		v.T.Fatalf("%s does not show %q", path, words)
	}
}

// ask sends a request and returns the page that it leads to.
func (v visitor) ask(r *http.Request, err error) string {
	v.T.Helper()
	if err != nil {
		v.T.Fatal(err)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		v.T.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.T.Fatalf("%s %s: %s %v", r.Method, r.URL.Path, resp.Status, err)
	}
	return string(body)
}

// fill fills in the form to action that a page shows, sends it as the form
// asks, and returns the page that follows.
func (v visitor) fill(page, action string, values url.Values) string {
	v.T.Helper()
	doc, err := html.Parse(strings.NewReader(v.get(page)))
	if err != nil {
		v.T.Fatal(err)
	}
	form := formTo(doc, action)
	if form == nil {
		v.T.Fatalf("%s has no form to %s", page, action)
	}
	for n := range form.Descendants() {
		if name := attrOf(n, "name"); n.Data == "input" && values[name] == nil && attrOf(n, "type") != "file" && attrOf(n, "type") != "checkbox" {
			values.Set(name, attrOf(n, "value"))
		}
	}
	var body bytes.Buffer
	kind := "application/x-www-form-urlencoded"
	if attrOf(form, "enctype") == "" {
		body.WriteString(values.Encode())
	} else {
		w := multipart.NewWriter(&body)
		for name := range values {
			w.WriteField(name, values.Get(name))
		}
		w.Close()
		kind = w.FormDataContentType()
	}
	r, err := http.NewRequest(http.MethodPost, v.File.Web+action, &body)
	if err == nil {
		r.Header.Set("Content-Type", kind)
	}
	return v.ask(r, err)
}

// formTo returns the form that goes to action, or one of whose buttons does.
func formTo(doc *html.Node, action string) *html.Node {
	for n := range doc.Descendants() {
		if n.Data == "form" && attrOf(n, "action") == action {
			return n
		}
		if attrOf(n, "formaction") == action {
			for ; n != nil; n = n.Parent {
				if n.Data == "form" {
					return n
				}
			}
			return nil
		}
	}
	return nil
}

func attrOf(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
