package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/audit"
	"pli/consent"
	"pli/dossier"
	"pli/identity"
	"pli/mailbox"
	"pli/mss"
	"pli/signin"
	"pli/store"
)

// active is an instance with a holder who has letters small and large, a copy,
// a document, an exchange with a doctor, notices and a trace.
type active struct {
	*house
	holder, doctor string // addresses
	mail           string // the holder's mail password
}

const (
	doctorAddress = "rose@medecin.pli.test"
	lettersThere  = 4
	documents     = 2
)

func newActive(t *testing.T) *active {
	t.Helper()
	h := newHouse(t, func(c *Config) { c.LocalDomains = []string{"medecin.pli.test"} })
	a := &active{house: h, holder: "279035121518989@" + h.cfg.PatientDomain, doctor: doctorAddress}
	ctx := t.Context()
	_, err := h.AddMember(ctx, MemberAdd{Address: doctorAddress, Type: "PER", Name: "Dr Rose", RPPS: "10002422979", Profession: "10", Contact: "rose@example.org"})
	a.must(err)
	keys, err := h.signin.Unlock(ctx, h.owner, "Une-phrase-assez-longue-7")
	a.must(err)
	a.mail, err = h.signin.AddMailPassword(ctx, h.owner, keys, "téléphone")
	a.must(err)
	for i := range lettersThere {
		a.must(a.write(a.doctorSends(), a.holder, fmt.Sprintf("Lettre %d", i), strings.Repeat("Bonjour.\r\n", 1+20*i)))
	}
	a.must(a.write(a.holderSends(), a.doctor, "Merci", "Merci."))
	acc, done := a.open1()
	v, err := acc.Select(ctx, mailbox.Inbox, false)
	a.must(err)
	_, err = v.Store(ctx, []mailbox.UID{1}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
	a.must(err)
	_, err = v.Copy(ctx, []mailbox.UID{1, 4}, "Archive")
	a.must(err)
	v.Close()
	done()
	for i := range documents {
		a.fileFrom(fmt.Sprint("source ", i))
	}
	_, err = a.list()
	a.must(err)
	return a
}

func (a *active) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *active) actor() identity.Actor {
	return identity.Actor{Kind: identity.Holder, ID: string(a.owner), Account: string(a.owner)}
}

func (a *active) doctorSends() mss.Sender {
	a.t.Helper()
	address, err := identity.ParseAddress(a.doctor)
	a.must(err)
	box, err := a.directory.Lookup(a.t.Context(), address)
	a.must(err)
	return mss.Sender{Actor: box.Actor, Addresses: []identity.Address{address}, Account: box.Account}
}

func (a *active) holderSends() mss.Sender {
	a.t.Helper()
	address, err := identity.ParseAddress(a.holder)
	a.must(err)
	return mss.Sender{Actor: a.actor(), Addresses: []identity.Address{address}, Account: a.owner}
}

// write sends a letter as a face does.
func (a *active) write(from mss.Sender, to, subject, text string) error {
	ctx := a.t.Context()
	sender := from.Addresses[0].String()
	tr, err := a.mss.FromMember(ctx, from, sender, mss.Params{})
	if err != nil {
		return err
	}
	defer tr.Close()
	if err := tr.Rcpt(ctx, to, mss.RcptParams{}); err != nil {
		return err
	}
	_, err = tr.Data(ctx, strings.NewReader(fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@pli.test>\r\n\r\n%s\r\n",
		sender, to, subject, a.deps().Now().Format(time.RFC1123Z), strings.ReplaceAll(subject, " ", "."), text)))
	return err
}

// open1 signs the holder in as a mail client does.
func (a *active) open1() (*mailbox.Account, func()) {
	a.t.Helper()
	acc, done, err := a.signInMail()
	a.must(err)
	return acc, done
}

func (a *active) signInMail() (*mailbox.Account, func(), error) {
	opened, err := a.signin.Mail(a.t.Context(), a.holder, a.mail)
	if err != nil {
		return nil, nil, err
	}
	acc, err := a.mailOf(opened)
	return acc, func() { acc.Close() }, err
}

