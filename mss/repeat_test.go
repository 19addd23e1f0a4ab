package mss_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/mss"
	"pli/space"
	"pli/store"
)

// pieces reads a text a few bytes at a time.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b, p.text[:min(p.size, len(p.text))])
	p.text = p.text[n:]
	return n, nil
}

// A sender that lost our answer sends again: 250, and nothing is added.
func TestARepeatAddsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder, doctor := h.holder(space.Active), h.member("louise.moreau")
	from := "labo@" + peerDomain
	text := mailText("From: "+from, "Message-ID: <1@x>")
	to := []string{holder.address.String(), doctor.address.String()}
	for range 3 {
		want(t, h.fromPeer(from, text, to...), 0)
	}
	if a, b := len(holder.letters()), len(doctor.letters()); a != 1 || b != 1 {
		t.Errorf("%d and %d letters", a, b)
	}
	count := func() (n int) {
		for _, line := range holder.trace() {
			if strings.HasPrefix(line, "mail.deliver") {
				n++
			}
		}
		return n
	}
	if count() != 1 {
		t.Errorf("%d lines of the trace", count())
	}
	// Another sender, another recipient, other bytes: other messages.
	want(t, h.fromPeer("labo2@"+peerDomain, text, to...), 0)
	want(t, h.fromPeer(from, text+"x\r\n", to...), 0)
	if a, b := len(holder.letters()), len(doctor.letters()); a != 3 || b != 3 {
		t.Errorf("%d and %d letters", a, b)
	}
	if s := h.mss.Stats(); s.Accepted != 5 || s.Delivered != 6 || s.Repeats != 4 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// The digest is kept for seven days, on both sides of the limit; then it goes.
func TestRepeatsAreKnownForSevenDays(t *testing.T) {
	t.Parallel()
	for _, start := range []time.Duration{0, 3 * 24 * time.Hour, 6*24*time.Hour + 20*time.Hour} { // wherever in its period
		h := newHouse(t)
		h.offset.Add(int64(start))
		doctor := h.member("louise.moreau")
		from, text := "labo@"+peerDomain, mailText("From: labo@"+peerDomain, "Message-ID: <1@x>")
		for _, step := range []struct {
			wait    time.Duration
			letters int
		}{{0, 1}, {time.Hour, 1}, {7*24*time.Hour - 2*time.Hour, 1}, {2 * time.Hour, 2}, {15 * 24 * time.Hour, 3}} {
			h.offset.Add(int64(step.wait))
			want(t, h.fromPeer(from, text, doctor.address.String()), 0)
			if got := len(doctor.letters()); got != step.letters {
				t.Errorf("from %v, %v later: %d letters, want %d", start, step.wait, got, step.letters)
			}
		}
		if n := repeats(h, doctor.owner); n != 1 {
			t.Errorf("%d digests are kept", n)
		}
	}
}

// A message without Message-ID is like the next of its kind that somebody
// writes: a repeat for minutes, from members, holders and peers.
func TestRepeatsWithoutMessageID(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder, doctor := h.holder(space.Active), h.member("louise.moreau")
	for name, c := range map[string]struct {
		to    *person
		write func() error
	}{
		"a member":         {holder, func() error { return doctor.write(holder.address.String()) }},
		"a holder":         {doctor, func() error { return holder.write(doctor.address.String(), "X-Holder: x") }},
		"a peer":           {doctor, func() error { return h.peerWrites("labo@"+peerDomain, doctor.address.String()) }},
		"an empty id":      {doctor, func() error { return h.peerWrites("labo@"+peerDomain, doctor.address.String(), "Message-ID: ") }},
		"an id of its own": {doctor, func() error { return h.peerWrites("labo@"+peerDomain, doctor.address.String(), "Message-ID: <1@x>") }},
	} {
		want(t, doctor.write(holder.address.String(), "X-Opens: "+name), 0)
		before := len(c.to.letters())
		for _, step := range []struct {
			wait          time.Duration
			added, withID int
		}{{0, 1, 1}, {10*time.Minute - 10*time.Second, 1, 1}, {20 * time.Second, 2, 1}, {time.Minute, 2, 1}, {time.Hour, 3, 1}} {
			h.offset.Add(int64(step.wait))
			want(t, c.write(), 0)
			added := step.added
			if name == "an id of its own" {
				added = step.withID
			}
			if got := len(c.to.letters()) - before; got != added {
				t.Errorf("%s, %v later: %d letters, want %d", name, step.wait, got, added)
			}
		}
	}
}

