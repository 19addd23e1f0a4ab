package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
)

func stringReader(s string) *strings.Reader { return strings.NewReader(s) }

func (h *house) names(a *mailbox.Account) (names []string) {
	h.t.Helper()
	boxes, err := a.Boxes(h.t.Context())
	h.must(err)
	for _, b := range boxes {
		names = append(names, b.Name)
	}
	return names
}

// RFC 6154: what every account has.
func TestProvisionGivesTheBoxesOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	a := paule.open()
	first, err := a.Boxes(ctx)
	h.must(err)
	h.must(h.db.Update(ctx, paule.owner, h.mail.Provision))
	second, err := a.Boxes(ctx)
	h.must(err)
	if !slices.Equal(first, second) {
		t.Errorf("again: %v", second)
	}
	for name, use := range map[string]mailbox.SpecialUse{
		"INBOX": "", "Sent": mailbox.UseSent, "Drafts": mailbox.UseDrafts,
		"Trash": mailbox.UseTrash, "Archive": mailbox.UseArchive, "Junk": mailbox.UseJunk,
	} {
		b, err := a.Box(ctx, name)
		h.must(err)
		if b.Use != use || !b.Subscribed || b.HighestModSeq == 0 || b.UIDNext != 1 {
			t.Errorf("%+v", b)
		}
		if use != "" {
			byUse, err := a.Box(ctx, string(use))
			if h.must(err); byUse.Name != name {
				t.Errorf("%s is %s", use, byUse.Name)
			}
		}
	}
	if _, err := h.mail.Open(ctx, paule.actor(), "m/nobody", paule.keys); !errs.Is(err, errs.NotFound) {
		t.Errorf("open without a mailbox: %v", err)
	}
}

// RFC 9051 6.3.4 to 6.3.8: the life of a folder.
func TestAFolderFromItsMakingToItsRemoval(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	a := paule.open()

	h.must(a.Create(ctx, "Santé/2026/Mars/", ""))
	if got, want := h.names(a), []string{"INBOX", "Archive", "Drafts", "Junk", "Santé", "Santé/2026", "Santé/2026/Mars", "Sent", "Trash"}; !slices.Equal(got, want) {
		t.Errorf("boxes: %q", got)
	}
	if err := a.Create(ctx, "Sante\u0301/2026", ""); !errs.Is(err, errs.Conflict) { // the same in NFD
		t.Errorf("create again: %v", err)
	}
	got, err := a.Append(ctx, "Santé/2026/Mars", nil, h.clock(), stringReader(letter("m", "text")))
	h.must(err)
	h.must(a.Subscribe(ctx, "Santé/2026/Mars", true))

	if err := a.Delete(ctx, "Santé"); !errs.Is(err, errs.Conflict) || !errors.Is(err, mailbox.ErrHasChildren) {
		t.Errorf("delete with folders below: %v", err)
	}
	if err := a.Rename(ctx, "Santé", "Santé/2026/Ici"); !errs.Is(err, errs.Conflict) {
		t.Errorf("rename below itself: %v", err)
	}
	h.must(a.Rename(ctx, "Santé", "Dossiers/Moi"))
	b, err := a.Box(ctx, "Dossiers/Moi/2026/Mars")
	h.must(err)
	if b.UIDValidity != got.UIDValidity || b.Messages != 1 || !b.Subscribed {
		t.Errorf("renamed: %+v", b)
	}
	if _, err := a.Box(ctx, "Dossiers"); err != nil { // made on the way
		t.Error(err)
	}
	if err := a.Rename(ctx, "Dossiers/Moi/2026", "Sent"); !errs.Is(err, errs.Conflict) {
		t.Errorf("rename onto another: %v", err)
	}

	h.must(a.Delete(ctx, "Dossiers/Moi/2026/Mars"))
	subscribed, err := a.Subscriptions(ctx)
	h.must(err)
	for _, name := range []string{"Santé/2026/Mars", "Dossiers/Moi/2026/Mars"} { // RFC 9051 6.3.7
		if !slices.Contains(subscribed, name) {
			t.Errorf("subscriptions: %q", subscribed)
		}
		h.must(a.Subscribe(ctx, name, false))
		if err := a.Subscribe(ctx, name, true); !errs.Is(err, errs.NotFound) {
			t.Errorf("subscribe to what is gone: %v", err)
		}
	}
	for _, name := range []string{"INBOX", "Sent", "\\Trash"} {
		if err := a.Delete(ctx, name); !errs.Is(err, errs.Denied) {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if err := a.Rename(ctx, "Drafts", "Entwürfe"); !errs.Is(err, errs.Denied) {
		t.Errorf("rename Drafts: %v", err)
	}
	if err := a.Create(ctx, "More", mailbox.UseSent); !errs.Is(err, errs.Conflict) {
		t.Errorf("a second Sent: %v", err)
	}
	if err := a.Create(ctx, "More", `\All`); !errs.Is(err, errs.Invalid) {
		t.Errorf(`\All: %v`, err)
	}
}

// RFC 9051 2.3.1.1: a folder made anew under an old name is another folder.
func TestUIDValidityIsNeverGivenAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	a := h.person("paule").open()
	seen := map[uint32]bool{}
	for i := range 5 {
		h.must(a.Create(ctx, "Again", ""))
		got, err := a.Append(ctx, "Again", nil, h.clock(), stringReader(letter("m", "text")))
		h.must(err)
		if seen[got.UIDValidity] {
			t.Fatalf("round %d: UIDVALIDITY %d again", i, got.UIDValidity)
		}
		seen[got.UIDValidity] = true
		h.must(a.Delete(ctx, "Again"))
		h.now.Add(-1) // also if the clock goes back
	}
}

// RFC 9051 6.3.6: renaming INBOX moves its messages and leaves it there.
func TestRenamingInboxMovesItsMessages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	a := paule.open()
	h.must(a.Create(ctx, "INBOX/Below", ""))
	for i := range 3 {
		h.deliver(letter(fmt.Sprintf("m%d", i), "text"), paule)
	}
	v := paule.view(a, "INBOX")
	validity := v.Box().UIDValidity
	h.must(a.Rename(ctx, "inbox", "Old/Post"))
	wantTold(t, v, true, "gone [3 2 1]")
	if got := h.list(paule.view(a, "Old/Post")); !slices.Equal(got, []string{"1 1 [] m0", "2 2 [] m1", "3 3 [] m2"}) {
		t.Errorf("moved: %q", got)
	}
	if got := h.names(a); !slices.Contains(got, "INBOX/Below") {
		t.Errorf("what lay below INBOX is gone: %q", got)
	}
	h.deliver(letter("m3", "text"), paule)
	if b := v.Box(); b.UIDNext != 5 || b.UIDValidity != validity || b.Messages != 1 {
		t.Errorf("INBOX: %+v", b)
	}
}

