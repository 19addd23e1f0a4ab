package mailbox_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
	"pli/store/blob"
)

// recordKeys returns the keys of all records of a person's mail.
func (p *person) recordKeys() (keys []string) {
	p.h.t.Helper()
	p.h.must(p.h.bare.View(context.Background(), p.owner, func(tx store.Tx) error {
		keys = nil
		return tx.Scan([]byte("mail/"), store.After([]byte("mail/")), func(k, _ []byte) error {
			keys = append(keys, string(k))
			return nil
		})
	}))
	return keys
}

// named says of a record what a report may: its sort, and its place.
func named(key string) string {
	if len(key) <= len("mail/m/") {
		return key
	}
	return key[:len("mail/m/")] + hex.EncodeToString([]byte(key[len("mail/m/"):]))
}

// Whichever record of an account the disk has changed, the person gets in, the
// boxes are listed, every other message is listed and read, mail arrives, and
// what is hit is told. One record alone is more precious: the list of folders.
func TestAnyOneDamagedRecord(t *testing.T) {
	t.Parallel()
	sample := newHouse(t).person("paule")
	sample.lived()
	n := len(sample.recordKeys())
	if n < 25 {
		t.Fatalf("%d records", n)
	}
	for i := range n {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			paule := h.person("paule")
			paule.lived()
			paule.broken = true
			keys := paule.recordKeys()
			if len(keys) != n {
				t.Fatalf("%d records, %d in the sample", len(keys), n)
			}
			key := keys[i]
			if n := paule.flipRecords(key, ""); n != 1 {
				t.Fatalf("%s: %d records", named(key), n)
			}
			problems, err := h.mail.Verify(t.Context(), paule.owner)
			if err != nil || len(problems) != 1 {
				t.Errorf("%s: verify %v %v", named(key), problems, err)
			}
			if strings.HasPrefix(key, "mail/m/") && !strings.Contains(fmt.Sprint(problems), hex.EncodeToString([]byte(key[7:23]))) {
				t.Errorf("%s: the message is not named: %v", named(key), problems)
			}
			if _, err := h.tryDeliver(letter("more", "text"), mailbox.Inbox, paule); err != nil {
				t.Errorf("%s: delivery: %v", named(key), err)
			}
			paule.usable(key)
			if _, err := h.mail.Rebuild(t.Context(), paule.owner); err != nil {
				t.Fatalf("%s: rebuild: %v", named(key), err)
			}
			problems, err = h.mail.Verify(t.Context(), paule.owner)
			problems = slices.DeleteFunc(problems, func(p mailbox.Problem) bool { return p.Text == "its body is missing" })
			if err != nil || len(problems) > 0 {
				t.Errorf("%s: after rebuild: %v %v", named(key), problems, err)
			}
		})
	}
}

