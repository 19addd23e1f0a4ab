package signin_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"pli/internal/errs"
	"pli/signin"
	"pli/store"
)

const passphrase = "une phrase à garder"

// keyHouse is a house whose holder is signed in; what was witnessed is noted,
// until it answers with fail.
func keyHouse(t *testing.T) (h *house, session *signin.Session, seen *[]signin.KeyChange, fail *error) {
	t.Helper()
	seen, fail = new([]signin.KeyChange), new(error)
	h = newHouse(t, func(c *signin.Config) {
		c.Witness = func(ctx context.Context, k signin.KeyChange, fn func(store.Tx) error) error {
			*seen = append(*seen, k)
			if *fail != nil {
				return *fail
			}
			return h.db.Update(ctx, k.Account, fn)
		}
	})
	h.holder() // activated: two generations
	session = h.signIn()
	*seen = nil
	return h, session, seen, fail
}

// What is handed out is every generation, locked with the passphrase alone,
// and its holder learns of it (issue 4, 10).
func TestKeyFile(t *testing.T) {
	t.Parallel()
	h, session, seen, _ := keyHouse(t)
	text, err := h.doors.KeyFile(t.Context(), session.Token, goodPassword, passphrase)
	h.must(err)
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(text))
	h.must(err)
	if len(keys) != 2 {
		t.Fatalf("%d keys", len(keys))
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
	want := signin.KeyChange{Account: session.Account, What: signin.KeyTaken, Actor: session.Actor, Contact: contact}
	if len(*seen) != 1 || (*seen)[0] != want {
		t.Errorf("witnessed: %+v", *seen)
	}
}

// Nothing is handed out nor witnessed without the session, its password and a
// passphrase that is as good as one; and nothing handed out unwitnessed.
func TestKeyFileRefused(t *testing.T) {
	t.Parallel()
	h, session, seen, fail := keyHouse(t)
	for name, try := range map[string]struct {
		token, password, passphrase string
		kind                        errs.Kind
	}{
		"no session":           {"x", goodPassword, passphrase, errs.Unauthenticated},
		"a wrong password":     {session.Token, "quatre chevaux verts", passphrase, errs.Unauthenticated},
		"eleven characters":    {session.Token, goodPassword, "abcdefghijk", errs.Invalid},
		"one and the same":     {session.Token, goodPassword, strings.Repeat("a", 20), errs.Invalid},
		"a control character":  {session.Token, goodPassword, "une phrase\x00 à garder", errs.Invalid},
		"too long by one byte": {session.Token, goodPassword, strings.Repeat("abcdefgh", 128) + "x", errs.Invalid},
	} {
		if text, err := h.doors.KeyFile(t.Context(), try.token, try.password, try.passphrase); errs.KindOf(err) != try.kind || text != nil || len(*seen) != 0 {
			t.Errorf("%s: %d bytes, %v, witnessed %v", name, len(text), err, *seen)
		}
	}
	for _, fits := range []string{"abcdefghijkl", strings.Repeat("abcdefgh", 128)} {
		if _, err := h.doors.KeyFile(t.Context(), session.Token, goodPassword, fits); err != nil {
			t.Errorf("%d characters: %v", len(fits), err)
		}
	}
	*fail = errs.New(errs.Denied, "the space is not open")
	if text, err := h.doors.KeyFile(t.Context(), session.Token, goodPassword, passphrase); text != nil || !errs.Is(err, errs.Denied) {
		t.Errorf("unwitnessed: %d bytes, %v", len(text), err)
	}
}

// Wrong passwords count as they do at the door (issue 4, 8).
func TestKeyFileIsNoPlaceToGuess(t *testing.T) {
	t.Parallel()
	h, session, _, _ := keyHouse(t)
	var err error
	for range 50 {
		if _, err = h.doors.KeyFile(t.Context(), session.Token, "quatre chevaux verts", passphrase); errs.Is(err, errs.Unavailable) {
			break
		}
	}
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("after fifty guesses: %v", err)
	}
}