// A repeat that comes after others changed the exchange does what it asks for,
// and is seen and traced; one that would change nothing adds nothing.
func TestARepeatAfterTheExchangeChanged(t *testing.T) {
	t.Parallel()
	for name, id := range map[string][]string{"without Message-ID": nil, "with Message-ID": {"Message-ID: <1@x>"}} {
		for _, wait := range []time.Duration{0, time.Hour} {
			s := newTale(t)
			a, to := s.boxes["a"], s.holder.address.String()
			fin := mailText(append([]string{"From: " + a.address.String(), "Subject: [FIN]"}, id...)...)
			open := mailText(append([]string{"From: " + a.address.String(), "Subject: Rappelez-moi"}, id...)...)
			for i, step := range []struct {
				text    string
				may     string
				letters int
			}{{open, "yes", 1}, {open, "yes", 1}, {fin, "no", 2}, {fin, "no", 2}, {open, "yes", 3}, {fin, "no", 4}, {fin, "no", 4}, {open, "yes", 5}} {
				if id != nil { // else it would be no repeat
					s.offset.Add(int64(wait))
				}
				want(t, a.send(a.address.String(), step.text, to), 0)
				s.walk("→a=" + step.may)
				if got := len(s.holder.letters()); got != step.letters {
					t.Errorf("%s, step %d: %d letters, want %d", name, i, got, step.letters)
				}
				n := 0
				for _, line := range s.holder.trace() {
					if strings.HasPrefix(line, "mail.deliver permit") {
						n++
					}
				}
				if n != step.letters {
					t.Errorf("%s, step %d: %d lines of the trace, want %d", name, i, n, step.letters)
				}
			}
		}
	}
}

func repeats(h *house, owner store.Owner) (n int) {
	h.must(h.db.View(context.Background(), owner, func(tx store.Tx) error {
		n = 0
		return tx.Scan([]byte("dup/"), []byte("dup0"), func(_, _ []byte) error { n++; return nil })
	}))
	return n
}

// A message that breaks off is none, however far it came; and no record of an
// address stands in clear.
func TestAMessageThatBreaksOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, holder := h.member("louise.moreau"), h.holder(space.Active)
	ctx := context.Background()
	lost := errors.New("the line went dead")
	for _, text := range []string{"", "From: x", mailText("From: " + doctor.address.String()), mailText("From: "+doctor.address.String()) + strings.Repeat("0123456789\r\n", 10_000)} {
		tx, err := h.mss.FromMember(ctx, doctor.sender(), doctor.address.String(), mss.Params{})
		h.must(err)
		h.must(tx.Rcpt(ctx, holder.address.String(), mss.RcptParams{}))
		_, err = tx.Data(ctx, io.MultiReader(strings.NewReader(text), broken{lost}))
		if !mss.IsReadError(err) || !errors.Is(err, lost) || mss.ReasonOf(err) != 0 {
			t.Errorf("after %d bytes: %v", len(text), err)
		}
		if _, err := tx.Data(ctx, strings.NewReader(text)); err == nil {
			t.Error("the message is given twice")
		}
		tx.Close()
	}
	if got := holder.letters(); len(got) != 0 {
		t.Errorf("%d letters", len(got))
	}
	want(t, doctor.write(holder.address.String()), 0)
	h.must(h.db.View(ctx, holder.owner, func(tx store.Tx) error {
		return tx.Scan(nil, nil, func(key, _ []byte) error {
			if slices.ContainsFunc([]string{"louise", "moreau", holder.address.Local()}, func(s string) bool { return strings.Contains(string(key), s) }) {
				t.Errorf("a key tells: %q", key)
			}
			return nil
		})
	}))
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

// 250 only when the message lies with all; else the sender sends again, and
// nothing is added where it lies already.
func TestAllOrAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder, a, b := h.holder(space.Active), h.member("a"), h.member("b")
	ctx := context.Background()
	kept := map[string][]byte{}
	h.must(h.db.Update(ctx, b.owner, func(tx store.Tx) error { // b's folders are lost
		clear(kept)
		err := tx.Scan([]byte("m"), []byte("n"), func(key, value []byte) error { kept[string(key)] = slices.Clone(value); return nil })
		for key := range kept {
			err = errors.Join(err, tx.Delete([]byte(key)))
		}
		return err
	}))
	if len(kept) == 0 {
		t.Fatal("no folders were lost")
	}
	from := "labo@" + peerDomain
	text := mailText("From: " + from)
	to := []string{b.address.String(), holder.address.String(), a.address.String()}
	for range 2 {
		if err := h.fromPeer(from, text, to...); err == nil || mss.ReasonOf(err) != 0 || mss.IsReadError(err) {
			t.Fatalf("with a mailbox that takes nothing: %v", err)
		}
	}
	h.must(h.db.Update(ctx, b.owner, func(tx store.Tx) (err error) {
		for key, value := range kept {
			err = errors.Join(err, tx.Put([]byte(key), value))
		}
		return err
	}))
	want(t, h.fromPeer(from, text, to...), 0)
	for _, p := range []*person{holder, a, b} {
		if got := len(p.letters()); got != 1 {
			t.Errorf("%s: %d letters", p.address.Local(), got)
		}
	}
}

// A space that closes between RCPT and the message is unknown, not broken.
func TestASpaceThatClosesMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder := h.holder(space.Active)
	ctx := context.Background()
	tx, err := h.mss.FromPeer(ctx, h.peer, "labo@"+peerDomain, mss.Params{})
	h.must(err)
	defer tx.Close()
	h.must(tx.Rcpt(ctx, holder.address.String(), mss.RcptParams{}))
	h.must(h.spaces.SetState(ctx, holder.owner, space.Closed))
	_, err = tx.Data(ctx, strings.NewReader(mailText("From: labo@"+peerDomain)))
	want(t, err, mss.UnknownRecipient)
	if lines := holder.trace(); !slices.Contains(lines, "mail.deliver deny labo@"+peerDomain) { // C7
		t.Errorf("%q", lines)
	}
}