func (a *active) mailOf(o *signin.Opened) (*mailbox.Account, error) {
	return a.Instance.mail.Open(a.t.Context(), o.Actor, o.Account, o.Keys)
}

func (a *active) list() ([]dossier.Document, error) {
	return a.dossier.List(a.t.Context(), a.actor(), a.owner)
}

func (a *active) fileFrom(source string) {
	a.t.Helper()
	_, err := a.dossier.File(a.t.Context(), a.actor(), a.owner, dossier.NewDocument{Title: "Compte rendu", Type: "11502-2",
		Date: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), MIME: "text/plain", Source: source}, strings.NewReader("Compte rendu de "+source))
	a.must(err)
}

// keys returns the keys of all records of the holder's space.
func (a *active) records() (keys [][]byte) {
	a.t.Helper()
	a.must(a.raw.View(a.t.Context(), a.owner, func(tx store.Tx) error {
		keys = nil
		return tx.Scan(nil, nil, func(k, _ []byte) error {
			keys = append(keys, bytes.Clone(k))
			return nil
		})
	}))
	return keys
}

// flip changes a bit of one record below the seal.
func (a *active) flip(key []byte) {
	a.t.Helper()
	a.must(wide(a.raw).Update(a.t.Context(), a.owner, func(tx store.Tx) error {
		v, err := tx.Get(key)
		if err != nil {
			return err
		}
		v = bytes.Clone(v)
		v[len(v)/2] ^= 1
		return tx.Put(key, v)
	}))
}

// precious are the records without which nobody gets in, with what fails.
var precious = map[string]bool{"space": true, "signin/ring": true, "signin/profile": true, "mail/d": true}

// Whichever one record of a space the disk has changed, verify tells it, by
// account, and the holder signs in, lists and reads the other letters and
// documents, sees the trace, gets mail and writes. Four records are more
// precious than that: they say who, by which key, in which folders.
func TestAnyOneDamagedRecordOfASpace(t *testing.T) {
	t.Parallel()
	made := newActive(t)
	keys := made.records()
	template := filepath.Dir(made.cfg.Dir)
	made.shut()
	if len(keys) < 45 {
		t.Fatalf("%d records", len(keys))
	}
	sorts := map[string]bool{}
	for _, key := range keys {
		sort, _, _ := strings.Cut(string(key), "/")
		sorts[sort] = true
		name := fmt.Sprintf("%s %x", sort, key[min(len(key), len(sort)+1):])
		a := made.copyOf(t, template)
		a.flip(key)
		r, err := a.Verify(t.Context(), struct{}{})
		if err != nil || len(r.Problems) == 0 {
			t.Errorf("%s: verify: %v %v", name, r.Problems, err)
		}
		for _, p := range r.Problems {
			if p.Account != string(a.owner) || p.Address != a.holder && string(key) != "signin/profile" && string(key) != "signin/ring" {
				t.Errorf("%s: told of another: %+v", name, p)
			}
		}
		if !precious[string(key)] {
			a.use(name)
		} else if _, done, err := a.signInMail(); err == nil {
			t.Errorf("%s: precious, and yet the mail opens", name)
			done()
		} else if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		a.shut()
	}
	for _, sort := range []string{"audit", "dossier", "dup", "exchange", "mail", "notify", "signin", "space"} {
		if !sorts[sort] {
			t.Errorf("no record of the sort %q", sort)
		}
	}
}

// copyOf opens a copy of an instance that is shut.
func (a *active) copyOf(t *testing.T, template string) *active {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	a.must(os.CopyFS(dir, os.DirFS(template)))
	cfg, err := LoadConfig(filepath.Join(dir, "pli.toml"))
	a.must(err)
	a.must(os.Chmod(masterPath(cfg.Dir), 0o600))
	out := *a
	h := *a.house
	h.cfg, h.t = cfg, t
	out.house = &h
	out.open()
	return &out
}

