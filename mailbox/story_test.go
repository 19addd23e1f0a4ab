package mailbox_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/mailbox"
)

// D1, D4: one message from its arrival to its removal.
func TestAMessageFromArrivalToRemoval(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	raw := letter("Résultats", "Glycémie à jeun : 0,92 g/L")
	uids := h.deliver(raw, paule)
	if uids[0] != 1 {
		t.Fatalf("the first UID is %d", uids[0])
	}

	a := paule.open()
	v := paule.view(a, "inbox") // RFC 9051 5.1: without regard to case
	if got := v.Box(); got.Messages != 1 || got.Unseen != 1 || got.UIDNext != 2 || got.Size != int64(len(raw)) {
		t.Errorf("INBOX: %+v", got)
	}
	m, err := v.Message(ctx, 1)
	h.must(err)
	if m.Index.Envelope.Subject != "Résultats" || m.Size != int64(len(raw)) || m.Seq != 1 || !m.Date.Equal(h.clock()) {
		t.Errorf("message: %+v", m)
	}
	if got := h.read(v, 1); got != raw {
		t.Errorf("the body reads %q", got)
	}

	stored, err := v.Store(ctx, []mailbox.UID{1}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen, "$Forwarded"}, 0)
	h.must(err)
	if len(stored) != 1 || !slices.Equal(stored[0].Flags, []mailbox.Flag{mailbox.Seen, "$Forwarded"}) || stored[0].ModSeq <= m.ModSeq {
		t.Errorf("stored: %+v", stored)
	}
	copied, err := v.Copy(ctx, []mailbox.UID{1}, "Archive")
	h.must(err)
	moved, err := v.Move(ctx, []mailbox.UID{1}, string(mailbox.UseTrash))
	h.must(err)
	if got := v.Poll(true); !slices.Equal(got.Expunged, []uint32{1}) || got.Exists != 0 {
		t.Errorf("after the move: %+v", got)
	}

	archive, trash := paule.view(a, "Archive"), paule.view(a, "Trash")
	if copied.UIDValidity != archive.Box().UIDValidity || moved.UIDValidity != trash.Box().UIDValidity || copied.UIDValidity == moved.UIDValidity {
		t.Errorf("UIDVALIDITY: %+v %+v", copied, moved)
	}
	for _, box := range []*mailbox.View{archive, trash} {
		if got := h.list(box); !slices.Equal(got, []string{`1 1 [\Seen $Forwarded] Résultats`}) {
			t.Errorf("%s: %v", box.Box().Name, got)
		}
		got, err := box.Message(ctx, 1)
		h.must(err)
		if got.ID != m.ID || !got.Date.Equal(m.Date) {
			t.Errorf("%s: %+v, not %+v", box.Box().Name, got, m)
		}
	}
	found, err := archive.Search(ctx, mailbox.Criteria{Text: []string{"GLYCEMIE"}, Flags: []mailbox.Flag{"$forwarded"}})
	h.must(err)
	if !slices.Equal(found, []mailbox.UID{1}) {
		t.Errorf("search: %v", found)
	}

	for _, box := range []*mailbox.View{archive, trash} {
		_, err := box.Store(ctx, nil, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Deleted}, 0)
		h.must(err)
		gone, err := box.Expunge(ctx, nil)
		h.must(err)
		if !slices.Equal(gone, []mailbox.UID{1}) {
			t.Errorf("expunged: %v", gone)
		}
	}
	if _, err := archive.Open(ctx, 1); !errs.Is(err, errs.NotFound) {
		t.Errorf("an expunged message opens: %v", err)
	}
	boxes, err := a.Boxes(ctx)
	h.must(err)
	for _, b := range boxes {
		if b.Messages != 0 || b.Size != 0 || b.Unseen != 0 || b.Deleted != 0 {
			t.Errorf("not empty: %+v", b)
		}
	}
}

