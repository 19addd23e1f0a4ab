package mailbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/mailbox"
)

// Each limit has two sides.
func TestLimitsOfSizes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.InlineMax, c.MaxMessage = 1000, 5000 })
	paule := h.person("paule")
	for _, c := range []struct{ size, blobs int }{{1000, 0}, {1001, 1}, {5000, 2}} {
		uids := h.deliver(sized(c.size), paule)
		if got := len(h.blobIDs()); got != c.blobs {
			t.Errorf("%d bytes: %d blobs, want %d", c.size, got, c.blobs)
		}
		if got := h.read(paule.view(paule.open(), mailbox.Inbox), uids[0]); got != sized(c.size) {
			t.Errorf("%d bytes read back as %d", c.size, len(got))
		}
	}
	if _, err := h.tryDeliver(sized(5001), mailbox.Inbox, paule); !errs.Is(err, errs.TooLarge) {
		t.Errorf("5001 bytes: %v", err)
	}
	a := paule.open()
	if _, err := a.Append(t.Context(), "Sent", nil, h.clock(), stringReader(sized(5001))); !errs.Is(err, errs.TooLarge) {
		t.Errorf("append of 5001 bytes: %v", err)
	}
}

func TestLimitsOfFolders(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.MaxBoxes, c.MaxMessages, c.MaxName, c.MaxDepth = 9, 2, 20, 3 })
	ctx := t.Context()
	paule := h.person("paule")
	a := paule.open()
	for name, ok := range map[string]bool{
		strings.Repeat("n", 20): true, strings.Repeat("n", 21): false,
		strings.Repeat("é", 10): true, strings.Repeat("é", 11): false,
		"a/b/c": true, "a/b/c/d": false,
	} {
		err := a.Create(ctx, name, "")
		if ok != (err == nil) || !ok && !errs.Is(err, errs.TooLarge) {
			t.Errorf("create %q: %v", name, err)
		}
		if ok { // one at a time: six boxes are there
			for _, up := range slices.Backward([]string{name[:1], name[:min(3, len(name))], name}) {
				a.Delete(ctx, up)
			}
		}
	}
	h.must(a.Create(ctx, "1/2/3", ""))
	if err := a.Create(ctx, "4", ""); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a tenth folder: %v", err)
	}
	if err := a.Rename(ctx, "1", "9/8"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a rename that makes folders too deep: %v", err)
	}
	for range 2 {
		h.deliver(letter("m", "text"), paule)
	}
	if _, err := h.tryDeliver(letter("m", "text"), mailbox.Inbox, paule); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a third message: %v", err)
	}
	v := paule.view(a, mailbox.Inbox)
	if _, err := v.Copy(ctx, []mailbox.UID{1}, mailbox.Inbox); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a third by copy: %v", err)
	}
}

func TestLimitsOfKeywordsAndCopies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.MaxKeywords, c.MaxKeyword, c.MaxCopy = 500, 8, 2 })
	ctx := t.Context()
	paule := h.person("paule")
	for range 3 {
		h.deliver(letter("m", "text"), paule)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	set := func(f mailbox.Flag) error {
		_, err := v.Store(ctx, []mailbox.UID{1}, mailbox.FlagsAdd, []mailbox.Flag{f}, 0)
		return err
	}
	for i := range 123 { // more is not to be had, whatever is asked for
		h.must(set(mailbox.Flag(fmt.Sprintf("kw%d", i))))
	}
	if all, more := v.Keywords(); len(all) != 123 || more {
		t.Errorf("%d keywords, room for more: %v", len(all), more)
	}
	if err := set("onemore"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a keyword too many: %v", err)
	}
	h.must(set("KW122"))
	m, err := v.Message(ctx, 1)
	h.must(err)
	if len(m.Flags) != 123 || m.Flags[122] != "kw122" {
		t.Errorf("%d flags: %v", len(m.Flags), m.Flags)
	}
	if err := set("kw3456789"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("nine characters: %v", err)
	}
	if got, err := v.Copy(ctx, []mailbox.UID{1, 3}, "Archive"); err != nil || len(got.Dest) != 2 {
		t.Errorf("copy of two: %v %v", got, err)
	}
	if _, err := v.Copy(ctx, nil, "Archive"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("copy of three: %v", err)
	}
}

