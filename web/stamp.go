package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strconv"
	"strings"
	"time"
)

// A form that comes twice, after a double click or a lost answer, must make
// the same letter, byte for byte: only then does the messaging space know it
// again and add nothing. So each form carries a stamp, a random word and the
// moment at which it was made, and all that a letter has of chance and time
// comes from it.

// stamp is what a form carries for its letter.
type stamp struct {
	text string // as the form carries it
	at   time.Time
}

// newStamp returns the stamp of a new form, bound to the session.
func (v *visit) newStamp() string {
	body := strings.ToLower(rand.Text()) + "." + strconv.FormatInt(v.Now().UnixMilli(), 10)
	return body + "." + v.keyed("stamp", body)
}

// readStamp reads a stamp that a form of this session carries; any other is
// refused.
func (v *visit) readStamp(s string) (stamp, error) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 || subtle.ConstantTimeCompare([]byte(s[i+1:]), []byte(v.keyed("stamp", s[:i]))) != 1 {
		return stamp{}, errForged
	}
	_, moment, _ := strings.Cut(s[:i], ".")
	ms, err := strconv.ParseInt(moment, 10, 64)
	if err != nil {
		return stamp{}, errForged
	}
	return stamp{s, time.UnixMilli(ms).In(v.Zone)}, nil
}

// letterName returns the word that names the letter that a stamped form makes, for
// one use. What the form says counts too: with another text it is another
// letter.
func (v *visit) letterName(use string, s stamp, w *writing) string {
	p := w.page
	parts := []string{s.text, p.To, p.Subject, p.Text, p.ReplyBox, p.ReplyUID, p.Draft, strconv.FormatBool(p.End)}
	return v.keyed(use, append(parts, w.form.Values["keep"]...)...)[:26]
}

// keyed returns a digest of some texts, keyed by the session: [0-9a-z]+.
func (v *visit) keyed(use string, texts ...string) string {
	mac := hmac.New(sha256.New, []byte(v.session.Token))
	for _, s := range append([]string{"pli web letter 1", use}, texts...) {
		mac.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)))
}