// D1: what a session sends, drafts or files is sealed like what arrives.
func TestAppendKeepsDateAndZone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	rose := h.person("rose")
	a := rose.open()
	at := time.Date(2025, 12, 31, 23, 30, 5, 0, time.FixedZone("", -3*3600-1800))
	got, err := a.Append(ctx, "Drafts", []mailbox.Flag{mailbox.Draft, mailbox.Seen}, at, strings.NewReader(letter("Brouillon", "à finir")))
	h.must(err)
	v := rose.view(a, "Drafts")
	m, err := v.Message(ctx, got.UID)
	h.must(err)
	if m.Date.Format(time.RFC3339) != "2025-12-31T23:30:05-03:30" || got.UIDValidity != v.Box().UIDValidity {
		t.Errorf("%v %+v", m.Date, got)
	}
	if _, err := a.Append(ctx, "Nowhere", nil, at, strings.NewReader("x")); !errs.Is(err, errs.NotFound) {
		t.Errorf("append to a missing folder: %v", err)
	}
	for _, flag := range []mailbox.Flag{`\Recent`, `\*`, "a b", "", "é"} {
		if _, err := a.Append(ctx, "Drafts", []mailbox.Flag{flag}, at, strings.NewReader("x")); !errs.Is(err, errs.Invalid) {
			t.Errorf("flag %q: %v", flag, err)
		}
	}
}

// RFC 9051 6.3.3: a view that is for reading only changes nothing.
func TestAReadOnlyViewRefusesWrites(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	h.deliver(letter("one", "text"), paule)
	v, err := paule.open().Select(ctx, mailbox.Inbox, true)
	h.must(err)
	defer v.Close()
	_, store := v.Store(ctx, nil, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
	_, expunge := v.Expunge(ctx, nil)
	_, move := v.Move(ctx, nil, "Trash")
	for _, err := range []error{store, expunge, move} {
		if !errs.Is(err, errs.Denied) {
			t.Errorf("a read-only view: %v", err)
		}
	}
	if _, err := v.Copy(ctx, nil, "Trash"); err != nil { // changes another box
		t.Errorf("copy: %v", err)
	}
}

// A letter goes into one account once.
func TestALetterIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	s, err := h.letters(letter("once", "text"), paule)
	h.must(err)
	deliver := func() error {
		return h.db.Update(t.Context(), paule.owner, deliverTo(h, s.Letter(0), mailbox.Inbox))
	}
	h.must(deliver())
	if err := deliver(); !errs.Is(err, errs.Conflict) {
		t.Errorf("a second time: %v", err)
	}
	s.Discard()
	if v := paule.view(paule.open(), mailbox.Inbox); v.Len() != 1 {
		t.Errorf("%d messages", v.Len())
	}
}

// A large body is one blob for each recipient, there as long as any box has it.
func TestLargeBodiesLiveAsLongAsTheirMessages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule, rose := h.person("paule"), h.person("rose")
	raw := sized(3_000_000)
	h.deliver(raw, paule, rose)
	if n := len(h.blobIDs()); n != 2 {
		t.Fatalf("%d blobs for two recipients", n)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	body, err := v.Open(ctx, 1)
	h.must(err)
	defer body.Close()
	part := make([]byte, 1000)
	for _, off := range []int64{0, 65_000, 1_234_567, int64(len(raw)) - 1000} {
		if _, err := body.ReadAt(part, off); err != nil && !errors.Is(err, io.EOF) || string(part) != raw[off:off+1000] {
			t.Errorf("at %d: %v", off, err)
		}
	}
	_, err = v.Copy(ctx, nil, "Archive")
	h.must(err)
	expunge(t, v, 1)
	if n := len(h.blobIDs()); n != 2 {
		t.Errorf("%d blobs while a copy is there", n)
	}
	archive := paule.view(paule.open(), "Archive")
	if h.read(archive, 1) != raw {
		t.Error("the copy does not read")
	}
	expunge(t, archive, 1)
	if n := len(h.blobIDs()); n != 1 {
		t.Errorf("%d blobs after the last entry", n)
	}
	if h.read(rose.view(rose.open(), mailbox.Inbox), 1) != raw {
		t.Error("the other recipient's message went too")
	}
}
