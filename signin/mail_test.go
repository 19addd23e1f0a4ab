package signin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/signin"
	"pli/store"
)

const paule = "paule@patient.pli.test"

// phone gives the account a mail password by its person's password.
func (h *house) phone(owner store.Owner, label string) string {
	h.t.Helper()
	keys, err := h.doors.Unlock(h.t.Context(), owner, goodPassword)
	h.must(err)
	defer keys.Wipe()
	secret, err := h.doors.AddMailPassword(h.t.Context(), owner, keys, label)
	h.must(err)
	return secret
}

func TestAMailClientSignsIn(t *testing.T) { // D5
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	secret := h.phone(owner, "téléphone")
	for _, c := range []struct{ address, secret string }{
		{paule, secret}, {"PAULE@Patient.PLI.test", strings.ToUpper(secret)}, {paule, strings.ReplaceAll(secret, "-", "")},
	} {
		o, err := h.doors.Mail(t.Context(), c.address, c.secret)
		if err != nil {
			t.Fatalf("%s: %v", c.address, err)
		}
		if o.Account != owner || o.Actor.ID != string(owner) || o.Address.String() != paule || !opens(t, o.Keys, h.recipient(owner)) {
			t.Errorf("opened %+v", o)
		}
	}
	list, err := h.doors.MailPasswords(t.Context(), owner)
	h.must(err)
	if len(list) != 1 || list[0].Label != "téléphone" || list[0].Kind != keyring.MailPassword {
		t.Fatalf("listed %+v", list)
	}
	tablet := h.phone(owner, "tablette")
	h.must(h.doors.RemoveMailPassword(t.Context(), owner, list[0].ID))
	if _, err := h.doors.Mail(t.Context(), paule, secret); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a removed mail password: %v", err)
	}
	if _, err := h.doors.Mail(t.Context(), paule, tablet); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := h.doors.RemoveMailPassword(t.Context(), owner, list[0].ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for _, slot := range h.ring(owner).Slots() {
		if slot.Kind == keyring.Password {
			if err := h.doors.RemoveMailPassword(t.Context(), owner, slot.ID); !errs.Is(err, errs.NotFound) {
				t.Errorf("the person's own password: %v", err)
			}
		}
	}
}

func TestWrongMailPasswordsAreOneAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	secret := h.phone(owner, "")
	other := h.account("rose")
	others, err := h.doors.AddMailPassword(t.Context(), other, nil, "")
	h.must(err)
	h.must(h.names.Bind(t.Context(), "signin address", "gone@patient.pli.test", "s/gone"))
	_, want := h.doors.Mail(t.Context(), "unknown@patient.pli.test", secret)
	if !errs.Is(want, errs.Unauthenticated) {
		t.Fatal(want)
	}
	for _, c := range []struct{ address, secret string }{
		{paule, others}, {paule, goodPassword}, {paule, ""}, {paule, strings.Repeat("x", 1<<16)}, {"", secret}, {"paule", secret},
		{goodLogin, secret}, {"paule@other.test", secret}, {"gone@patient.pli.test", secret}, {strings.Repeat("x", 1<<16), secret},
		{"rose@patient.pli.test", secret},
	} {
		for range 2 { // the second time from memory
			if _, err := h.doors.Mail(t.Context(), c.address, c.secret); err == nil || err.Error() != want.Error() || !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("%.30q, %.20q: %v", c.address, c.secret, err)
			}
		}
	}
}

// A mail password can be made before anybody has activated the account, and
// after that only with its opened keys.
func TestWhoMakesMailPasswords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.account("paule")
	early, err := h.doors.AddMailPassword(t.Context(), owner, nil, "")
	h.must(err)
	h.must(h.doors.SetPassword(t.Context(), owner, goodLogin, goodPassword))
	if _, err := h.doors.AddMailPassword(t.Context(), owner, nil, ""); !errs.Is(err, errs.Conflict) {
		t.Errorf("by the server, after the activation: %v", err)
	}
	o, err := h.doors.Mail(t.Context(), paule, early)
	h.must(err)
	if !opens(t, o.Keys, h.recipient(owner)) {
		t.Error("the early password opens nothing of after the activation")
	}
	if _, err := h.doors.AddMailPassword(t.Context(), owner, h.signIn().Keys, strings.Repeat("é", keyring.MaxLabel)); !errs.Is(err, errs.TooLarge) {
		t.Errorf("too long a label: %v", err)
	}
	_, foreign, err := keyring.New("", h.now)
	h.must(err)
	if _, err := h.doors.AddMailPassword(t.Context(), owner, foreign, ""); err == nil {
		t.Error("by the keys of another account")
	}
	if _, err := h.doors.AddMailPassword(t.Context(), "s/nobody", nil, ""); !errs.Is(err, errs.NotFound) {
		t.Errorf("no account: %v", err)
	}
}

