package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"pli/certs/keyring"
)

var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// cheap is the least that argon2id costs, so that tests are quick.
var cheap = keyring.Params{Memory: 8, Passes: 1, Threads: 1}

func newRing(t testing.TB) (*keyring.Ring, *keyring.Bundle) {
	t.Helper()
	r, b, err := keyring.New("dr.durand@medecin.pli.test", now)
	must(t, err)
	return r, b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr fails unless err is the given failure.
func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// stored returns the ring as it comes back from its record.
func stored(t testing.TB, r *keyring.Ring) *keyring.Ring {
	t.Helper()
	b, err := cbor.Marshal(r)
	must(t, err)
	out := new(keyring.Ring)
	must(t, cbor.Unmarshal(b, out))
	return out
}

// sealedTo returns a session key and its PKESK.
func sealedTo(t testing.TB, to keyring.Recipient) (keyring.SessionKey, []byte) {
	t.Helper()
	k, err := keyring.NewSession()
	must(t, err)
	pkesk, err := to.Wrap(k)
	must(t, err)
	return k, pkesk
}

// opens fails unless the bundle unwraps the session key.
func opens(t testing.TB, b *keyring.Bundle, pkesk []byte, want keyring.SessionKey) {
	t.Helper()
	got, err := b.Unwrap(pkesk)
	must(t, err)
	if got != want {
		t.Fatal("another session key came out")
	}
}

// I1: every slot opens everything, from the record alone.
func TestEachSlotOpensTheRing(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	k, pkesk := sealedTo(t, r.Recipient())
	opens(t, b, pkesk, k)

	pw, err := r.AddPasswordWith(cheap, b, "Chêne-liège 42", "", now)
	must(t, err)
	mailID, mail, err := r.AddGenerated(b, keyring.MailPassword, "Thunderbird", now)
	must(t, err)
	recID, rec, err := r.AddGenerated(b, keyring.Recovery, "", now)
	must(t, err)
	srvID, err := r.AddServer(b, [32]byte{7})
	must(t, err)
	r = stored(t, r)

	got, id, err := r.OpenPassword("Chêne-liège 42")
	must(t, err)
	check := func(got *keyring.Bundle, id, want string) {
		t.Helper()
		opens(t, got, pkesk, k)
		if id != want || got.Slot() != want || got.Recipient() != r.Recipient() || got.IndexKey() != b.IndexKey() {
			t.Fatal("the slot opened something else")
		}
	}
	check(got, id, pw)
	got, id, err = r.OpenGenerated(mail)
	must(t, err)
	check(got, id, mailID)
	got, id, err = r.OpenGenerated(rec, keyring.Recovery)
	must(t, err)
	check(got, id, recID)
	got, err = r.OpenServer([32]byte{7})
	must(t, err)
	check(got, srvID, srvID)

	if info, ok := r.Slot(mailID); !ok || info.Label != "Thunderbird" || info.Kind != keyring.MailPassword || !info.Created.Equal(now) {
		t.Fatalf("the slot shows as %+v", info)
	}
	if n := len(r.Slots()); n != 4 {
		t.Fatalf("%d slots, want 4", n)
	}
}

func TestWhatIsNotASlotOpensNothing(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, err := r.AddPasswordWith(cheap, b, "right", "", now)
	must(t, err)
	_, mail, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(t, err)
	_, err = r.AddServer(b, [32]byte{1})
	must(t, err)
	other, ob := newRing(t)
	_, foreign, err := other.AddGenerated(ob, keyring.MailPassword, "", now)
	must(t, err)

	_, _, err = r.OpenPassword("wrong")
	wantErr(t, err, keyring.ErrNoSlot)
	_, _, err = r.OpenPassword("")
	wantErr(t, err, keyring.ErrNoSlot)
	_, _, err = r.OpenPassword(strings.Repeat("x", keyring.MaxPassword+1))
	wantErr(t, err, keyring.ErrNoSlot)
	_, _, err = r.OpenGenerated(foreign)
	wantErr(t, err, keyring.ErrNoSlot)
	_, _, err = r.OpenGenerated(mail, keyring.Recovery) // a mail client's password is no recovery code
	wantErr(t, err, keyring.ErrNoSlot)
	_, _, err = r.OpenGenerated("right")
	wantErr(t, err, keyring.ErrSecretForm)
	_, err = r.OpenServer([32]byte{2})
	wantErr(t, err, keyring.ErrNoSlot)
	_, _, err = r.OpenPassword(mail) // nor is it the holder's password
	wantErr(t, err, keyring.ErrNoSlot)
}

// RFC 8265 4.2: one password, typed on two keyboards.
func TestPasswordFormsAreOne(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, err := r.AddPasswordWith(cheap, b, "e\u0301t\u00e9\u00a02026", "", now)
	must(t, err)
	_, _, err = r.OpenPassword("\u00e9te\u0301 2026")
	must(t, err)
	for _, bad := range []string{"", "a\x00b", strings.Repeat("x", keyring.MaxPassword+1)} {
		_, err := r.AddPasswordWith(cheap, b, bad, "", now)
		wantErr(t, err, keyring.ErrPassword)
	}
	_, err = r.AddPasswordWith(cheap, b, strings.Repeat("x", keyring.MaxPassword), "", now)
	must(t, err)
}

func TestGeneratedSecretIsTypedLeniently(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, secret, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(t, err)
	if len(secret) != 34 || strings.Count(secret, "-") != 6 {
		t.Fatalf("a secret of form %q", secret)
	}
	spoken := strings.NewReplacer("0", "o", "1", "L").Replace(secret)
	for _, typed := range []string{
		strings.ToUpper(secret), strings.ReplaceAll(secret, "-", ""), strings.ReplaceAll(secret, "-", " "),
		strings.ReplaceAll(secret, "-", "\u2013"), " " + secret + "\n", spoken,
	} {
		_, _, err := r.OpenGenerated(typed)
		must(t, err)
	}
	flipped := []byte(secret)
	if flipped[3]++; strings.IndexByte("ilou", flipped[3]) >= 0 || flipped[3] > 'z' || flipped[3] == '9'+1 {
		flipped[3] = '0'
		if secret[3] == '0' {
			flipped[3] = '2'
		}
	}
	for _, bad := range []string{string(flipped), secret[:33], secret + "0", "", strings.Repeat("u", 28), strings.Repeat("-", 2000)} {
		_, _, err := r.OpenGenerated(bad)
		wantErr(t, err, keyring.ErrSecretForm)
	}
}

// I1: a new generation reaches every slot without any credential, and what was
// sealed before still opens.
func TestRotateNeedsNoCredential(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, err := r.AddPasswordWith(cheap, b, "pw", "", now)
	must(t, err)
	_, mail, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(t, err)
	session, _, err := r.OpenGenerated(mail)
	must(t, err)
	oldKey, oldPKESK := sealedTo(t, r.Recipient())
	oldIndex := b.IndexKey()

	r = stored(t, r)
	must(t, r.Rotate(nil, now.Add(time.Hour)))
	r = stored(t, r)
	newKey, newPKESK := sealedTo(t, r.Recipient())
	if r.Generation() != 2 || r.Recipient() == b.Recipient() {
		t.Fatal("the recipient is still the first generation")
	}
	for _, open := range []func() (*keyring.Bundle, string, error){
		func() (*keyring.Bundle, string, error) { return r.OpenPassword("pw") },
		func() (*keyring.Bundle, string, error) { return r.OpenGenerated(mail) },
	} {
		got, _, err := open()
		must(t, err)
		opens(t, got, oldPKESK, oldKey)
		opens(t, got, newPKESK, newKey)
		index, ok := got.IndexKeyOf(1)
		if !ok || index != oldIndex || got.IndexKey() == oldIndex || got.Generation() != 2 {
			t.Fatal("the index keys are not those of the generations")
		}
	}

	// A session from before learns it by Refresh; until then it can add no slot.
	_, err = session.Unwrap(newPKESK)
	wantErr(t, err, keyring.ErrWrongKey)
	_, _, err = r.AddGenerated(session, keyring.Recovery, "", now)
	wantErr(t, err, keyring.ErrStale)
	must(t, session.Refresh(r))
	opens(t, session, newPKESK, newKey)
	if session.Recipient() != r.Recipient() {
		t.Fatal("the refreshed bundle does not know the newest generation")
	}
	wantErr(t, b.Refresh(r), keyring.ErrNoSlot) // New's bundle has no slot
}

func TestRotateTeachesTheBundleGiven(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	must(t, r.Rotate(b, now))
	k, pkesk := sealedTo(t, r.Recipient())
	opens(t, b, pkesk, k)
}

// Design, sealed mail: activation adds the holder's slot, removes the server's
// and rotates: the server's key opens nothing that comes after.
func TestRemovedSlotOpensNothing(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	server, err := r.AddServer(b, [32]byte{3})
	must(t, err)
	again, err := r.AddServer(b, [32]byte{3})
	must(t, err)
	if again != server {
		t.Fatal("one server key made two slots")
	}
	wantErr(t, r.RemoveSlot(server), keyring.ErrLastSlot)
	old, err := r.OpenServer([32]byte{3})
	must(t, err)
	_, err = r.AddPasswordWith(cheap, b, "pw", "", now)
	must(t, err)
	must(t, r.RemoveSlot(server))
	must(t, r.Rotate(b, now))
	r = stored(t, r)
	_, err = r.OpenServer([32]byte{3})
	wantErr(t, err, keyring.ErrNoSlot)
	_, pkesk := sealedTo(t, r.Recipient())
	_, err = old.Unwrap(pkesk)
	wantErr(t, err, keyring.ErrWrongKey)
	wantErr(t, old.Refresh(r), keyring.ErrNoSlot)
	wantErr(t, r.RemoveSlot(server), keyring.ErrUnknownSlot)
}

// I1: changing a password seals one slot again; the old one opens nothing.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	id, err := r.AddPasswordWith(cheap, b, "old", "", now)
	must(t, err)
	mailID, mail, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(t, err)
	must(t, r.Rotate(b, now))
	k, pkesk := sealedTo(t, r.Recipient())
	must(t, r.ChangePassword(cheap, b, id, "new"))
	r = stored(t, r)
	_, _, err = r.OpenPassword("old")
	wantErr(t, err, keyring.ErrNoSlot)
	got, gotID, err := r.OpenPassword("new")
	must(t, err)
	opens(t, got, pkesk, k)
	if gotID != id {
		t.Fatal("the slot has another id")
	}
	_, _, err = r.OpenGenerated(mail)
	must(t, err)
	wantErr(t, r.ChangePassword(cheap, b, mailID, "x"), keyring.ErrUnknownSlot)
	wantErr(t, r.ChangePassword(cheap, b, id, ""), keyring.ErrPassword)
	_, _, err = r.OpenPassword("new") // a failed change changes nothing
	must(t, err)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	for range keyring.MaxPasswordSlots {
		_, err := r.AddPasswordWith(cheap, b, "pw", "", now)
		must(t, err)
	}
	_, err := r.AddPasswordWith(cheap, b, "pw", "", now)
	wantErr(t, err, keyring.ErrFull)
	_, _, err = r.AddGenerated(b, keyring.MailPassword, strings.Repeat("x", keyring.MaxLabel+1), now)
	wantErr(t, err, keyring.ErrTooLarge)
	for range keyring.MaxSlots - keyring.MaxPasswordSlots {
		_, _, err := r.AddGenerated(b, keyring.MailPassword, strings.Repeat("x", keyring.MaxLabel), now)
		must(t, err)
	}
	_, _, err = r.AddGenerated(b, keyring.MailPassword, "", now)
	wantErr(t, err, keyring.ErrFull)
	_, err = r.AddServer(b, [32]byte{})
	wantErr(t, err, keyring.ErrFull)
	stored(t, r)

	small, sb := newRing(t)
	for small.Generation() < keyring.MaxGenerations {
		must(t, small.Rotate(sb, now))
	}
	wantErr(t, small.Rotate(sb, now), keyring.ErrFull)
	stored(t, small)
	_, _, err = small.AddGenerated(sb, keyring.Password, "", now)
	wantErr(t, err, keyring.ErrUnknownSlot)
	_, err = small.AddPasswordWith(keyring.Params{Memory: 1 << 30, Passes: 1, Threads: 1}, sb, "pw", "", now)
	wantErr(t, err, keyring.ErrPassword)
}

