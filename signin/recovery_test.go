package signin_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/signin"
	"pli/space"
	"pli/store"
)

const otherPassword = "sept moulins à vent"

// code makes the account's recovery code by its person's password.
func (h *house) code(owner store.Owner) string {
	h.t.Helper()
	keys, err := h.doors.Unlock(h.t.Context(), owner, goodPassword)
	h.must(err)
	defer keys.Wipe()
	code, err := h.doors.AddRecoveryCode(h.t.Context(), owner, keys)
	h.must(err)
	return code
}

// recover goes through a recovery to its end.
func (h *house) recover(code, password string) (*signin.Session, string) {
	h.t.Helper()
	c, err := h.doors.Recover(h.t.Context(), goodLogin, code)
	h.must(err)
	session, next, err := h.doors.FinishRecovery(h.t.Context(), c.ID, h.post.lastCode(h.t), password)
	h.must(err)
	return session, next
}

// I1: with the recovery code the holder is back: what was sealed before
// opens, clients go on, the password that was lost and the code are gone.
func TestRecovery(t *testing.T) {
	t.Parallel()
	var seen []signin.KeyChange
	h := newHouse(t)
	h.doors = h.restart(func(c *signin.Config) {
		c.Witness = func(ctx context.Context, k signin.KeyChange, fn func(store.Tx) error) error {
			seen = append(seen, k)
			return c.DB.Update(ctx, k.Account, fn)
		}
	})
	owner := h.holder()
	phone, code, to := h.phone(owner, "téléphone"), h.code(owner), h.recipient(owner)
	elsewhere := h.signIn()
	if len(seen) != 0 {
		t.Fatalf("before: %+v", seen)
	}
	session, next := h.recover(strings.ToUpper(code), otherPassword)
	if session.Account != owner || !opens(t, session.Keys, to) {
		t.Error("the session is not the account's, or does not open what was there")
	}
	if len(seen) != 1 || seen[0].What != signin.Recovered || seen[0].Actor.ID != string(owner) || seen[0].Contact != contact {
		t.Errorf("witnessed: %+v", seen)
	}
	if _, err := h.doors.Session(elsewhere.Token); err == nil {
		t.Error("the session that was open elsewhere goes on")
	}
	if _, err := h.doors.Unlock(t.Context(), owner, goodPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the password of before: %v", err)
	}
	if _, err := h.doors.Unlock(t.Context(), owner, otherPassword); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := h.doors.Mail(t.Context(), paule, phone); err != nil {
		t.Errorf("the telephone: %v", err)
	}
	if _, err := h.doors.Recover(t.Context(), goodLogin, code); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the code, used a second time: %v", err)
	}
	if next == code {
		t.Error("the next code is the one used")
	}
	// Keys renewed while nobody gave anything reach the session that recovered.
	h.must(h.doors.Rotate(t.Context(), owner))
	if !opens(t, session.Keys, h.recipient(owner)) {
		t.Error("the session does not learn the new keys")
	}
	h.recover(next, goodPassword)
}

// A recovery is guarded like a sign-in: its one-time code is none of a
// sign-in's, an unfit password costs nothing, and wrong codes slow down.
func TestRecoveryIsGuarded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	code := h.code(owner)
	c, err := h.doors.Recover(t.Context(), goodLogin, code)
	h.must(err)
	otp := h.post.lastCode(t)
	if _, err := h.doors.Finish(t.Context(), c.ID, otp); !errs.Is(err, errs.Unauthenticated) {
		t.Fatalf("a recovery ends without a new password: %v", err)
	}
	if _, _, err := h.doors.FinishRecovery(t.Context(), c.ID, otp, "court"); !errs.Is(err, errs.Invalid) {
		t.Fatalf("a short password: %v", err)
	}
	if _, _, err := h.doors.FinishRecovery(t.Context(), c.ID, otherCode(otp), otherPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Fatalf("a wrong one-time code: %v", err)
	}
	if _, _, err := h.doors.FinishRecovery(t.Context(), c.ID, otp, otherPassword); err != nil {
		t.Fatalf("after all that: %v", err)
	}
	ordinary, err := h.doors.Begin(t.Context(), goodLogin, otherPassword)
	h.must(err)
	if _, _, err := h.doors.FinishRecovery(t.Context(), ordinary.ID, h.post.lastCode(t), goodPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a sign-in's code sets a password: %v", err)
	}
	_, unknown := h.doors.Recover(t.Context(), "nobody.at.all", code)
	_, wrong := h.doors.Recover(t.Context(), goodLogin, code)
	_, form := h.doors.Recover(t.Context(), goodLogin, "0000")
	if unknown == nil || wrong == nil || form == nil || unknown.Error() != wrong.Error() || form.Error() != wrong.Error() {
		t.Errorf("unknown login: %v; wrong code: %v; no code at all: %v", unknown, wrong, form)
	}
	if mail := h.phoneBy(owner, otherPassword); mail != "" {
		if _, err := h.doors.Recover(t.Context(), goodLogin, mail); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("a mail password as a recovery code: %v", err)
		}
	}
	slowed := false
	for range 40 {
		if _, err := h.doors.Recover(t.Context(), goodLogin, code); errs.Is(err, errs.Unavailable) {
			slowed = true
			break
		}
	}
	if !slowed {
		t.Error("40 wrong codes in one moment, and none had to wait")
	}
	if _, err := h.doors.Begin(t.Context(), goodLogin, otherPassword); !errs.Is(err, errs.Unavailable) {
		t.Errorf("and the password's door is a way round: %v", err)
	}
}