// use does what people do, and fails the test for what the damage of one
// record of a letter or document does not excuse.
func (a *active) use(name string) {
	t, ctx := a.t, a.t.Context()
	t.Helper()
	check := func(what string, err error) bool {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %s: %v", name, what, err)
		}
		return err == nil
	}
	check("delivery", a.write(a.doctorSends(), a.holder, "Encore", "Encore."))
	check("answer", a.write(a.holderSends(), a.doctor, "Réponse", "Oui."))
	if _, err := a.signin.Begin(ctx, "anne.dupont", "Une-phrase-assez-longue-7"); err != nil {
		check("sign-in", err)
	}
	if acc, done, err := a.signInMail(); check("mail client", err) {
		if read, err := letters(ctx, acc); check("reading", err) && read < lettersThere {
			t.Errorf("%s: %d letters read", name, read)
		}
		done()
	}
	list, err := a.list()
	if check("dossier", err) && len(list) < documents-1 {
		t.Errorf("%s: %d documents", name, len(list))
	}
	opened := 0
	for _, d := range list {
		if _, c, err := a.dossier.Open(ctx, a.actor(), a.owner, d.ID); check("document", err) {
			if _, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size())); check("content", err) {
				opened++
			}
			c.Close()
		}
	}
	if opened < documents-1 {
		t.Errorf("%s: %d documents open", name, opened)
	}
	a.fileFrom("source 0") // again, or anew
	_, err = a.mss.Exchanges(ctx, a.actor(), a.owner)
	check("exchanges", err)
	lines := 0
	check("trace", a.gate.Do(ctx, a.actor(), consent.Request{Space: a.owner, Act: consent.ActTraceRead}, func(tx store.Tx) error {
		page, err := audit.List(tx, 0, audit.MaxPage)
		lines = len(page)
		return err
	}))
	if lines < 10 {
		t.Errorf("%s: %d lines of the trace", name, lines)
	}
}

// letters reads every letter of INBOX, and returns how many open.
func letters(ctx context.Context, acc *mailbox.Account) (n int, err error) {
	boxes, err := acc.Boxes(ctx)
	if err != nil || len(boxes) < 6 {
		return 0, fmt.Errorf("%d boxes: %w", len(boxes), err)
	}
	v, err := acc.Select(ctx, mailbox.Inbox, false)
	if err != nil {
		return 0, err
	}
	defer v.Close()
	err = v.Messages(ctx, nil, true, func(m mailbox.Message) error {
		b, err := v.Open(ctx, m.UID)
		if err != nil || m.Damaged {
			return nil
		}
		defer b.Close()
		if _, err := io.Copy(io.Discard, io.NewSectionReader(b, 0, b.Size())); err == nil {
			n++
		}
		return nil
	})
	return n, err
}

// A repair makes damaged records agree again, on a running instance, and tells
// what was lost; what it leaves is sound.
func TestRepair(t *testing.T) {
	t.Parallel()
	a := newActive(t)
	hit := 0
	for _, key := range a.records() {
		k := string(key)
		if k == "mail/d" || strings.HasPrefix(k, "mail/f/") || strings.HasPrefix(k, "mail/e/") || strings.HasPrefix(k, "dossier/n") || strings.HasPrefix(k, "dossier/s/") {
			a.flip(key)
			hit++
		}
	}
	if hit < 15 {
		t.Fatalf("%d records hit", hit)
	}
	r, err := a.Repair(t.Context(), struct{}{})
	if err != nil || len(r.After.Problems) > 0 || len(r.Accounts) != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	got := r.Accounts[0]
	if got.Address != a.holder || got.Recovered != lettersThere || got.Messages != lettersThere || len(got.Lost) != 1 {
		t.Errorf("%+v", got)
	}
	acc, done := a.open1()
	defer done()
	box, err := acc.Box(t.Context(), mailbox.Recovered)
	if err != nil || box.Messages != lettersThere {
		t.Errorf("%+v %v", box, err)
	}
	lines := 0
	a.must(a.db.View(t.Context(), a.owner, func(tx store.Tx) error {
		page, err := audit.List(tx, 0, 50)
		lines = 0
		for _, e := range page {
			if e.Act == string(consent.ActSpaceRepair) {
				lines++
			}
		}
		return err
	}))
	if lines != 1 {
		t.Errorf("%d lines of the repair in the trace", lines)
	}
	if again, err := a.Repair(t.Context(), struct{}{}); err != nil || len(again.Accounts) > 0 {
		t.Errorf("again: %+v %v", again, err)
	}
}

