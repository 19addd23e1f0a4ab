package signin_test

import (
	"bytes"
	"strings"
	"testing"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"pli/internal/errs"
)

const passphrase = "une phrase à garder"

// What is handed out is every generation, locked with the passphrase alone;
// the trace has its line and the contact their notice by then (issue 4, 10).
func TestKeyFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder() // activated: two generations
	traced := 0
	text, err := h.doors.KeyFile(t.Context(), owner, goodPassword, passphrase, func() error { traced++; return nil })
	h.must(err)
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	h.must(err)
	if len(keys) != 2 || traced != 1 {
		t.Fatalf("%d keys, %d lines in the trace", len(keys), traced)
	}
	for _, k := range keys {
		if err := k.DecryptPrivateKeys([]byte(goodPassword)); err == nil {
			t.Error("the password of the sign-in unlocks the key")
		}
		if !k.PrivateKey.Encrypted || !k.Subkeys[0].PrivateKey.Encrypted {
			t.Error("a key lies open in the file")
		}
		h.must(k.DecryptPrivateKeys([]byte(passphrase)))
	}
	if n := h.post.sent[len(h.post.sent)-1]; n.To != contact || n.Kind != "key" || strings.Contains(n.Body, "paule") {
		t.Errorf("the notice: %+v", n)
	}
}

// Nothing is handed out, told or traced without the password and a passphrase
// that is as good as one; nor anything where the trace or the notice fails.
func TestKeyFileRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	broken := errs.New(errs.Denied, "the space is not open")
	for name, try := range map[string]struct {
		password, passphrase string
		trace                error
		kind                 errs.Kind
	}{
		"a wrong password":     {"quatre chevaux verts", passphrase, nil, errs.Unauthenticated},
		"eleven characters":    {goodPassword, "abcdefghijk", nil, errs.Invalid},
		"one and the same":     {goodPassword, strings.Repeat("a", 20), nil, errs.Invalid},
		"a control character":  {goodPassword, "une phrase\x00 à garder", nil, errs.Invalid},
		"too long by one byte": {goodPassword, strings.Repeat("abcdefgh", 128) + "x", nil, errs.Invalid},
		"no line in the trace": {goodPassword, passphrase, broken, errs.Denied},
	} {
		sent, traced := len(h.post.sent), false
		text, err := h.doors.KeyFile(t.Context(), owner, try.password, try.passphrase, func() error { traced = true; return try.trace })
		if errs.KindOf(err) != try.kind || text != nil || len(h.post.sent) != sent || traced != (try.trace != nil) {
			t.Errorf("%s: %d bytes, %v, traced %v, %d notice(s)", name, len(text), err, traced, len(h.post.sent)-sent)
		}
	}
	for _, fits := range []string{"abcdefghijkl", strings.Repeat("abcdefgh", 128)} {
		if _, err := h.doors.KeyFile(t.Context(), owner, goodPassword, fits, func() error { return nil }); err != nil {
			t.Errorf("%d characters: %v", len(fits), err)
		}
	}
	h.post.broken = true
	if text, err := h.doors.KeyFile(t.Context(), owner, goodPassword, passphrase, func() error { return nil }); text != nil || !errs.Is(err, errs.Unavailable) {
		t.Errorf("without its notice: %d bytes, %v", len(text), err)
	}
	h.post.broken = false
	stranger := h.account("luc") // never activated: no password opens it
	if _, err := h.doors.KeyFile(t.Context(), stranger, goodPassword, passphrase, func() error { return nil }); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("an account without a password: %v", err)
	}
}

// Wrong passwords count as they do at the door (issue 4, 8).
func TestKeyFileIsNoPlaceToGuess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	var err error
	for range 50 {
		if _, err = h.doors.KeyFile(t.Context(), owner, "quatre chevaux verts", passphrase, nil); errs.Is(err, errs.Unavailable) {
			break
		}
	}
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("after fifty guesses: %v", err)
	}
}