// phoneBy is phone by another password.
func (h *house) phoneBy(owner store.Owner, password string) string {
	h.t.Helper()
	keys, err := h.doors.Unlock(h.t.Context(), owner, password)
	h.must(err)
	defer keys.Wipe()
	secret, err := h.doors.AddMailPassword(h.t.Context(), owner, keys, "")
	h.must(err)
	return secret
}

// There is one recovery code at a time; the holder makes another by the
// password, and that is witnessed.
func TestOneRecoveryCodeAtATime(t *testing.T) {
	t.Parallel()
	var seen []signin.What
	h := newHouse(t, func(c *signin.Config) {
		db := c.DB
		c.Witness = func(ctx context.Context, k signin.KeyChange, fn func(store.Tx) error) error {
			seen = append(seen, k.What)
			return db.Update(ctx, k.Account, fn)
		}
	})
	owner := h.holder()
	first, session := h.code(owner), h.signIn()
	if _, err := h.doors.RenewRecoveryCode(t.Context(), session.Token, otherPassword); !errs.Is(err, errs.Unauthenticated) {
		t.Fatalf("by a wrong password: %v", err)
	}
	second, err := h.doors.RenewRecoveryCode(t.Context(), session.Token, goodPassword)
	h.must(err)
	if !slices.Equal(seen, []signin.What{signin.CodeRenewed}) {
		t.Errorf("witnessed: %v", seen)
	}
	k, err := h.doors.Keys(t.Context(), owner)
	h.must(err)
	if !k.Code || !k.CodeCreated.Equal(h.clock()) {
		t.Errorf("the keys stand as %+v", k)
	}
	if _, err := h.doors.Recover(t.Context(), goodLogin, first); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the code of before: %v", err)
	}
	if _, err := h.doors.Recover(t.Context(), goodLogin, second); err != nil {
		t.Errorf("the new code: %v", err)
	}
}

// operators makes two offline keys and tells a configuration of them.
func operators(t *testing.T) ([2]*keyring.OperatorKey, func(*signin.Config)) {
	t.Helper()
	var keys [2]*keyring.OperatorKey
	var public [2]keyring.OperatorPublic
	for i := range keys {
		var err error
		if keys[i], err = keyring.NewOperatorKey(); err != nil {
			t.Fatal(err)
		}
		public[i] = keys[i].Public()
	}
	return keys, func(c *signin.Config) { c.Operators = &public }
}

