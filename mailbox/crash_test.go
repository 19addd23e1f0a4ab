package mailbox_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
)

// The order of writing is blob first, then the record: what a crash leaves in
// between is a blob without a record, which harms nobody.
func TestABlobWithoutARecordIsHarmless(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule, rose := h.person("paule"), h.person("rose")
	s, err := h.letters(sized(200_000), paule, rose)
	h.must(err)
	h.must(h.db.Update(t.Context(), paule.owner, deliverTo(h, s.Letter(0), mailbox.Inbox)))
	failed := h.db.Update(t.Context(), rose.owner, func(tx store.Tx) error {
		return errors.Join(deliverTo(h, s.Letter(1), mailbox.Inbox)(tx), errCrash)
	})
	if !errors.Is(failed, errCrash) {
		t.Fatalf("the second recipient: %v", failed)
	}
	// The outcome may be unknown to the spool: what was handed over stays.
	s.Discard()
	if n := len(h.blobIDs()); n != 2 {
		t.Errorf("%d blobs", n)
	}
	for _, p := range []*person{paule, rose} {
		if problems, err := h.mail.Verify(t.Context(), p.owner); err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", p.owner, problems, err)
		}
	}
	if got := h.read(paule.view(paule.open(), mailbox.Inbox), 1); got != sized(200_000) {
		t.Error("the first recipient's message does not read")
	}
	// The sender repeats: the second recipient gets it, once.
	h.must(h.db.Update(t.Context(), rose.owner, deliverTo(h, s.Letter(1), mailbox.Inbox)))
	if v := rose.view(rose.open(), mailbox.Inbox); v.Len() != 1 || h.read(v, 1) != sized(200_000) {
		t.Errorf("%d messages", v.Len())
	}
}

// A transaction that runs twice delivers once.
func TestADeliveryThatRunsTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	s, err := h.letters(letter("m", "text"), paule)
	h.must(err)
	defer s.Discard()
	view := paule.view(paule.open(), mailbox.Inbox)
	for _, fail := range []error{errCrash, nil} {
		err := h.db.Update(t.Context(), paule.owner, func(tx store.Tx) error {
			return errors.Join(deliverTo(h, s.Letter(0), mailbox.Inbox)(tx), fail)
		})
		if !errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	wantTold(t, view, true, "gone [] exists 1")
}

// damage overwrites a person's records whose keys begin and end so.
func (p *person) damage(prefix, suffix string, change func(tx store.Tx, k, v []byte) error) (n int) {
	p.h.t.Helper()
	p.broken = true
	p.h.must(p.h.db.Update(context.Background(), p.owner, func(tx store.Tx) error {
		n = 0
		var keys, values [][]byte
		err := tx.Scan([]byte(prefix), store.After([]byte(prefix)), func(k, v []byte) error {
			if bytes.HasSuffix(k, []byte(suffix)) {
				keys, values = append(keys, bytes.Clone(k)), append(values, bytes.Clone(v))
			}
			return nil
		})
		for i := range keys {
			n++
			err = errors.Join(err, change(tx, keys[i], values[i]))
		}
		return err
	}))
	return n
}

// A damaged record stops nothing but itself: the rest is listed, and the
// damaged one is named.
func TestADamagedRecordStopsOnlyItself(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.PageDelay = time.Hour }) // no page tells what the record no longer does
	paule := h.person("paule")
	for range 4 {
		h.deliver(letter("m", "text"), paule)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	second, err := v.Message(t.Context(), 2)
	h.must(err)
	key, _ := hex.DecodeString(second.ID)
	// An id is random: it may hold any byte.
	if n := paule.damage("mail/m/"+string(key), "i", func(tx store.Tx, k, v []byte) error {
		v[len(v)/2] ^= 1
		return tx.Put(k, v)
	}); n != 1 {
		t.Fatalf("%d records damaged", n)
	}
	fresh, err := h.service().Open(t.Context(), paule.actor(), paule.owner, paule.keys)
	h.must(err)
	defer fresh.Close()
	w := paule.view(fresh, mailbox.Inbox)
	var damaged []mailbox.UID
	h.must(w.Messages(t.Context(), nil, true, func(m mailbox.Message) error {
		if m.Damaged {
			damaged = append(damaged, m.UID)
			if m.Index == nil || m.Index.Size != m.Size {
				t.Error("no stand-in")
			}
		}
		return nil
	}))
	if len(damaged) != 1 || damaged[0] != 2 {
		t.Errorf("damaged: %v", damaged)
	}
	if got, err := w.Search(t.Context(), mailbox.Criteria{Body: []string{"text"}}); err != nil || len(got) < 3 {
		t.Errorf("search beside it: %v %v", got, err)
	}
	if _, err := w.Open(t.Context(), 2); err != nil && !errs.Is(err, errs.Internal) {
		t.Error(err)
	}
}

