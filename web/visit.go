package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"pli/identity"
	"pli/internal/errs"
	"pli/signin"
	"pli/store"
	"pli/web/words"
)

// visit is one request on its way through the portal.
type visit struct {
	*Server
	w        http.ResponseWriter
	r        *http.Request
	lang     words.Lang
	session  *signin.Session // nil before sign-in
	formWord string          // the word set for forms before sign-in, if this answer sets it
	formPage string          // the page that the form of this request stood on
}

// need says who may ask for a route.
type need uint8

const (
	anyone   need = iota
	signedIn      // a holder or a member
	holder        // the holder of a space
)

// route is one line of the table in routes.go.
type route struct {
	pattern string
	need    need
	serve   func(*visit) error
}

// handle returns the handler of a route: language, session, the form's origin,
// then the page.
func (s *Server) handle(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Server: s, w: w, r: r}
		v.r = r.WithContext(signin.From(r.Context(), remote(r)))
		v.moreTime(v.PageTime)
		v.lang = v.language()
		if v.switchLanguage() {
			return
		}
		if err := v.admit(rt.need); err != nil {
			v.unknown(err)
			return
		}
		if r.Method == http.MethodPost {
			if err := v.checkSite(); err != nil {
				v.fail(err)
				return
			}
		}
		if err := rt.serve(v); err != nil {
			v.fail(err)
		}
	})
}

// admit finds the session and checks it against what the route needs.
func (v *visit) admit(n need) error {
	if token := v.cookie(cookieSession); token != "" {
		if session, err := v.Signin.Session(token); err == nil {
			v.session = session
		} else if !errs.Is(err, errs.Unauthenticated) && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	if n >= signedIn && v.session == nil {
		return errs.New(errs.Unauthenticated, "sign in first")
	}
	if n == holder && !v.isHolder() {
		return errs.New(errs.NotFound, "no such page")
	}
	return nil
}

// unknown answers who is not signed in: a page leads to the sign-in and back,
// a form tells what happened.
func (v *visit) unknown(err error) {
	if !errs.Is(err, errs.Unauthenticated) {
		v.fail(err)
		return
	}
	if v.r.Method != http.MethodGet || strings.HasPrefix(v.r.URL.Path, "/events") || v.r.URL.Path == "/alive" {
		v.fail(err)
		return
	}
	// A link from another site comes without our strict cookies: a page that
	// asks for itself once more comes with them.
	switch v.r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		if v.r.Header.Get("Sec-Fetch-Mode") == "navigate" {
			if err := v.render("again", "again.title", "", v.r.URL.RequestURI()); err != nil {
				v.fail(err)
			}
			return
		}
	}
	query := url.Values{}
	if next := v.r.URL.RequestURI(); next != "/" {
		query.Set("next", next)
	}
	v.goTo(local("/sign-in", query))
}

// isHolder reports whether the session is that of the holder of a space.
func (v *visit) isHolder() bool {
	return v.session != nil && v.session.Actor.Kind == identity.Holder
}

// space returns whose space this is; only routes that need a holder ask.
func (v *visit) space() store.Owner { return v.session.Account }

// goTo sends the browser to another page of ours.
func (v *visit) goTo(path string) {
	v.w.Header().Set("Location", path)
	v.w.WriteHeader(http.StatusSeeOther)
}

// now returns the time where people read it.
func (v *visit) now() time.Time { return v.Now().In(v.Zone) }

// say returns a sentence in the visit's language.
func (v *visit) say(key string, args ...any) string { return v.book.Say(v.lang, key, args...) }

// remote returns the network address that a request comes from.
func remote(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// localPath returns s if it is an address on this host that a browser takes as
// such, else "".
func localPath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Host != "" || u.Scheme != "" {
		return ""
	}
	return s
}