// usable uses an account of which one record is damaged.
func (p *person) usable(key string) {
	h, ctx := p.h, p.h.t.Context()
	h.t.Helper()
	fail := func(what string, err error) {
		h.t.Helper()
		if err != nil {
			h.t.Errorf("%s: %s: %v", named(key), what, err)
		}
	}
	a, err := h.service().Open(ctx, p.actor(), p.owner, p.keys)
	if key == "mail/d" {
		if !errors.Is(err, store.ErrCorrupt) {
			h.t.Errorf("%s: %v", key, err)
		}
		return
	}
	if fail("open", err); err != nil {
		return
	}
	defer a.Close()
	boxes, err := a.Boxes(ctx)
	fail("boxes", err)
	lost := 0
	for _, b := range boxes {
		v, err := a.Select(ctx, b.Name, false)
		fail("select "+b.Name, err)
		lost += int(b.Messages) - int(v.Len())
		err = v.Messages(ctx, nil, true, func(m mailbox.Message) error {
			body, err := v.Open(ctx, m.UID)
			if err != nil || m.Damaged {
				if !strings.Contains(key, "mail/m/") {
					h.t.Errorf("%s: %s %d does not open: %v", named(key), b.Name, m.UID, err)
				}
				lost++
				return nil
			}
			return body.Close()
		})
		fail("list "+b.Name, err)
		_, _, err = v.Vanished(ctx, 0)
		fail("vanished", err)
		_, err = v.Search(ctx, mailbox.Criteria{Body: []string{"text"}})
		fail("search", err)
		if all := v.UIDs(); len(all) > 0 {
			last := all[len(all)-1:]
			_, err = v.Store(ctx, last, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
			fail("store", err)
			_, err = v.Copy(ctx, last, "Junk")
			fail("copy", err)
			expunge(h.t, v, last...)
		}
		v.Close()
	}
	if lost > 3 { // one message, in at most three boxes
		h.t.Errorf("%s: %d places lost", named(key), lost)
	}
}

// After a salvage, whatever is missing: records agree again, every message
// that is there is in some box, and a second run finds nothing to do.
func TestRebuild(t *testing.T) {
	t.Parallel()
	drop := func(tx store.Tx, k, _ []byte) error { return tx.Delete(k) }
	spoil := func(tx store.Tx, k, _ []byte) error { return tx.Put(k, []byte{0xff}) }
	for name, c := range map[string]struct {
		prefix, suffix string
		change         func(store.Tx, []byte, []byte) error
		messages       int // left of 5
		recovered      int
		folders        int // with a new UIDVALIDITY, of 8
	}{
		"nothing":          {"mail/none", "", drop, 5, 0, 0},
		"no directory":     {"mail/d", "", drop, 5, 0, 8 + 1},
		"bad directory":    {"mail/d", "", spoil, 5, 0, 8 + 1},
		"no counters":      {"mail/f/", "", drop, 5, 0, 8},
		"bad counters":     {"mail/f/", "", spoil, 5, 0, 8},
		"no entries":       {"mail/e/", "", drop, 5, 5, 0},
		"bad entries":      {"mail/e/", "", spoil, 5, 5, 0},
		"entries of INBOX": {"mail/e/\x00\x00\x00\x01", "", spoil, 5, 3, 0},
		"no envelopes":     {"mail/m/", "i", drop, 0, 0, 0},
		"bad envelopes":    {"mail/m/", "i", spoil, 0, 0, 0},
		"bad bodies":       {"mail/m/", "b", spoil, 5, 0, 0},
		"no counts":        {"mail/m/", "r", drop, 5, 0, 0},
		"bad counts":       {"mail/m/", "r", spoil, 5, 0, 0},
		"no log":           {"mail/x/", "", drop, 5, 0, 0},
		"bad log":          {"mail/x/", "", spoil, 5, 0, 0},
		"only messages":    {"mail/", "", keepMessages, 5, 5, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			paule := h.person("paule")
			paule.lived()
			before := paule.everything()
			validity := paule.validities()
			if paule.damage(c.prefix, c.suffix, c.change) == 0 && name != "nothing" {
				t.Fatal("nothing to damage")
			}
			h.now.Add(3600)
			done, err := h.mail.Rebuild(t.Context(), paule.owner)
			if err != nil || done.Messages != c.messages || done.Recovered != c.recovered || done.Folders != c.folders {
				t.Errorf("%+v %v", done, err)
			}
			problems, err := h.mail.Verify(t.Context(), paule.owner)
			problems = slices.DeleteFunc(problems, func(p mailbox.Problem) bool { return name == "bad bodies" && p.Text == "its body is missing" })
			if err != nil || len(problems) > 0 {
				t.Errorf("verify: %v %v", problems, err)
			}
			if again, err := h.mail.Rebuild(t.Context(), paule.owner); err != nil || again.Damaged+again.Entries+again.Recovered+again.Folders > 0 || again.Messages != done.Messages {
				t.Errorf("again: %+v %v", again, err)
			}
			for name, after := range paule.validities() {
				if was := validity[name]; c.folders > 0 && was != 0 && after <= was {
					t.Errorf("UIDVALIDITY of %s: %d, then %d", name, was, after)
				}
			}
			if name == "bad bodies" {
				return // nothing to read
			}
			after := paule.everything()
			if c.messages == 5 && c.recovered == 0 && !strings.Contains(name, "directory") && !slices.Equal(after, before) {
				t.Errorf("%s\nbefore\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
			}
			for _, line := range after {
				if !slices.ContainsFunc(before, func(b string) bool { return b[len(b)-98:] == line[len(line)-98:] }) { // id and text
					t.Errorf("invented: %s", line)
				}
			}
			if _, err := h.tryDeliver(letter("more", "text"), mailbox.Inbox, paule); err != nil {
				t.Errorf("delivery: %v", err)
			}
			paule.broken = c.messages == 0 // their blobs are left to the sweeper
		})
	}
	t.Run("nobody", func(t *testing.T) {
		h := newHouse(t)
		if done, err := h.mail.Rebuild(t.Context(), "m/nobody"); err != nil || done.Folders > 0 {
			t.Errorf("%+v %v", done, err)
		}
		if _, err := h.mail.Verify(t.Context(), "m/nobody"); err != nil {
			t.Error(err)
		}
	})
}

func keepMessages(tx store.Tx, k, _ []byte) error {
	if bytes.HasPrefix(k, []byte("mail/m/")) && !bytes.HasSuffix(k, []byte("r")) {
		return nil
	}
	return tx.Delete(k)
}

func (p *person) validities() map[string]uint32 {
	p.h.t.Helper()
	a, err := p.h.service().Open(p.h.t.Context(), p.actor(), p.owner, p.keys)
	p.h.must(err)
	defer a.Close()
	boxes, err := a.Boxes(p.h.t.Context())
	p.h.must(err)
	out := map[string]uint32{}
	for _, b := range boxes {
		out[b.Name] = b.UIDValidity
	}
	return out
}

// From blobs alone, messages are made again: the key that each is sealed to
// says whose it is, and its holder reads it.
func TestReclaim(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule, rose := h.person("paule"), h.person("rose")
	paule.lived()
	h.deliver(sized(170_000), rose)
	before := paule.everything()
	for _, p := range []*person{paule, rose} {
		p.damage("mail/m/", "i", func(tx store.Tx, k, _ []byte) error { return tx.Delete(k) })
	}
	reclaimed := 0
	for _, id := range h.blobIDs() {
		key, err := h.mail.BlobKey(ctx, id)
		h.must(err)
		of := rose
		if key == paule.keys.Recipient().Fingerprint {
			of = paule
		} else if key != rose.keys.Recipient().Fingerprint {
			t.Errorf("blob %s is nobody's", id)
		}
		for _, want := range []bool{true, false} {
			if made, err := h.mail.Reclaim(ctx, of.owner, id); err != nil || made != want {
				t.Errorf("made %v, want %v: %v", made, want, err)
			}
		}
		reclaimed++
	}
	if reclaimed != 3 {
		t.Errorf("%d blobs", reclaimed)
	}
	for _, p := range []*person{paule, rose} {
		_, err := h.mail.Rebuild(ctx, p.owner)
		h.must(err)
		p.broken = false
	}
	// Their entries still named them: flags, dates and places are as before.
	want := slices.DeleteFunc(before, func(line string) bool { return !strings.Contains(strings.Join(paule.everything(), "\n"), line) })
	if got := paule.everything(); len(got) != 3 || !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := h.read(rose.view(rose.open(), mailbox.Inbox), 1); got != sized(170_000) {
		t.Errorf("%d bytes", len(got))
	}
}

// What is no message's blob, or a damaged one, is made into nothing.
func TestReclaimRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	paule.broken = true
	put := func(b []byte) blob.ID {
		w, err := h.blobs.Create(ctx)
		h.must(err)
		_, err = w.Write(b)
		h.must(err)
		id, err := w.Commit()
		h.must(err)
		return id
	}
	h.deliver(sized(150_000), paule)
	good := h.blobBytes(h.blobIDs()[0])
	paule.damage("mail/m/", "i", func(tx store.Tx, k, _ []byte) error { return tx.Delete(k) })
	for name, b := range map[string][]byte{
		"empty": {}, "short": good[:20], "cut": good[:len(good)-1], "its head": good[:len(good)/2], "its tail": good[len(good)/2:],
		"another footer": append(bytes.Clone(good[:len(good)-52]), make([]byte, 52)...), "a document": bytes.Repeat([]byte("x"), 5000),
	} {
		id := put(b)
		if _, err := h.mail.BlobKey(ctx, id); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: key: %v", name, err)
		}
		if made, err := h.mail.Reclaim(ctx, paule.owner, id); made || !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v %v", name, made, err)
		}
	}
	for _, at := range []int{0, 60, 1000, len(good) - 100, len(good) - 40, len(good) - 1} {
		b := bytes.Clone(good)
		b[at] ^= 1
		if made, err := h.mail.Reclaim(ctx, paule.owner, put(b)); made || !errors.Is(err, store.ErrCorrupt) && !errs.Is(err, errs.Invalid) {
			t.Errorf("bit at %d: %v %v", at, made, err)
		}
	}
	if made, err := h.mail.Reclaim(ctx, paule.owner, put(good)); !made || err != nil {
		t.Errorf("the good one: %v %v", made, err)
	}
}

// A key that the disk has changed says nothing of the numbers that were given:
// counters that are made anew do not run away with it.
func TestADamagedKeyDoesNotCount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	h.deliver(letter("m1", "text"), paule)
	h.deliver(letter("m2", "text"), paule)
	paule.broken = true
	h.must(h.bare.Update(t.Context(), paule.owner, func(tx store.Tx) error {
		return errors.Join(
			tx.Put([]byte("mail/e/\x00\x00\x00\x01\xff\xff\xff\xf0"), make([]byte, 90)),
			tx.Put([]byte("mail/x/\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xf0"), make([]byte, 90)))
	}))
	paule.flipRecords("mail/f/\x00\x00\x00\x01", "")
	uids := h.deliver(letter("m3", "text"), paule)
	if len(uids) != 1 || uids[0] < 3 || uids[0] > 3<<20 {
		t.Errorf("given %v", uids)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	if got := h.list(v); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if done, err := h.mail.Rebuild(t.Context(), paule.owner); err != nil || done.Entries != 1 || done.Messages != 3 {
		t.Errorf("%+v %v", done, err)
	}
	if problems, err := h.mail.Verify(t.Context(), paule.owner); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
