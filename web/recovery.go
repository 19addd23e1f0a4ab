package web

import (
	"net/http"
	"time"

	"pli/internal/errs"
)

// recoverPage is what the pages show where a holder comes back without a
// password.
type recoverPage struct {
	Login string
	Hint  string // where the one-time code went
	Error string // key
}

// codePaper is the sheet with a recovery code, which is shown once.
type codePaper struct {
	Code      string
	Address   string
	Made      time.Time
	Recovered bool // it comes after a recovery, and its predecessor is spent
}

// recoverForm asks for login and recovery code.
func (v *visit) recoverForm() error {
	if v.session != nil {
		v.goTo("/account#recovery")
		return nil
	}
	return v.render("recover", "recover.title", "", recoverPage{})
}

// recover checks login and recovery code; a one-time code goes out.
func (v *visit) recover() error {
	form, err := v.form()
	v.formPage = "/recover"
	p := recoverPage{Login: form.Get("login")}
	if err == nil {
		challenge, failed := v.Signin.Recover(v.r.Context(), p.Login, form.Get("code"))
		if failed == nil {
			v.setCookie(cookieCode, packCode(challenge.ID, "", challenge.Hint), codeLife)
			v.goTo("/recover/code")
			return nil
		}
		if errs.KindOf(failed) == errs.Internal {
			return failed
		}
		p.Error = signInWords(failed, "err.recover.code")
		return v.renderStatus(statusOf(failed), "recover", "recover.title", "", p)
	}
	if err == errForged { // a form that stood open too long is no attack
		p.Error = "err.stale"
		return v.renderStatus(http.StatusForbidden, "recover", "recover.title", "", p)
	}
	return err
}

// recoverCodeForm asks for the one-time code and the new password.
func (v *visit) recoverCodeForm() error {
	id, _, hint := unpackCode(v.cookie(cookieCode))
	if v.session != nil || id == "" {
		v.goTo("/recover")
		return nil
	}
	return v.render("recovercode", "recover.new", "", recoverPage{Hint: hint})
}

// recoverCode checks the one-time code, sets the password, begins the session
// and shows the next recovery code, once.
func (v *visit) recoverCode() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/recover/code"
	id, _, hint := unpackCode(v.cookie(cookieCode))
	if id == "" {
		v.goTo("/recover")
		return nil
	}
	again := func(status int, key string) error {
		return v.renderStatus(status, "recovercode", "recover.new", "", recoverPage{Hint: hint, Error: key})
	}
	if form.Get("new") != form.Get("again") {
		return again(http.StatusUnprocessableEntity, "err.account.differ")
	}
	session, code, err := v.Signin.FinishRecovery(v.r.Context(), id, digits(form.Get("code")), form.Get("new"))
	switch {
	case errs.Is(err, errs.Invalid):
		return again(statusOf(err), "err.account.weak")
	case gone(err): // another one-time code needs the recovery code again
		v.dropCookie(cookieCode)
		return v.renderStatus(statusOf(err), "recover", "recover.title", "", recoverPage{Error: "err.signin.over"})
	case err != nil && errs.KindOf(err) == errs.Internal:
		return err
	case err != nil:
		return again(statusOf(err), signInWords(err, "err.signin.code"))
	}
	v.dropCookie(cookieCode)
	v.dropCookie(cookieForm)
	v.setCookie(cookieSession, session.Token, 0)
	v.forgetEnded(session.Account)
	v.session = session
	return v.showCode(code, true)
}

// newRecoveryCode makes another recovery code and shows it, once.
func (v *visit) newRecoveryCode() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/account"
	code, err := v.Signin.RenewRecoveryCode(v.r.Context(), v.session.Token, form.Get("present"))
	if errs.Is(err, errs.Unauthenticated) {
		// A wrong password is no end of the session: 403, and the page stays.
		err = sorry(errs.New(errs.Denied, "wrong password"), "err.account.present")
	}
	if err != nil {
		return v.showAccount("recovery", err, nil)
	}
	return v.showCode(code, false)
}

func (v *visit) showCode(code string, recovered bool) error {
	return v.render("codepaper", "recovery.paper", "account", codePaper{code, v.session.Address.String(), v.now(), recovered})
}