// I1: the day all is lost, two operators' offline keys make a code; either
// alone makes none, and what was used once makes none again.
func TestOperatorsRecover(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder() // before the instance knew of any operators
	elder := h.account("jean")
	keys, configured := operators(t)
	h.doors = h.restart(configured)
	if _, err := h.doors.Escrow(t.Context(), owner); !errs.Is(err, errs.Conflict) {
		t.Fatalf("an account without their slot: %v", err)
	}
	h.signIn()
	h.must(h.doors.Complete(t.Context(), elder))
	h.must(h.doors.Complete(t.Context(), elder))
	for who, account := range map[string]store.Owner{"at its next sign-in": owner, "by the server's slot": elder, "from its beginning": h.account("luc")} {
		if k, err := h.doors.Keys(t.Context(), account); err != nil || !k.Operators {
			t.Errorf("%s the account has no slot of the operators: %+v %v", who, k, err)
		}
	}
	if _, err := h.doors.Escrow(t.Context(), elder); !errs.Is(err, errs.Conflict) {
		t.Errorf("an account that has no sign-in to lose: %v", err)
	}
	to := h.recipient(owner)
	shares := func() (out [2]keyring.Share) {
		e, err := h.doors.Escrow(t.Context(), owner)
		h.must(err)
		if e.Login != goodLogin {
			t.Errorf("the login is %q", e.Login)
		}
		for i, k := range keys {
			out[i], err = k.Share(e.Escrow)
			h.must(err)
		}
		return out
	}
	s := shares()
	for _, alone := range [][2]keyring.Share{{s[0], s[0]}, {s[1], s[1]}, {s[0], {}}} {
		if _, err := h.doors.RecoverByOperators(t.Context(), owner, alone[0], alone[1]); !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("one of them alone: %v", err)
		}
	}
	code, err := h.doors.RecoverByOperators(t.Context(), owner, s[1], s[0])
	h.must(err)
	if _, err := h.doors.RecoverByOperators(t.Context(), owner, s[0], s[1]); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the same shares again: %v", err)
	}
	session, _ := h.recover(code, otherPassword)
	if !opens(t, session.Keys, to) {
		t.Error("what was there does not open")
	}
	s = shares() // a second day like this one
	if _, err := h.doors.RecoverByOperators(t.Context(), owner, s[0], s[1]); err != nil {
		t.Errorf("another recovery: %v", err)
	}
}

// Keys renewed with nobody signed in: new mail at once under the new ones,
// which every slot and every open session opens; the old ones go when the
// caller says that nothing is under them.
func TestRotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	before := h.recipient(owner)
	phone, session := h.phone(owner, ""), h.signIn()
	client, err := h.doors.Mail(t.Context(), paule, phone)
	h.must(err)
	h.must(h.doors.Rotate(t.Context(), owner))
	after := h.recipient(owner)
	if after == before {
		t.Fatal("new mail goes to the old key")
	}
	fresh, err := h.doors.Mail(t.Context(), paule, phone)
	h.must(err)
	for who, keys := range map[string]*keyring.Bundle{"the session": session.Keys, "the client": client.Keys, "who comes after": fresh.Keys} {
		if !opens(t, keys, before) || !opens(t, keys, after) || keys.Recipient() != after {
			t.Errorf("%s does not open both", who)
		}
	}
	k, err := h.doors.Keys(t.Context(), owner)
	h.must(err)
	if !k.Waiting || k.Recipient != after {
		t.Errorf("the keys stand as %+v", k)
	}
	now := h.clock()
	h.must(h.doors.Retire(t.Context(), owner, k.Generation-1, session.Keys, now))               // there are newer ones: nothing is done
	h.must(h.doors.Retire(t.Context(), owner, k.Generation, session.Keys, now.Add(-time.Hour))) // they are too young
	if !opens(t, session.Keys, before) {
		t.Fatal("keys were retired of whose mail nobody spoke")
	}
	h.must(h.doors.Retire(t.Context(), owner, k.Generation, session.Keys, now))
	for who, keys := range map[string]*keyring.Bundle{"the session": session.Keys, "the client": client.Keys} {
		if opens(t, keys, before) || !opens(t, keys, after) {
			t.Errorf("%s still has the retired key, or lost the new one", who)
		}
	}
	if k, err := h.doors.Keys(t.Context(), owner); err != nil || k.Waiting {
		t.Errorf("after all: %+v %v", k, err)
	}
}

