package signin_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/signin"
	"pli/space"
	"pli/store"
)

// Activation takes the server's access away: mail that comes later is sealed
// to keys that the server never could open.
func TestActivationShutsTheServerOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.account("paule")
	if can, err := h.doors.ServerCanOpen(t.Context(), owner); !can || err != nil {
		t.Errorf("before: %v, %v", can, err)
	}
	ring := h.ring(owner)
	server, err := ring.OpenServer(h.server)
	h.must(err)
	before := h.recipient(owner)
	if !opens(t, server, before) {
		t.Fatal("nobody could open what arrives before the activation")
	}
	h.must(h.doors.SetPassword(t.Context(), owner, goodLogin, goodPassword))
	if can, err := h.doors.ServerCanOpen(t.Context(), owner); can || err != nil {
		t.Errorf("after: %v, %v", can, err)
	}
	after := h.recipient(owner)
	if after == before || opens(t, server, after) {
		t.Error("whoever had the server's key opens what arrives after the activation")
	}
	if _, err := h.ring(owner).OpenServer(h.server); !errors.Is(err, keyring.ErrNoSlot) {
		t.Errorf("the server's slot: %v", err)
	}
	keys, err := h.doors.Unlock(t.Context(), owner, goodPassword)
	h.must(err)
	if !opens(t, keys, before) || !opens(t, keys, after) {
		t.Error("the activation lost mail")
	}
}

// ring reads an account's ring from the store.
func (h *house) ring(owner store.Owner) *keyring.Ring {
	h.t.Helper()
	r := new(keyring.Ring)
	h.must(h.db.View(h.t.Context(), owner, func(tx store.Tx) error {
		b, err := tx.Get([]byte("signin/ring"))
		if err != nil {
			return err
		}
		return r.UnmarshalCBOR(b)
	}))
	return r
}

func TestActivationIsDoneOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	before := h.recipient(owner)
	h.must(h.doors.SetPassword(t.Context(), owner, goodLogin, goodPassword))
	if h.recipient(owner) != before {
		t.Error("the same again changed the keys")
	}
	for _, c := range []struct{ login, password string }{
		{goodLogin, "another password"}, {"another.login", goodPassword},
	} {
		if err := h.doors.SetPassword(t.Context(), owner, c.login, c.password); !errs.Is(err, errs.Conflict) {
			t.Errorf("%s, %s: %v", c.login, c.password, err)
		}
	}
	h.signIn()
}

func TestALoginIsOneAccounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.holder()
	other := h.account("rose")
	for _, login := range []string{goodLogin, strings.ToUpper(goodLogin), " " + goodLogin, "ｐaule.dupont"} {
		if err := h.doors.SetPassword(t.Context(), other, login, goodPassword); !errs.Is(err, errs.Conflict) {
			t.Errorf("%q: %v", login, err)
		}
	}
	h.must(h.doors.SetPassword(t.Context(), other, "rose", goodPassword))
	if err := h.doors.SetPassword(t.Context(), "s/nobody", "nobody", goodPassword); !errs.Is(err, errs.NotFound) {
		t.Errorf("no account: %v", err)
	}
}

func TestUnfitLoginsAndPasswords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.account("paule")
	for _, c := range []struct{ name, login, password string }{
		{"no login", "", goodPassword},
		{"a space in the login", "paule dupont", goodPassword},
		{"a control character in the login", "paule\x00", goodPassword},
		{"too long a login", strings.Repeat("x", signin.MaxLogin+1), goodPassword},
		{"11 characters", goodLogin, "abcdefghijk"},
		{"four different characters", goodLogin, strings.Repeat("abcd", 4)},
		{"the login in it", goodLogin, "x " + strings.ToUpper(goodLogin) + " 1234"},
		{"a control character", goodLogin, "quatre\x00chevaux bleus"},
		{"too long", goodLogin, strings.Repeat("abcde", keyring.MaxPassword/5+1)},
	} {
		if err := h.doors.SetPassword(t.Context(), owner, c.login, c.password); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for i, c := range []struct{ login, password string }{
		{strings.Repeat("x", signin.MaxLogin), "abcdefghijkl"},
		{"hélène@exemple.fr", "é è à ç ù ï ô"},
		{"abc", "abc and then some"}, // too short a login to look for
		{"d", strings.Repeat("abcde", keyring.MaxPassword/5)},
	} {
		if err := h.doors.SetPassword(t.Context(), h.account(fmt.Sprint("p", i)), c.login, c.password); err != nil {
			t.Errorf("%.20q: %v", c.login, err)
		}
	}
}

func TestAPasswordIsTypedInEitherForm(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.account("paule")
	h.must(h.doors.SetPassword(t.Context(), owner, goodLogin, "h\u00e9l\u00e8ne et ses chevaux"))
	if _, err := h.doors.Begin(t.Context(), goodLogin, "he\u0301le\u0300ne et ses chevaux"); err != nil { // RFC 8265 4.2
		t.Error(err)
	}
}

func TestAChangedPasswordEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	other, mine := h.signIn(), h.signIn()
	const next = "cinq vaches rousses"
	if err := h.doors.ChangePassword(t.Context(), mine.Token, "wrong password", next); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a wrong present password: %v", err)
	}
	if err := h.doors.ChangePassword(t.Context(), mine.Token, goodPassword, "short"); !errs.Is(err, errs.Invalid) {
		t.Errorf("an unfit password: %v", err)
	}
	if err := h.doors.ChangePassword(t.Context(), "no token", goodPassword, next); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("no session: %v", err)
	}
	h.must(h.doors.ChangePassword(t.Context(), mine.Token, goodPassword, next))
	if _, err := h.doors.Session(mine.Token); err != nil {
		t.Errorf("the session that changed it: %v", err)
	}
	if _, err := h.doors.Session(other.Token); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the other session: %v", err)
	}
	if _, err := h.doors.Begin(t.Context(), goodLogin, goodPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old password: %v", err)
	}
	keys, err := h.doors.Unlock(t.Context(), owner, next)
	h.must(err)
	if !opens(t, keys, h.recipient(owner)) {
		t.Error("the change lost mail")
	}
	if _, err := h.doors.AddMailPassword(t.Context(), owner, mine.Keys, "phone"); err != nil {
		t.Errorf("the session's keys: %v", err)
	}
}

// At most so many derive a key at once, and so many wait.
func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *signin.Config) {
		c.Argon = keyring.Params{Memory: 32 << 10, Passes: 4, Threads: 1}
		c.Derivations, c.MaxQueue = 1, 1
	})
	var mu sync.Mutex
	got := map[errs.Kind]int{}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range 12 {
		wg.Go(func() {
			<-start
			_, err := h.doors.Begin(t.Context(), fmt.Sprint("login", i), "wrong password")
			mu.Lock()
			defer mu.Unlock()
			got[errs.KindOf(err)]++
		})
	}
	close(start)
	wg.Wait()
	if got[errs.Unavailable] == 0 || got[errs.Unauthenticated] < 2 || got[errs.Unavailable]+got[errs.Unauthenticated] != 12 {
		t.Errorf("answers: %v", got)
	}
	if _, err := h.doors.Begin(t.Context(), "later", "wrong password"); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("when the crowd has gone: %v", err)
	}
}

func TestProvisionRepairsAndRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.account("paule")
	before := h.recipient(owner)
	profile := signin.Profile{Actor: identity.Actor{Kind: identity.Holder, Name: "Paule"},
		Address: address(t, "PAULE@patient.pli.test"), Contact: "new@courriel.test"}
	h.must(h.doors.Provision(t.Context(), owner, profile))
	if h.recipient(owner) != before {
		t.Error("the keys changed")
	}
	got, err := h.doors.Member(t.Context(), owner)
	h.must(err)
	if got.Contact != "new@courriel.test" || got.Actor.Name != "Paule" || got.Actor.ID != string(owner) || got.Actor.Account != string(owner) {
		t.Errorf("profile %+v", got)
	}
	fresh := space.NewOwner(space.Prefix)
	for name, c := range map[string]struct {
		owner  store.Owner
		kind   errs.Kind
		change func(*signin.Profile)
	}{
		"another account's address": {fresh, errs.Conflict, func(p *signin.Profile) {}},
		"no address":                {fresh, errs.Invalid, func(p *signin.Profile) { p.Address = identity.Address{} }},
		"nobody":                    {fresh, errs.Invalid, func(p *signin.Profile) { p.Actor.Kind = identity.Unknown }},
		"no owner":                  {"", errs.Invalid, func(p *signin.Profile) {}},
		"another holder's id":       {fresh, errs.Invalid, func(p *signin.Profile) { p.Actor.ID = string(owner) }},
		"another account":           {fresh, errs.Invalid, func(p *signin.Profile) { p.Actor.Account = string(owner) }},
		"a bad contact":             {fresh, errs.Invalid, func(p *signin.Profile) { p.Contact = "a\r\nb" }},
		"somebody else": {owner, errs.Conflict, func(p *signin.Profile) {
			p.Actor = identity.Actor{Kind: identity.Professional, ID: "10001234567"}
			p.Address = address(t, "rose@medecin.pli.test")
		}},
	} {
		p := profile
		c.change(&p)
		if err := h.doors.Provision(t.Context(), c.owner, p); !errs.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, nobody := range []store.Owner{"", fresh, "m/x", "Not Valid"} {
		if _, err := h.doors.Member(t.Context(), nobody); !errs.Is(err, errs.NotFound) {
			t.Errorf("Member %q: %v", nobody, err)
		}
		if _, err := h.doors.Recipient(t.Context(), nobody); !errs.Is(err, errs.NotFound) {
			t.Errorf("Recipient %q: %v", nobody, err)
		}
	}
}

// Changes of one account at once lose nothing of each other, be they made in
// one process or in two.
func TestManyChangesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.account("paule")
	var wg sync.WaitGroup
	secrets := make([]string, 12)
	processes := []*signin.Service{h.doors, h.restart()}
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = processes[i%2].AddMailPassword(t.Context(), owner, nil, fmt.Sprint("phone ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	h.must(h.doors.SetPassword(t.Context(), owner, goodLogin, goodPassword))
	for i, secret := range secrets {
		o, err := h.doors.Mail(t.Context(), "paule@patient.pli.test", secret)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if !opens(t, o.Keys, h.recipient(owner)) {
			t.Errorf("%d: opens no mail of after the activation", i)
		}
	}
	list, err := h.doors.MailPasswords(t.Context(), owner)
	if err != nil || len(list) != len(secrets) {
		t.Errorf("%d listed, %v", len(list), err)
	}
}