// RFC 7162 3.2.5.2: the expunge log tells what is gone, as far as it reaches.
func TestExpungeLog(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.MaxExpungeLog = 4 })
	ctx := t.Context()
	paule := h.person("paule")
	for range 9 {
		h.deliver(letter("m", "text"), paule)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	start := v.Box().HighestModSeq
	expunge(t, v, 2, 3, 7)
	middle := v.Box().HighestModSeq
	expunge(t, v, 1)
	want := func(since uint64, complete bool, uids ...mailbox.UID) {
		t.Helper()
		got, ok, err := v.Vanished(ctx, since)
		h.must(err)
		if ok != complete || complete && !slices.Equal(got, uids) {
			t.Errorf("since %d: %v %v", since, got, ok)
		}
	}
	want(start, true, 1, 2, 3, 7)
	want(middle, true, 1)
	want(v.Box().HighestModSeq, true)
	expunge(t, v, 4)
	expunge(t, v, 5)
	want(start, true, 1, 2, 3, 4, 5, 7)
	expunge(t, v, 6)
	want(start, false)
	want(v.Box().HighestModSeq-1, true, 6)
}

// Opened indexes are kept within a number of bytes.
func TestIndexCacheIsBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, 2500, 0} { // none fits, about one, all
		h := newHouse(t, func(c *mailbox.Config) { c.IndexCache, c.IndexCacheAll = size, size })
		paule, rose := h.person("paule"), h.person("rose")
		for range 5 {
			h.deliver(letter("m", "text"), paule, rose)
		}
		x, y := paule.view(paule.open(), mailbox.Inbox), rose.view(rose.open(), mailbox.Inbox)
		for range 3 {
			if len(h.list(x)) != 5 || len(h.list(y)) != 5 {
				t.Errorf("with %d bytes of cache, messages are missing", size)
			}
		}
	}
}

// Issue 2: a message of 5 MB is sealed while it arrives, in under 2 MB.
func TestALargeMessageIsNeverHeldWhole(t *testing.T) {
	h := newHouse(t)
	paule, rose := h.person("paule"), h.person("rose")
	to := []keyring.Recipient{paule.keys.Recipient(), rose.keys.Recipient()}
	text := []byte(sized(5_000_000))
	pdf := append([]byte("From: a@pli.test\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
		bytes.Repeat([]byte(strings.Repeat("QUJD", 19)+"\r\n"), 64_000)...)
	for name, raw := range map[string][]byte{"text": text, "pdf": pdf} {
		var spools []*mailbox.Spool
		before := heap()
		const n = 10
		for range n {
			s, err := h.mail.Spool(t.Context(), to)
			h.must(err)
			defer s.Discard()
			for part := range slices.Chunk(raw, 4096) {
				_, err := s.Write(part)
				h.must(err)
			}
			spools = append(spools, s)
		}
		each := (heap() - before) / n
		t.Logf("%s: %d kB for each", name, each/1000)
		if each > 2_000_000 {
			t.Errorf("%s: %d bytes for each message that arrives", name, each)
		}
		for _, s := range spools {
			s.Discard()
		}
	}
}

// The cache's bound is real: what is kept of many messages is not more.
func TestIndexCacheHoldsNoMore(t *testing.T) {
	const bound = 100_000
	h := newHouse(t, func(c *mailbox.Config) { c.IndexCache, c.PageDelay = bound, time.Hour })
	paule := h.person("paule")
	h.deliver(letter(strings.Repeat("a long subject ", 60), "text"), paule)
	a := paule.open()
	v := paule.view(a, mailbox.Inbox)
	for range 60 {
		h.deliver(letter(strings.Repeat("a long subject ", 600), "text"), paule)
	}
	v.Poll(true)
	before := heap()
	h.list(v)
	if grown := heap() - before; grown > 2*bound {
		t.Errorf("%d bytes are kept, %d are allowed", grown, bound)
	}
	h.list(v)
}

// broken reads some bytes, then fails.
type broken struct{ left int }

var errLine = errors.New("line is cut")

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errLine
	}
	n := min(len(p), b.left)
	copy(p, strings.Repeat("x", n))
	b.left -= n
	return n, nil
}

// A message that does not end leaves nothing behind.
func TestAHalfMessageLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	a := paule.open()
	for _, size := range []int{100, 200_000} {
		if _, err := a.Append(t.Context(), "Sent", nil, h.clock(), &broken{size}); !errors.Is(err, errLine) {
			t.Errorf("append: %v", err)
		}
	}
	s, err := h.letters(sized(200_000), paule)
	h.must(err)
	s.Discard()
	s.Discard()
	if _, err := io.WriteString(s, "more"); err == nil {
		t.Error("a discarded spool takes more")
	}
	if err := h.db.Update(t.Context(), paule.owner, deliverTo(h, s.Letter(0), mailbox.Inbox)); !errs.Is(err, errs.Conflict) {
		t.Errorf("a discarded letter is delivered: %v", err)
	}
	if n := len(h.blobIDs()); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}
