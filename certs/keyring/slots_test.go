package keyring_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/certs/keyring"
)

// operatorKeys makes the offline keys of n operators.
func operatorKeys(t testing.TB, n int) []*keyring.OperatorKey {
	t.Helper()
	keys := make([]*keyring.OperatorKey, n)
	for i := range keys {
		var err error
		keys[i], err = keyring.NewOperatorKey()
		must(t, err)
	}
	return keys
}

func publics(a, b *keyring.OperatorKey) [2]keyring.OperatorPublic {
	return [2]keyring.OperatorPublic{a.Public(), b.Public()}
}

// shareOf makes one operator's share for a ring.
func shareOf(t testing.TB, k *keyring.OperatorKey, r *keyring.Ring) keyring.Share {
	t.Helper()
	e, ok := r.Escrow()
	if !ok {
		t.Fatal("the ring has no slot of the operators")
	}
	s, err := k.Share(e)
	must(t, err)
	return s
}

// I1: two operators' offline keys are both required; either alone, twice, or
// with anything else opens nothing.
func TestOperatorsOpenTogetherOnly(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	keys := operatorKeys(t, 3)
	_, err := r.AddOperators(b, publics(keys[1], keys[0]), now)
	must(t, err)
	must(t, r.Rotate(nil, now)) // a generation made without any credential opens too
	k, pkesk := sealedTo(t, r.Recipient())
	r = stored(t, r)
	one, two := shareOf(t, keys[0], r), shareOf(t, keys[1], r)
	for _, both := range [][2]keyring.Share{{one, two}, {two, one}} {
		got, err := r.OpenOperators(both[0], both[1])
		must(t, err)
		opens(t, got, pkesk, k)
	}
	if !r.HasOperators(publics(keys[0], keys[1])) || !r.HasOperators(publics(keys[1], keys[0])) || r.HasOperators(publics(keys[0], keys[2])) {
		t.Error("whose slot it is, is not told right")
	}
	for name, bad := range map[string][2]keyring.Share{
		"one":                     {one, {}},
		"one twice":               {one, one},
		"one under both names":    {one, {Of: two.Of, Secret: one.Secret}},
		"one and a guess":         {one, {Of: two.Of, Secret: [32]byte{1}}},
		"secrets the wrong way":   {{Of: one.Of, Secret: two.Secret}, {Of: two.Of, Secret: one.Secret}},
		"none":                    {},
		"the other's second half": {{Of: one.Of}, two},
	} {
		if _, err := r.OpenOperators(bad[0], bad[1]); !errors.Is(err, keyring.ErrNoSlot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e, _ := r.Escrow()
	_, err = keys[2].Share(e)
	wantErr(t, err, keyring.ErrNoSlot) // a stranger's key
	if _, _, err := r.OpenGenerated("0000-0000-0000-0000-0000-0000-0000"); err == nil {
		t.Error("a slot of the operators opens by a code")
	}
}

// What was used once opens nothing more: the slot is made anew, and other
// accounts' slots have other shares.
func TestSharesAreForOneSlot(t *testing.T) {
	t.Parallel()
	keys := operatorKeys(t, 2)
	r, b := newRing(t)
	_, err := r.AddOperators(b, publics(keys[0], keys[1]), now)
	must(t, err)
	one, two := shareOf(t, keys[0], r), shareOf(t, keys[1], r)
	_, err = r.AddOperators(b, publics(keys[0], keys[1]), now)
	must(t, err)
	if n := len(r.Slots()); n != 1 {
		t.Fatalf("%d slots of the operators", n)
	}
	_, err = r.OpenOperators(one, two)
	wantErr(t, err, keyring.ErrNoSlot)
	_, err = r.OpenOperators(shareOf(t, keys[0], r), shareOf(t, keys[1], r))
	must(t, err)
	other, ob := newRing(t)
	_, err = other.AddOperators(ob, publics(keys[0], keys[1]), now)
	must(t, err)
	_, err = other.OpenOperators(shareOf(t, keys[0], r), shareOf(t, keys[1], r))
	wantErr(t, err, keyring.ErrNoSlot)
	_, err = other.AddOperators(ob, publics(keys[0], keys[0]), now)
	wantErr(t, err, keyring.ErrSameKey)
	if _, err = newEmpty(t).OpenOperators(one, two); !errors.Is(err, keyring.ErrNoSlot) {
		t.Errorf("a ring without such a slot: %v", err)
	}
	// The slot cannot be added by who does not hold the keys.
	_, stranger := newRing(t)
	_, err = other.AddOperators(stranger, publics(keys[0], keys[1]), now)
	wantErr(t, err, keyring.ErrStale)
}

func newEmpty(t testing.TB) *keyring.Ring {
	r, _ := newRing(t)
	return r
}

// The file of an operator's key survives being printed and typed in again, and
// opens by its passphrase alone.
func TestOperatorKeyFile(t *testing.T) {
	t.Parallel()
	key := operatorKeys(t, 1)[0]
	text, err := key.Seal(cheap, "une phrase dans un coffre")
	must(t, err)
	for name, typed := range map[string]string{
		"as it is":         text,
		"lines of Windows": strings.ReplaceAll(text, "\n", "\r\n"),
		"without spaces":   strings.ReplaceAll(strings.ReplaceAll(text, " ", ""), "\n", "\n\n"),
		"in capitals":      strings.Replace(strings.ToUpper(text), "PLI-OPERATOR-KEY-1", "pli-operator-key-1", 1),
	} {
		got, err := keyring.OpenOperatorKey(typed, "une phrase dans un coffre")
		if err != nil || got.Public() != key.Public() {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = keyring.OpenOperatorKey(text, "une autre phrase")
	wantErr(t, err, keyring.ErrNoSlot)
	lines := strings.Split(text, "\n")
	for name, bad := range map[string]string{
		"nothing":              "",
		"the public half":      key.Public().Text(),
		"a line short":         strings.Join(lines[:3], "\n"),
		"a digit short":        strings.TrimSpace(text)[:len(text)-2],
		"no number":            strings.Replace(text, lines[1][:8], "xxxxxxxx", 1),
		"too long":             text + strings.Repeat(" ", 5000),
		"a cost beyond reason": strings.Replace(text, lines[2][:8], "ffffffff", 1),
	} {
		if _, err := keyring.OpenOperatorKey(bad, "une phrase dans un coffre"); !errors.Is(err, keyring.ErrKeyFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	swapped := strings.Replace(text, lines[1], strings.Repeat("0", 64), 1)
	if _, err := keyring.OpenOperatorKey(swapped, "une phrase dans un coffre"); err == nil {
		t.Error("another public key stands in the file and nobody notices")
	}
	public, err := keyring.ParseOperatorPublic(key.Public().Text())
	must(t, err)
	if public != key.Public() {
		t.Error("the public half came back as another")
	}
	_, err = keyring.ParseOperatorPublic(text)
	wantErr(t, err, keyring.ErrKeyFile)
	if shown := fmt.Sprintf("%v %+v %#v", *key, *key, *key); strings.Contains(shown, "private") || strings.Contains(shown, "{") {
		t.Errorf("the key shows itself: %s", shown)
	}
}

// A6: a representative, a member of an organisation's mailbox: their own keys open
// it, and stop doing so.
func TestAnotherAccountOpensTheRing(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	member, mb := newRing(t)
	_, stranger := newRing(t)
	_, _, err := r.AddGenerated(b, keyring.Recovery, "", now)
	must(t, err)
	id, err := r.AddAccount(b, "m/louise", member.Recipient(), "Louise", now)
	must(t, err)
	k, pkesk := sealedTo(t, r.Recipient())
	got, slot, err := stored(t, r).OpenAccount(mb)
	must(t, err)
	opens(t, got, pkesk, k)
	if info, ok := r.Slot(id); slot != id || !ok || info.Member != "m/louise" || info.Kind != keyring.Account {
		t.Errorf("opened by %s: %+v", slot, info)
	}
	_, _, err = r.OpenAccount(stranger)
	wantErr(t, err, keyring.ErrNoSlot)

	// A new generation, made with nobody there, opens for the member too.
	must(t, r.Rotate(nil, now))
	must(t, got.Refresh(r))
	k2, pkesk2 := sealedTo(t, r.Recipient())
	opens(t, got, pkesk2, k2)

	// The member's own keys are rotated: the slot opens by the old generation,
	// and is moved to the new one.
	must(t, member.Rotate(mb, now))
	got, _, err = r.OpenAccount(mb)
	must(t, err)
	moved, err := r.AddAccount(got, "m/louise", member.Recipient(), "Louise", now)
	must(t, err)
	if _, still := r.Slot(id); still || moved == id {
		t.Error("the slot of before is still there")
	}
	member.Retire()
	must(t, mb.Refresh(member))
	_, _, err = r.OpenAccount(mb)
	must(t, err)

	// Who leaves opens nothing that comes.
	must(t, r.RemoveSlot(moved))
	must(t, r.Rotate(b, now))
	_, _, err = r.OpenAccount(mb)
	wantErr(t, err, keyring.ErrNoSlot)
	wantErr(t, got.Refresh(r), keyring.ErrNoSlot)
	_, pkesk3 := sealedTo(t, r.Recipient())
	_, err = got.Unwrap(pkesk3)
	wantErr(t, err, keyring.ErrWrongKey)
	for _, bad := range []string{"", strings.Repeat("x", keyring.MaxLabel+1)} {
		_, err = r.AddAccount(b, bad, member.Recipient(), "", now)
		wantErr(t, err, keyring.ErrTooLarge)
	}
}

// A generation that is retired opens nothing any more; those that stay do.
func TestRetire(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, err := r.AddServer(b, [32]byte{1})
	must(t, err)
	_, old := sealedTo(t, r.Recipient())
	if r.Retire() != 0 {
		t.Fatal("the only generation was retired")
	}
	before := stored(t, r)
	must(t, r.Rotate(b, now.Add(time.Hour)))
	k, pkesk := sealedTo(t, r.Recipient())
	if n := r.Retire(); n != 1 || r.Generations() != 1 || r.Generation() != 2 || !r.Rotated().Equal(now.Add(time.Hour)) {
		t.Fatalf("%d retired, %d left, newest %d", n, r.Generations(), r.Generation())
	}
	r = stored(t, r)
	if b.Generations() != 2 || !b.Rotated().Equal(now.Add(time.Hour)) {
		t.Errorf("the bundle knows %d", b.Generations())
	}
	must(t, b.Refresh(before)) // a ring as it was before takes nothing away
	opens(t, b, pkesk, k)
	must(t, b.Refresh(r))
	opens(t, b, pkesk, k)
	_, err = b.Unwrap(old)
	wantErr(t, err, keyring.ErrWrongKey)
	if _, ok := b.IndexKeyOf(1); ok {
		t.Error("the retired generation's index key is still known")
	}
	fresh, err := r.OpenServer([32]byte{1})
	must(t, err)
	_, err = fresh.Unwrap(old)
	wantErr(t, err, keyring.ErrWrongKey)
	must(t, r.Rotate(nil, now))
	if r.Generation() != 3 {
		t.Errorf("the next generation is number %d", r.Generation())
	}
}

// A holder who came by the recovery code sets one password in place of all;
// the session goes on by it, through later rotations.
func TestResetPassword(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	for _, p := range []string{"the first one", "the second one"} {
		_, err := r.AddPasswordWith(cheap, b, p, "", now)
		must(t, err)
	}
	_, code, err := r.AddGenerated(b, keyring.Recovery, "", now)
	must(t, err)
	k, pkesk := sealedTo(t, r.Recipient())
	session, slot, err := r.OpenGenerated(code, keyring.Recovery)
	must(t, err)
	id, err := r.ResetPassword(cheap, session, "a new one", now)
	must(t, err)
	must(t, r.RemoveSlot(slot))
	for _, p := range []string{"the first one", "the second one"} {
		_, _, err = r.OpenPassword(p)
		wantErr(t, err, keyring.ErrNoSlot)
	}
	got, by, err := r.OpenPassword("a new one")
	must(t, err)
	opens(t, got, pkesk, k)
	if by != id || session.Slot() != id {
		t.Errorf("opened by %s, the session goes on by %s, the password is %s", by, session.Slot(), id)
	}
	must(t, r.Rotate(nil, now))
	must(t, session.Refresh(r))
	if _, err = r.ResetPassword(cheap, session, "", now); !errors.Is(err, keyring.ErrPassword) {
		t.Errorf("an empty password: %v", err)
	}
	// A session that changes its own password goes on too.
	must(t, r.ChangePassword(cheap, session, id, "yet another"))
	must(t, r.Rotate(nil, now))
	must(t, session.Refresh(r))
	if i := slices.IndexFunc(r.Slots(), func(s keyring.SlotInfo) bool { return s.Kind == keyring.Password }); i < 0 {
		t.Error("no password is left")
	}
}