func TestWipedBundleOpensNothing(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, pkesk := sealedTo(t, r.Recipient())
	b.Wipe()
	b.Wipe()
	_, err := b.Unwrap(pkesk)
	wantErr(t, err, keyring.ErrWiped)
	_, err = b.ArmoredPrivateKey("")
	wantErr(t, err, keyring.ErrWiped)
	_, _, err = r.AddGenerated(b, keyring.Recovery, "", now)
	wantErr(t, err, keyring.ErrWiped)
	wantErr(t, b.Refresh(r), keyring.ErrWiped)
	if b.IndexKey() != [32]byte{} || !b.Recipient().IsZero() {
		t.Fatal("a wiped bundle still has keys")
	}
}

// A ring's record holds no private half: neither the password, nor the
// secret, nor a private key stands in it.
func TestRecordHoldsNoSecret(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, err := r.AddPasswordWith(cheap, b, "motdepasse-canari", "", now)
	must(t, err)
	_, secret, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(t, err)
	rec, err := cbor.Marshal(r)
	must(t, err)
	index := b.IndexKey()
	for _, s := range [][]byte{[]byte("canari"), []byte(secret), []byte(strings.ReplaceAll(secret, "-", "")), index[:]} {
		if bytes.Contains(rec, s) {
			t.Fatal("the record holds a secret")
		}
	}
}

