package web

import (
	"net/http"
	"net/url"
	"time"

	"pli/web/words"
)

// langLife is how long the chosen language is remembered.
const langLife = 365 * 24 * time.Hour

// language returns the chosen language: what the address asks for, else what
// the cookie remembers, else French.
func (v *visit) language() words.Lang {
	if l, ok := words.Parse(v.r.URL.Query().Get("lang")); ok {
		return l
	}
	l, _ := words.Parse(v.cookie(cookieLang))
	return l
}

// switchLanguage remembers the language that a page's address asks for, and
// sends the browser to the same address without it. It reports whether it did.
func (v *visit) switchLanguage() bool {
	query := v.r.URL.Query()
	l, ok := words.Parse(query.Get("lang"))
	if !ok || v.r.Method != http.MethodGet {
		return false
	}
	v.setCookie(cookieLang, string(l), langLife)
	query.Del("lang")
	v.goTo(local(v.r.URL.EscapedPath(), query))
	return true
}

// langLink returns the address of this page in another language. An answer to
// a form has the address of the page that the form stood on.
func (v *visit) langLink(l words.Lang) string {
	query := v.r.URL.Query()
	path := v.r.URL.EscapedPath()
	if v.r.Method != http.MethodGet {
		path, query = "/", url.Values{}
		if v.formPage != "" {
			path = v.formPage
		}
	}
	query.Set("lang", string(l))
	return local(path, query)
}

// local joins a path and a query into an address on this host.
func local(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
