package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"pli/internal/errs"
)

// csrfField is the name of the hidden field that binds a form to its session.
const csrfField = "csrf"

// csrfToken returns what forms of this visit carry: a keyed digest of the
// session's token, or of a random word of its own before sign-in.
func (v *visit) csrfToken() string {
	secret := ""
	if v.session != nil {
		secret = v.session.Token
	} else if secret = v.formWord; secret == "" {
		secret = v.cookie(cookieForm)
	}
	if secret == "" {
		secret = rand.Text()
		v.formWord = secret
		v.setCookie(cookieForm, secret, 0)
	}
	return csrfOf(secret)
}

func csrfOf(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("pli web form 1"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// errForged is the refusal of a form that none of our pages of this session
// sent.
var errForged = sorry(errs.New(errs.Denied, "the form does not belong to this session"), "err.forged")

// checkToken refuses a form whose token is not this visit's.
func (v *visit) checkToken(token string) error {
	secret := v.cookie(cookieForm)
	if v.session != nil {
		secret = v.session.Token
	}
	if secret == "" || subtle.ConstantTimeCompare([]byte(token), []byte(csrfOf(secret))) != 1 {
		return errForged
	}
	return nil
}

// checkSite refuses a form that the browser says another site sent. A browser
// that says nothing is held to the token and the cookie's SameSite alone.
func (v *visit) checkSite() error {
	switch v.r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return nil
	}
	return errForged
}
