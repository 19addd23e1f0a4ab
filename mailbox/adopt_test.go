package mailbox_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
	"pli/store/blob"
)

// copyTo makes what a backup is: the records of a person as they lie, sealed,
// in a store of their own, and a way to bring their blobs.
func (p *person) copyTo(to *house) func(ctx context.Context, id blob.ID) error {
	h := p.h
	h.t.Helper()
	ctx := h.t.Context()
	type pair struct{ k, v []byte }
	var all []pair
	h.must(h.db.View(ctx, p.owner, func(tx store.Tx) error {
		all = nil
		return tx.Scan(nil, nil, func(k, v []byte) error {
			all = append(all, pair{bytes.Clone(k), bytes.Clone(v)})
			return nil
		})
	}))
	h.must(to.db.Update(ctx, p.owner, func(tx store.Tx) error {
		for _, r := range all {
			if err := tx.Put(r.k, r.v); err != nil {
				return err
			}
		}
		return nil
	}))
	blobs := map[blob.ID][]byte{}
	h.must(h.mail.Blobs(ctx, p.owner, func(id blob.ID, _ int64) error {
		blobs[id] = h.blobBytes(id)
		return nil
	}))
	return func(ctx context.Context, id blob.ID) error {
		b, ok := blobs[id]
		if !ok {
			return blob.ErrNotFound
		}
		w, err := h.blobs.CreateAs(ctx, id)
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.Write(b); err != nil {
			return err
		}
		_, err = w.Commit()
		return err
	}
}

func (h *house) blobBytes(id blob.ID) []byte {
	h.t.Helper()
	r, err := h.blobs.Open(context.Background(), id)
	h.must(err)
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	h.must(err)
	return b
}

func sum(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// everything describes a person's mail: each message by its box, flags, date
// and text, in no order.
func (p *person) everything() (out []string) {
	h := p.h
	h.t.Helper()
	a, err := h.service().Open(h.t.Context(), p.actor(), p.owner, p.keys)
	h.must(err)
	defer a.Close()
	boxes, err := a.Boxes(h.t.Context())
	h.must(err)
	for _, b := range boxes {
		v, err := a.Select(h.t.Context(), b.Name, true)
		h.must(err)
		h.must(v.Messages(h.t.Context(), nil, true, func(m mailbox.Message) error {
			if m.Damaged {
				h.t.Errorf("%s %d is damaged", b.Name, m.UID)
			}
			flags := slices.Sorted(slices.Values(m.Flags))
			out = append(out, fmt.Sprintf("%s %v %s %s %x", b.Name, flags, m.Date, m.ID, sum(h.read(v, m.UID))))
			return nil
		}))
		v.Close()
	}
	slices.Sort(out)
	return out
}

// lived gives a person a mailbox with all there is: nested boxes, keywords,
// copies, a blob, what was expunged, a folder that was deleted.
func (p *person) lived() {
	h := p.h
	h.t.Helper()
	ctx := h.t.Context()
	a := p.open()
	h.must(a.Create(ctx, "Famille/Léa", ""))
	h.must(a.Subscribe(ctx, "Famille/Léa", true))
	h.must(a.Create(ctx, "Ancien", ""))
	for i := range 4 {
		h.now.Add(60)
		h.deliver(letter(fmt.Sprintf("m%d", i+1), "text"), p)
	}
	h.deliver(sized(150_000), p)
	h.deliver(sized(160_000), p)
	_, err := h.tryDeliver(letter("vieux", "text"), "Ancien", p)
	h.must(err)
	v := p.view(a, mailbox.Inbox)
	_, err = v.Store(ctx, []mailbox.UID{1, 5}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen, "$Urgent", "voir"}, 0)
	h.must(err)
	_, err = v.Copy(ctx, []mailbox.UID{2, 6}, "Famille/Léa")
	h.must(err)
	_, err = v.Copy(ctx, []mailbox.UID{2}, "Archive")
	h.must(err)
	expunge(h.t, v, 3)
	h.must(a.Delete(ctx, "Ancien"))
	h.paged(a)
	a.Close()
	a = p.open() // whose first pass looks at everything
	h.paged(a)
	a.Close()
}