func TestDamagedRecordIsRefused(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, secret, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(t, err)
	rec, err := cbor.Marshal(r)
	must(t, err)
	for i := range rec {
		bad := bytes.Clone(rec)
		bad[i] ^= 0x20
		got := new(keyring.Ring)
		if err := got.UnmarshalCBOR(bad); err != nil {
			wantErr(t, err, keyring.ErrDamaged)
			continue
		}
		if _, _, err := got.OpenGenerated(secret); err != nil {
			continue // seen when it is opened
		}
		// What still opens is damaged in a label, a date, the user or the certificate alone.
	}
	for _, bad := range [][]byte{nil, {0xA0}, rec[:len(rec)-1], append(bytes.Clone(rec), 0)} {
		wantErr(t, new(keyring.Ring).UnmarshalCBOR(bad), keyring.ErrDamaged)
	}
	var zero keyring.Ring
	if !zero.Recipient().IsZero() || zero.Generation() != 0 || len(zero.Slots()) != 0 {
		t.Fatal("a ring that New did not make has keys")
	}
}

// Keys never print themselves.
func TestKeysAreMasked(t *testing.T) {
	t.Parallel()
	k, err := keyring.NewSession()
	must(t, err)
	r, b := newRing(t)
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %s", r, *r, struct{ R *keyring.Ring }{r})
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "ring", r, "key", k, "in", struct{ K keyring.SessionKey }{k}, "bundle", b)
	fmt.Fprintf(&out, "%v %x %d %s %+v %#v %v", k, k, k, k, struct{ K keyring.SessionKey }{k}, k, b)
	for _, form := range []string{"durand", fmt.Sprintf("%x", k[:]), fmt.Sprintf("%d, %d", k[0], k[1]), fmt.Sprintf("%d %d", k[0], k[1]), fmt.Sprintf("%d,%d", k[0], k[1]), fmt.Sprintf("%#x, %#x", k[0], k[1])} {
		if strings.Contains(out.String(), form) {
			t.Fatalf("a key shows in %s", out.String())
		}
	}
}

// A ring lies in a record of another's as a value, too.
func TestRingLiesInRecords(t *testing.T) {
	t.Parallel()
	type account struct {
		Name string
		Ring keyring.Ring
	}
	r, b := newRing(t)
	_, err := r.AddServer(b, [32]byte{5})
	must(t, err)
	rec, err := cbor.Marshal(account{"a", *r})
	must(t, err)
	var back account
	must(t, cbor.Unmarshal(rec, &back))
	_, err = back.Ring.OpenServer([32]byte{5})
	must(t, err)
}

func TestRecipientLiesInRecords(t *testing.T) {
	t.Parallel()
	r, _ := newRing(t)
	b, err := cbor.Marshal(r.Recipient())
	must(t, err)
	var got keyring.Recipient
	must(t, cbor.Unmarshal(b, &got))
	if got != r.Recipient() || len(b) > 80 {
		t.Fatalf("the recipient comes back otherwise, or takes %d bytes", len(b))
	}
}