// So with an entry whose seal does not open: the disk has changed it.
func TestADamagedEntryStopsOnlyItself(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	for i := range 5 {
		h.deliver(letter(fmt.Sprintf("m%d", i+1), "text"), paule)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	expunge(t, v, 2)
	paule.broken = true
	n := 0
	h.must(h.bare.Update(t.Context(), paule.owner, func(tx store.Tx) error {
		n = 0
		return tx.Scan([]byte("mail/e/"), store.After([]byte("mail/e/")), func(k, v []byte) error {
			if uid := k[len(k)-1]; uid != 3 && uid != 5 {
				return nil
			}
			n++
			v = bytes.Clone(v)
			v[len(v)-1] ^= 1
			return tx.Put(bytes.Clone(k), v)
		})
	}))
	fresh, err := h.service().Open(t.Context(), paule.actor(), paule.owner, paule.keys)
	h.must(err)
	defer fresh.Close()
	w := paule.view(fresh, mailbox.Inbox)
	if got := h.list(w); n != 2 || !slices.Equal(got, []string{"1 1 [] m1", "2 4 [] m4"}) {
		t.Errorf("%d damaged, listed %q", n, got)
	}
	problems, err := h.mail.Verify(t.Context(), paule.owner)
	if err != nil || len(problems) == 0 {
		t.Errorf("verify: %v %v", problems, err)
	}
}

// Verify sees what is wrong, whatever it is.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	drop := func(tx store.Tx, k, _ []byte) error { return tx.Delete(k) }
	spoil := func(tx store.Tx, k, _ []byte) error { return tx.Put(k, []byte{0xff}) }
	for name, c := range map[string]struct {
		prefix string
		suffix string
		change func(store.Tx, []byte, []byte) error
		want   string
	}{
		"no message":      {"mail/m/", "i", drop, "its envelope is missing"},
		"bad message":     {"mail/m/", "i", spoil, "its envelope is damaged"},
		"bad refs":        {"mail/m/", "r", spoil, "its count of entries is damaged"},
		"bad log":         {"mail/x/", "", spoil, "what was expunged at"},
		"bad directory":   {"mail/d", "", spoil, "the list of folders is damaged"},
		"no body":         {"mail/m/", "b", drop, "its body"},
		"no entry":        {"mail/e/", "", drop, "counters"},
		"bad entry":       {"mail/e/", "", spoil, "the entry of UID 2 is damaged"},
		"bad counters":    {"mail/f/", "", spoil, "its counters: damaged"},
		"no log":          {"mail/x/", "", drop, "expunges"},
		"no refs":         {"mail/m/", "r", drop, "2 entries, 1 counted"},
		"no entry's rest": {"mail/e/", "", drop, "no entry names"},
		"no directory":    {"mail/d", "", drop, "no entry names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			paule := h.person("paule")
			for range 3 {
				h.deliver(letter("m", "text"), paule)
			}
			v := paule.view(paule.open(), mailbox.Inbox)
			_, err := v.Copy(t.Context(), []mailbox.UID{1}, "Archive")
			h.must(err)
			expunge(t, v, 3)
			if problems, err := h.mail.Verify(t.Context(), paule.owner); err != nil || len(problems) > 0 {
				t.Fatalf("before: %v %v", problems, err)
			}
			if paule.damage(c.prefix, c.suffix, c.change) == 0 {
				t.Fatal("nothing to damage")
			}
			problems, err := h.mail.Verify(t.Context(), paule.owner)
			h.must(err)
			for _, p := range problems {
				if strings.Contains(p.Text, c.want) {
					return
				}
			}
			t.Errorf("found %v, not %q", problems, c.want)
		})
	}
}

func TestVerifyFindsLostAndCutBlobs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	h.deliver(sized(100_000), paule)
	h.deliver(sized(100_000), paule)
	paule.broken = true
	ids := h.blobIDs()
	h.must(h.blobs.Delete(t.Context(), ids[0]))
	cut := 0
	h.must(filepath.WalkDir(h.folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(strings.ReplaceAll(path, "/", ""), string(ids[1])) && !d.IsDir() {
			cut++
			return os.Truncate(path, 1000)
		}
		return err
	}))
	problems, err := h.mail.Verify(t.Context(), paule.owner)
	h.must(err)
	if len(problems) != 1+cut || cut == 0 {
		t.Errorf("cut %d: %v", cut, problems)
	}
}

// D4, issue 2 line 6: no word of a message lies in any file in clear.
func TestCanary(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	a := paule.open()
	const canary = "Xylophonevert"
	small := letter(canary+" sujet", "corps "+canary)
	h.deliver(small, paule)
	h.deliver(letter(canary, canary)+sized(200_000), paule)
	_, err := a.Append(ctx, "Drafts", []mailbox.Flag{mailbox.Draft}, h.clock(), stringReader(small))
	h.must(err)
	v := paule.view(a, mailbox.Inbox)
	h.list(v)
	found, err := v.Search(ctx, mailbox.Criteria{Text: []string{canary}})
	h.must(err)
	if len(found) != 2 {
		t.Errorf("found %v", found)
	}
	_, err = v.Copy(ctx, nil, "Archive")
	h.must(err)
	files := 0
	h.must(filepath.WalkDir(h.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, word := range []string{canary, strings.ToLower(canary)} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s holds %q in clear", d.Name(), word)
			}
		}
		return err
	}))
	if files < 4 {
		t.Errorf("%d files looked at", files)
	}
}
