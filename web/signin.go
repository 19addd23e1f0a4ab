package web

import (
	"net/http"
	"time"

	"pli/internal/errs"
)

// signInPage is what the pages of the sign-in show.
type signInPage struct {
	Login string
	Next  string
	Hint  string // where the code went
	Error string // key
	Out   bool   // just signed out
}

// codeLife is how long the browser remembers that a code is awaited; how long
// the code is good for is the sign-in room's to say.
const codeLife = 15 * time.Minute

// home leads to the mail, or to the sign-in.
func (v *visit) home() error {
	if v.session != nil {
		v.goTo("/mail/inbox")
		return nil
	}
	v.goTo("/sign-in")
	return nil
}

// nowhere answers for every other address.
func (v *visit) nowhere() error { return errs.New(errs.NotFound, "no such page") }

// favicon leads browsers that ask for it by name to the logo.
func (v *visit) favicon() error {
	v.w.Header().Set("Location", v.assets.href("logo.svg"))
	v.w.WriteHeader(http.StatusMovedPermanently)
	return nil
}

// signInForm asks for login and password.
func (v *visit) signInForm() error {
	next := localPath(v.r.URL.Query().Get("next"))
	if v.session != nil {
		v.goTo(orInbox(next))
		return nil
	}
	return v.render("signin", "signin.title", "", signInPage{Next: next, Out: v.r.URL.Query().Get("out") != ""})
}

// signIn checks login and password; a one-time code goes out.
func (v *visit) signIn() error {
	form, err := v.form()
	v.formPage = "/sign-in"
	p := signInPage{Login: form.Get("login"), Next: localPath(form.Get("next"))}
	if err != nil {
		if err == errForged { // a form that stood open too long is no attack
			p.Error = "err.stale"
			return v.renderStatus(http.StatusForbidden, "signin", "signin.title", "", p)
		}
		return err
	}
	challenge, err := v.Signin.Begin(v.r.Context(), p.Login, form.Get("password"))
	if err != nil {
		if errs.KindOf(err) == errs.Internal {
			return err
		}
		p.Error = signInWords(err, "err.signin.password")
		return v.renderStatus(statusOf(err), "signin", "signin.title", "", p)
	}
	p.Hint = challenge.Hint
	v.setCookie(cookieCode, packCode(challenge.ID, p.Next, p.Hint), codeLife)
	v.goTo("/sign-in/code")
	return nil
}

// signInWords returns the key of the sentence for a refused sign-in.
func signInWords(err error, wrong string) string {
	switch errs.KindOf(err) {
	case errs.Unavailable:
		return "err.signin.later"
	case errs.Unauthenticated, errs.Denied, errs.Invalid, errs.NotFound:
		return wrong
	}
	return wordsOf(err)
}

// codeForm asks for the one-time code.
func (v *visit) codeForm() error {
	id, next, hint := unpackCode(v.cookie(cookieCode))
	if v.session != nil {
		v.goTo(orInbox(next))
		return nil
	}
	if id == "" {
		v.goTo("/sign-in")
		return nil
	}
	return v.render("code", "code.title", "", signInPage{Next: next, Hint: hint})
}

// code checks the one-time code and begins the session.
func (v *visit) code() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/sign-in/code"
	id, next, hint := unpackCode(v.cookie(cookieCode))
	if id == "" {
		v.goTo("/sign-in")
		return nil
	}
	session, err := v.Signin.Finish(v.r.Context(), id, digits(form.Get("code")))
	if err != nil {
		if errs.KindOf(err) == errs.Internal {
			return err
		}
		p := signInPage{Next: next, Hint: hint, Error: signInWords(err, "err.signin.code")}
		if gone(err) { // another code needs the password again
			v.dropCookie(cookieCode)
			p.Error = "err.signin.over"
			return v.renderStatus(statusOf(err), "signin", "signin.title", "", p)
		}
		return v.renderStatus(statusOf(err), "code", "code.title", "", p)
	}
	v.dropCookie(cookieCode)
	v.dropCookie(cookieForm)
	v.setCookie(cookieSession, session.Token, 0)
	v.goTo(orInbox(next))
	return nil
}

// signOut ends the session.
func (v *visit) signOut() error {
	if _, err := v.form(); err != nil {
		return err
	}
	v.Signin.End(v.session.Token)
	v.forget(v.session.Token)
	v.dropCookie(cookieSession)
	v.w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	v.goTo("/sign-in?out=1")
	return nil
}

func orInbox(next string) string {
	if next == "" {
		return "/mail/inbox"
	}
	return next
}