// A member of an organisation's mailbox opens it by their own keys, also after
// these were renewed; who leaves opens nothing that comes.
func TestMembers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	owner := h.holder()
	session := h.signIn()
	member := space.NewOwner("m/")
	h.must(h.doors.Provision(ctx, member, signin.Profile{Actor: identity.Actor{Kind: identity.Professional, ID: "10001234567"},
		Address: address(t, "louise@medecin.pli.test"), Contact: "louise@courriel.test"}))
	h.must(h.doors.SetPassword(ctx, member, "louise", otherPassword))
	louise, err := h.doors.Unlock(ctx, member, otherPassword)
	h.must(err)
	if _, err := h.doors.OpenAs(ctx, owner, louise); !errs.Is(err, errs.Unauthenticated) {
		t.Fatalf("before she is a member: %v", err)
	}
	for range 2 { // done again it changes nothing but the slot
		h.must(h.doors.AddMember(ctx, owner, session.Keys, session.Actor, member, "Louise"))
	}
	if err := h.doors.AddMember(ctx, owner, session.Keys, session.Actor, owner, ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("a member of itself: %v", err)
	}
	if err := h.doors.AddMember(ctx, owner, session.Keys, session.Actor, "m/nobody", ""); !errs.Is(err, errs.NotFound) {
		t.Errorf("a member who is nobody: %v", err)
	}
	keys, err := h.doors.OpenAs(ctx, owner, louise)
	h.must(err)
	h.must(h.doors.Rotate(ctx, owner))
	if !opens(t, keys, h.recipient(owner)) {
		t.Error("she does not open what comes after a rotation")
	}

	// Her own keys are renewed, and the old ones go: her slot has moved before.
	h.must(h.doors.Rotate(ctx, member))
	h.must(h.doors.Refresh(ctx, member, louise))
	k, err := h.doors.Keys(ctx, member)
	h.must(err)
	h.must(h.doors.Retire(ctx, member, k.Generation, louise, h.clock()))
	again, err := h.doors.Unlock(ctx, member, otherPassword)
	h.must(err)
	if again.Generations() != 1 {
		t.Fatal("her old keys are still there")
	}
	keys, err = h.doors.OpenAs(ctx, owner, again)
	h.must(err)

	h.must(h.doors.RemoveMember(ctx, owner, session.Actor, member))
	if _, err := h.doors.OpenAs(ctx, owner, again); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("after she has left: %v", err)
	}
	if opens(t, keys, h.recipient(owner)) {
		t.Error("the keys that she has still open what comes")
	}
	if !opens(t, session.Keys, h.recipient(owner)) {
		t.Error("those who stay do not open what comes")
	}
	if err := h.doors.RemoveMember(ctx, owner, session.Actor, member); !errs.Is(err, errs.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// updates counts the transactions that write.
type updates struct {
	store.DB
	n atomic.Int64
}

func (u *updates) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	u.n.Add(1)
	return u.DB.Update(ctx, owner, fn)
}

// The holder sees on which day each client last came, for one write a day.
func TestLastUseOfMailPasswords(t *testing.T) { // D5
	t.Parallel()
	h := newHouse(t)
	count := &updates{DB: h.db}
	h.doors = h.restart(func(c *signin.Config) { c.DB = count })
	owner := h.holder()
	phone, tablet := h.phone(owner, "téléphone"), h.phone(owner, "tablette")
	used := func() (days []string) {
		t.Helper()
		list, err := h.doors.MailPasswords(t.Context(), owner)
		h.must(err)
		for _, p := range list {
			day := "never"
			if !p.Used.IsZero() {
				day = p.Used.Format(time.DateOnly)
			}
			days = append(days, p.Label+" "+day)
		}
		return days
	}
	come := func(secret string, writes int64) {
		t.Helper()
		before := count.n.Load()
		for range 5 {
			_, err := h.doors.Mail(t.Context(), paule, secret)
			h.must(err)
		}
		if got := count.n.Load() - before; got != writes {
			t.Errorf("%d writes, want %d", got, writes)
		}
	}
	if got := used(); !slices.Equal(got, []string{"téléphone never", "tablette never"}) {
		t.Fatalf("at first: %q", got)
	}
	come(phone, 1)
	h.pass(11 * time.Hour)
	come(phone, 0)
	h.pass(13 * time.Hour)
	come(phone, 1)
	come(tablet, 1)
	if got := used(); !slices.Equal(got, []string{"téléphone 2026-03-03", "tablette 2026-03-03"}) {
		t.Errorf("on the next day: %q", got)
	}
	list, err := h.doors.MailPasswords(t.Context(), owner)
	h.must(err)
	h.must(h.doors.RemoveMailPassword(t.Context(), owner, list[0].ID))
	h.pass(24 * time.Hour)
	come(tablet, 1)
	if got := used(); !slices.Equal(got, []string{"tablette 2026-03-04"}) {
		t.Errorf("after one is gone: %q", got)
	}
}
