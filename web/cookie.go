package web

import (
	"net/http"
	"time"
)

// The cookies. The prefix binds each to this host, over TLS, for every path
// (RFC 6265bis 4.1.3.2).
const (
	cookieSession = "__Host-pli"      // the session's token
	cookieForm    = "__Host-pli-form" // a random word that forms before sign-in are bound to
	cookieCode    = "__Host-pli-code" // the challenge that waits for its code
	cookieNote    = "__Host-pli-note" // what the next page tells
	cookieLang    = "__Host-pli-lang" // the chosen language
)

// setCookie sends a cookie that lasts for life, or until the browser closes if
// life is zero.
func (v *visit) setCookie(name, value string, life time.Duration) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, MaxAge: int(life / time.Second),
	})
}

func (v *visit) dropCookie(name string) {
	http.SetCookie(v.w, &http.Cookie{
		Name: name, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1,
	})
}

// cookie returns a cookie's value, "" if it was not sent.
func (v *visit) cookie(name string) string {
	c, err := v.r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}