// Names are UTF-8 in NFC; what cannot be told apart or breaks a protocol is none.
func TestNamesOfFolders(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	a := h.person("paule").open()
	for _, name := range []string{"", "/", "a//b", "/a", " a", "a ", "a/ b", "a*", "a%", `\Sent`, "a\x00", "a\r\nb", "a\u0085", "a\u2028b", "a\xffb"} {
		if err := a.Create(ctx, name, ""); !errs.Is(err, errs.Invalid) {
			t.Errorf("create %q: %v", name, err)
		}
	}
	for _, name := range []string{"Été", "a&b", "日本", "Inbox/x", "a.b", "~"} {
		if err := a.Create(ctx, name, ""); err != nil {
			t.Errorf("create %q: %v", name, err)
		}
	}
	if _, err := a.Box(ctx, "INBOX/x"); err != nil {
		t.Error(err)
	}
}

// failing is a store whose writes stop after a number of them, as at a crash.
type failing struct {
	store.DB
	left atomic.Int32
}

var errCrash = errors.New("crash")

func (f *failing) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	if f.left.Add(-1) < 0 {
		return errCrash
	}
	return f.DB.Update(ctx, owner, fn)
}

// A removal that a crash cuts in two is finished at the next opening.
func TestARemovalIsFinishedAfterACrash(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	a := paule.open()
	h.must(a.Create(ctx, "Big", ""))
	kept, err := a.Append(ctx, "Big", nil, h.clock(), stringReader(sized(100_000)))
	h.must(err)
	for range 3 {
		_, err := a.Append(ctx, "Big", nil, h.clock(), stringReader(sized(70_000)))
		h.must(err)
	}
	v := paule.view(a, "Big")
	_, err = v.Copy(ctx, []mailbox.UID{kept.UID}, "Archive")
	h.must(err)
	for range 9 { // more than one transaction removes
		_, err := v.Copy(ctx, nil, "Big")
		h.must(err)
		v.Poll(true)
	}
	if v.Len() != 2048 {
		t.Fatalf("%d messages", v.Len())
	}

	cut := &failing{DB: h.db}
	cut.left.Store(2)
	dying := h.service(func(c *mailbox.Config) { c.DB = cut })
	b, err := dying.Open(ctx, paule.actor(), paule.owner, paule.keys)
	h.must(err)
	if err := b.Delete(ctx, "Big"); !errors.Is(err, errCrash) {
		t.Fatalf("delete: %v", err)
	}
	b.Close()
	for range 2 { // a session that has not heard yet
		if _, err := v.Store(ctx, []mailbox.UID{2000}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0); !errs.Is(err, errs.NotFound) {
			t.Errorf("a write to a dying folder: %v", err)
		}
	}
	if problems, err := h.mail.Verify(ctx, paule.owner); err != nil || len(problems) > 0 {
		t.Errorf("between: %v %v", problems, err)
	}
	again := paule.open()
	if slices.Contains(h.names(again), "Big") {
		t.Error("the folder is back")
	}
	if n := len(h.blobIDs()); n != 1 {
		t.Errorf("%d blobs, one is still named", n)
	}
	if got := h.read(paule.view(again, "Archive"), 1); got != sized(100_000) {
		t.Error("the copy elsewhere was damaged")
	}
}

// Any name at all is refused, or found again under the one spelling it was given.
func FuzzNamesOfFolders(f *testing.F) {
	for _, name := range []string{"a", "INBOX", "inbox/x", "É", "E\u0301", "a/b/c/", "a//b", "\\Sent", "a\xff", "\u2028", " "} {
		f.Add(name)
	}
	h := newHouse(f)
	a := h.person("paule").open()
	f.Fuzz(func(t *testing.T, name string) {
		ctx := t.Context()
		if err := a.Create(ctx, name, ""); err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.TooLarge && k != errs.Conflict {
				t.Fatalf("create %q: %v", name, err)
			}
			return
		}
		b, err := a.Box(ctx, strings.TrimSuffix(name, "/"))
		if err != nil {
			t.Fatalf("%q is not found: %v", name, err)
		}
		if err := a.Create(ctx, b.Name, ""); !errs.Is(err, errs.Conflict) {
			t.Fatalf("%q, made from %q, again: %v", b.Name, name, err)
		}
		for up := b.Name; up != ""; up = up[:max(0, strings.LastIndex(up, "/"))] {
			if up != mailbox.Inbox {
				a.Delete(ctx, up)
			}
		}
	})
}