// A large letter whose record the disk has changed is made again from its blob
// by a repair: were the record but removed, the next sweep would take the blob.
// One that its holder has deleted does not come back.
func TestRepairKeepsLargeLetters(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for n := range 3 {
		if err := h.deliverText(h.owner, letter(n, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	letters := h.letters(h.owner)
	isLetter := func(key string) bool { return strings.HasPrefix(key, "mail/m/") }
	kept := h.rawKeysOf(h.owner, isLetter)
	if err := h.deliverText(h.owner, letter(3, 5000)); err != nil {
		t.Fatal(err)
	}
	h.hold.Hold() // the blob of what is deleted is still there
	v := h.mailbox(h.owner)
	last := v.UIDs()[3:]
	_, err := v.Store(t.Context(), last, mailbox.FlagsAdd, []mailbox.Flag{`\Deleted`}, 0)
	if err == nil {
		_, err = v.Expunge(t.Context(), last)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range kept[:2] {
		h.spoil(h.owner, key)
	}
	r, err := h.Repair(t.Context(), struct{}{})
	if err != nil || len(r.After.Problems) > 0 {
		t.Errorf("repair: %+v %v", r, err)
	}
	h.hold.Release(t.Context())
	h.later = day
	if r := h.sweep(SweepArgs{}); r.Stopped != "" {
		t.Error(r.Stopped)
	}
	wantSame(t, "letters", h.letters(h.owner), letters)
	h.mustVerify()
}

// A data key that is damaged is told as such, with what to do, and the other
// accounts are verified.
func TestVerifyTellsADamagedKey(t *testing.T) {
	t.Parallel()
	a := newActive(t)
	a.must(a.rawKeys.Update(t.Context(), a.owner, func(tx store.Tx) error {
		v, err := tx.Get([]byte("data"))
		if err != nil {
			return err
		}
		v = bytes.Clone(v)
		v[len(v)-1] ^= 1
		return tx.Put([]byte("data"), v)
	}))
	a.shut()
	a.open()
	r, err := a.Verify(t.Context(), struct{}{})
	if err != nil || len(r.Problems) != 1 || r.Problems[0].Object != "data key" || r.Problems[0].ID != "data" || r.Accounts != 2 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := a.keys.Key(t.Context(), a.owner, "data", "", false); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("the key: %v", err)
	}
}

// Names that are damaged lead nowhere, are told, and are bound again from what
// the accounts themselves say.
func TestRepairBindsNames(t *testing.T) {
	t.Parallel()
	a := newActive(t)
	hit := 0
	for i := range 256 {
		owner := store.Owner(fmt.Sprintf("sys/names-%02x", i))
		a.must(a.raw.Update(t.Context(), owner, func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(k, v []byte) error {
				hit++
				k, v = bytes.Clone(k), bytes.Clone(v)
				v[len(v)-1] ^= 1
				return tx.Put(k, v)
			})
		}))
	}
	a.must(a.raw.Update(t.Context(), "sys/names-decoy", func(tx store.Tx) error { return tx.Put([]byte("decoy"), []byte("?")) }))
	a.shut()
	a.open()
	if hit < 5 { // INS, login and address of the holder; address, mailbox of the doctor
		t.Fatalf("%d names", hit)
	}
	if _, _, err := a.signInMail(); err == nil {
		t.Error("the holder is found by a damaged name")
	}
	r, err := a.Repair(t.Context(), struct{}{})
	if err != nil || len(r.After.Problems) > 0 || len(r.Accounts) > 0 {
		t.Errorf("%+v %v", r, err)
	}
	a.use("after names were bound again")
}