// What a backup holds comes back into an account that has lost it: boxes,
// flags, dates, copies, bodies; done again, nothing comes twice.
func TestAdoptBringsBackEverything(t *testing.T) {
	t.Parallel()
	h, backup := newHouse(t), newHouse(t)
	paule := h.person("paule")
	paule.lived()
	want := paule.everything()
	if len(want) != 8 {
		t.Fatalf("%d places of messages: %q", len(want), want)
	}
	bring := paule.copyTo(backup)

	// All is lost, records and blobs.
	h.must(h.db.Update(t.Context(), paule.owner, func(tx store.Tx) error {
		var keys [][]byte
		err := tx.Scan(nil, nil, func(k, _ []byte) error { keys = append(keys, bytes.Clone(k)); return nil })
		for _, k := range keys {
			err = errors.Join(err, tx.Delete(k))
		}
		return err
	}))
	for _, id := range h.blobIDs() {
		h.must(h.blobs.Delete(t.Context(), id))
	}
	if _, err := h.mail.Adopt(t.Context(), paule.owner, backup.db, bring); !errs.Is(err, errs.NotFound) {
		t.Errorf("without a mailbox: %v", err)
	}
	h.must(h.db.Update(t.Context(), paule.owner, h.mail.Provision))
	watching := paule.view(paule.open(), mailbox.Inbox)

	done, err := h.mail.Adopt(t.Context(), paule.owner, backup.db, bring)
	if err != nil || done.Messages != 5 || done.Boxes != 2 || len(done.Problems) > 0 {
		t.Fatalf("%+v %v", done, err)
	}
	if got := paule.everything(); !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantTold(t, watching, true, "gone [] exists 5")
	for range 2 {
		done, err = h.mail.Adopt(t.Context(), paule.owner, backup.db, bring)
		if err != nil || done.Messages+done.Boxes+len(done.Problems) > 0 {
			t.Errorf("again: %+v %v", done, err)
		}
	}
	if subscribed, err := paule.open().Subscriptions(t.Context()); err != nil || !slices.Contains(subscribed, "Famille/Léa") {
		t.Errorf("subscribed: %q %v", subscribed, err)
	}
}

// What came since stays, where it was filed meanwhile it stays too, and only
// what is missing comes.
func TestAdoptLeavesWhatIsThere(t *testing.T) {
	t.Parallel()
	h, backup := newHouse(t), newHouse(t)
	paule := h.person("paule")
	paule.lived()
	bring := paule.copyTo(backup)
	a := paule.open()
	v := paule.view(a, mailbox.Inbox)
	_, err := v.Move(t.Context(), []mailbox.UID{1}, "Junk")
	h.must(err)
	_, err = v.Store(t.Context(), []mailbox.UID{4}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Flagged}, 0)
	h.must(err)
	expunge(t, v, 5)
	h.deliver(letter("new", "text"), paule)
	before := paule.everything()

	done, err := h.mail.Adopt(t.Context(), paule.owner, backup.db, bring)
	if err != nil || done.Messages != 1 || done.Boxes != 0 || len(done.Problems) > 0 {
		t.Fatalf("%+v %v", done, err)
	}
	after := paule.everything()
	if len(after) != len(before)+1 {
		t.Errorf("%d before, %d after", len(before), len(after))
	}
	for _, line := range before {
		if !slices.Contains(after, line) {
			t.Errorf("gone: %s", line)
		}
	}
	if keys, _ := h.mail.Count(t.Context(), paule.owner); keys != len(after) {
		t.Errorf("%d counted", keys)
	}
}