// An establishment has mail passwords and no other sign-in. D6
func TestAnEstablishmentHasOnlyMailPasswords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const lab store.Owner = "m/laboratoire"
	h.must(h.doors.Provision(t.Context(), lab, signin.Profile{
		Actor:   identity.Actor{Kind: identity.Establishment, ID: "750000001", Name: "Laboratoire"},
		Address: address(t, "labo@lab.pli.test")}))
	secret, err := h.doors.AddMailPassword(t.Context(), lab, nil, "automate")
	h.must(err)
	o, err := h.doors.Mail(t.Context(), "labo@lab.pli.test", secret)
	h.must(err)
	if o.Account != lab || o.Actor.Kind != identity.Establishment || o.Actor.Account != string(lab) {
		t.Errorf("opened %+v", o)
	}
}

// An account that changes its address is found by the new one alone.
func TestAnAddressMoves(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	secret := h.phone(owner, "")
	const moved = "paule.martin@patient.pli.test"
	if _, err := h.doors.Mail(t.Context(), moved, secret); !errs.Is(err, errs.Unauthenticated) {
		t.Fatal(err)
	}
	p, err := h.doors.Member(t.Context(), owner)
	h.must(err)
	p.Address = address(t, moved)
	h.must(h.doors.Provision(t.Context(), owner, p))
	if _, err := h.doors.Mail(t.Context(), moved, secret); err != nil {
		t.Errorf("the new address: %v", err)
	}
	if _, err := h.doors.Mail(t.Context(), paule, secret); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the old address: %v", err)
	}
	h.account("paule") // somebody else may have it
	h.signIn()         // the login stays
}

// A client that goes on with a password that was removed does not keep out
// the others; whoever tries many is slowed down, for a while.
func TestMailPasswordsAreThrottled(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	secret := h.phone(h.holder(), "")
	ctx := signin.From(t.Context(), home)
	for range 200 {
		if _, err := h.doors.Mail(ctx, paule, "0000-removed"); !errs.Is(err, errs.Unauthenticated) {
			t.Fatal(err)
		}
	}
	if _, err := h.doors.Mail(ctx, paule, secret); err != nil {
		t.Fatalf("the right one, after the same wrong one over and over: %v", err)
	}
	slowed := 0
	for i := range 100 {
		if _, err := h.doors.Mail(ctx, paule, fmt.Sprint("guess ", i)); errs.Is(err, errs.Unavailable) {
			slowed++
		}
	}
	if slowed < 75 {
		t.Errorf("only %d of 100 guesses were slowed down", slowed)
	}
	for range 50 {
		if _, err := h.doors.Mail(ctx, paule, secret); err != nil {
			t.Fatalf("the holder's client, which was here before, at the same place: %v", err)
		}
	}
	if _, err := h.doors.Mail(signin.From(t.Context(), cafe), paule, secret); err != nil {
		t.Errorf("the holder, elsewhere: %v", err)
	}
	h.pass(10 * time.Second)
	if _, err := h.doors.Mail(ctx, paule, secret); err != nil {
		t.Errorf("the holder, at the same place, ten seconds later: %v", err)
	}
}

func BenchmarkMail(b *testing.B) {
	h := newHouse(b)
	h.account("paule")
	owner, err := h.names.Find(b.Context(), "signin address", paule)
	h.must(err)
	secret, err := h.doors.AddMailPassword(b.Context(), owner, nil, "")
	h.must(err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.doors.Mail(b.Context(), paule, secret); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecipient(b *testing.B) {
	h := newHouse(b)
	owner := h.account("paule")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.doors.Recipient(b.Context(), owner); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever a stranger sends is refused, in one of two ways.
func FuzzMail(f *testing.F) {
	h := newHouse(f)
	h.holder()
	for _, s := range []string{"", paule, "\x00", "a@b", "0000-0000-0000-0000-0000-0000-0000", strings.Repeat("é", 300)} {
		f.Add(paule, s)
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, address, secret string) {
		_, err := h.doors.Mail(t.Context(), address, secret)
		if !errs.Is(err, errs.Unauthenticated) && !errs.Is(err, errs.Unavailable) {
			t.Errorf("%q, %q: %v", address, secret, err)
		}
		if _, err := h.doors.Finish(t.Context(), address, secret); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("Finish %q, %q: %v", address, secret, err)
		}
	})
}
