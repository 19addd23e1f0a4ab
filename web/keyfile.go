package web

import (
	"strconv"

	"pli/internal/errs"
)

// keyPage is what the page shows where the account's key is taken out.
type keyPage struct {
	Error string // key
}

// keyForm asks for the password and for a passphrase.
func (v *visit) keyForm() error { return v.showKeyForm(nil) }

func (v *visit) showKeyForm(failed error) error {
	p, status := keyPage{}, 200
	if failed != nil {
		p.Error, status = wordsOf(failed), statusOf(failed)
	}
	return v.renderStatus(status, "keyfile", "key.title", "account", p)
}

// keyFile answers with the account's private keys, locked, as a file.
func (v *visit) keyFile() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/account/key"
	phrase := form.Get("phrase")
	if phrase != form.Get("again") {
		return v.showKeyForm(sorry(errs.New(errs.Invalid, "the two differ"), "err.key.differ"))
	}
	text, err := v.Signin.KeyFile(v.r.Context(), v.session.Token, form.Get("present"), phrase)
	switch {
	case errs.Is(err, errs.Unauthenticated):
		// A wrong password is no end of the session: 403, and the page stays.
		err = sorry(errs.New(errs.Denied, "wrong password"), "err.account.present")
	case errs.Is(err, errs.Invalid):
		err = sorry(err, "err.key.weak")
	}
	if err != nil {
		if errs.KindOf(err) == errs.Internal {
			return err
		}
		return v.showKeyForm(err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/pgp-keys") // RFC 3156 7
	h.Set("Content-Disposition", `attachment; filename="pli-key.asc"`)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	v.w.Write(text)
	return nil
}