// A message whose records or blob are damaged here gets them back where it
// lies, with its flags, under its UID.
func TestAdoptMendsWhatIsDamaged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hits    int // records or blobs that are damaged
		brought int // messages
		harm    func(h *house, p *person) int
	}{
		"envelopes": {5, 5, func(h *house, p *person) int { return p.flipRecords("mail/m/", "i") }},
		"folders":   {1, 0, func(h *house, p *person) int { return p.flipRecords("mail/d", "") }},
		"entries":   {8, 5, func(h *house, p *person) int { return p.flipRecords("mail/e/", "") }},
		"bodies":    {3, 3, func(h *house, p *person) int { return p.flipRecords("mail/m/", "b") }},
		"blobs": {2, 2, func(h *house, p *person) (n int) {
			for _, id := range h.blobIDs() {
				n++
				h.flip(h.blobFile(id), 77_000)
			}
			return n
		}},
		"lost blobs": {2, 2, func(h *house, p *person) (n int) {
			for _, id := range h.blobIDs() {
				n++
				h.must(h.blobs.Delete(h.t.Context(), id))
			}
			return n
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, backup := newHouse(t), newHouse(t)
			paule := h.person("paule")
			paule.lived()
			want := paule.everything()
			bring := paule.copyTo(backup)
			if n := c.harm(h, paule); n != c.hits {
				t.Fatalf("%d hit", n)
			}
			if problems, err := h.mail.Verify(t.Context(), paule.owner); err != nil || len(problems) != c.hits {
				t.Errorf("verify: %v %v", problems, err)
			}
			done, err := h.mail.Adopt(t.Context(), paule.owner, backup.db, bring)
			if err != nil || done.Messages != c.brought || len(done.Problems) > 0 {
				t.Fatalf("%+v %v", done, err)
			}
			if name == "entries" { // the damaged ones are in the way of nothing, and go
				if made, err := h.mail.Rebuild(t.Context(), paule.owner); err != nil || made.Entries != c.hits || made.Recovered > 0 {
					t.Errorf("%+v %v", made, err)
				}
			}
			if got := paule.everything(); !slices.Equal(got, want) {
				t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// flipRecords changes a bit of a person's records below the seal.
func (p *person) flipRecords(prefix, suffix string) (n int) {
	p.h.t.Helper()
	p.h.must(p.h.bare.Update(context.Background(), p.owner, func(tx store.Tx) error {
		n = 0
		return tx.Scan([]byte(prefix), store.After([]byte(prefix)), func(k, v []byte) error {
			if !bytes.HasSuffix(k, []byte(suffix)) {
				return nil
			}
			n++
			k, v = bytes.Clone(k), bytes.Clone(v)
			v[len(v)-1] ^= 1
			return tx.Put(k, v)
		})
	}))
	return n
}

// What is damaged in the backup is left behind and told, message by message;
// the rest comes.
func TestAdoptGoesAroundDamageInTheCopy(t *testing.T) {
	t.Parallel()
	h, backup := newHouse(t), newHouse(t)
	paule, rose := h.person("paule"), backup.person("paule")
	rose.broken = true // the copy
	paule.lived()
	want := paule.everything()
	backupBring := paule.copyTo(backup)
	lost := h.blobIDs()[0]
	bring := func(ctx context.Context, id blob.ID) error {
		if id == lost {
			return fmt.Errorf("the copy of %s: %w", id, blob.ErrNotFound)
		}
		return backupBring(ctx, id)
	}
	if n := rose.flipRecords("mail/m/", "b"); n != 3 {
		t.Fatalf("%d bodies", n)
	}
	rose.flipRecords("mail/d", "")
	paule.flipRecords("mail/m/", "i") // nothing opens here
	h.must(h.blobs.Delete(t.Context(), lost))
	paule.broken = true
	done, err := h.mail.Adopt(t.Context(), paule.owner, backup.db, bring)
	if err != nil || done.Messages != 1 || len(done.Problems) != 1+3+1 {
		t.Errorf("%+v %v", done, err)
	}
	for _, p := range done.Problems {
		if p.About == mailbox.AboutMessage && !strings.Contains(strings.Join(want, "\n"), p.ID) {
			t.Errorf("told of a message that there never was: %v", p)
		}
	}
	// A store that is away is no damage: it ends, to be done again.
	away := func(context.Context, blob.ID) error { return blob.ErrUnavailable }
	if _, err := h.mail.Adopt(t.Context(), paule.owner, backup.db, away); !errs.Is(err, errs.Unavailable) {
		t.Errorf("away: %v", err)
	}
}
