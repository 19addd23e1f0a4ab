package mss_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pli/mss"
	"pli/space"
)

// quota gives a person's mail a limit.
func (p *person) quota(bytes int64) {
	p.h.t.Helper()
	_, err := p.h.mail.SetQuota(context.Background(), p.owner, bytes)
	p.h.must(err)
}

// long is a message of about size bytes.
func long(from, to string, size int) string {
	return mailText("From: "+from, "To: "+to, "Date: Mon, 02 Mar 2026 09:00:00 +0100") + strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72)
}

// A letter for which there is no room is refused for good (RFC 3463, X.2.2):
// at RCPT where the size announced says so, else at the end, and nothing of it
// is kept. The holder finds in the trace who could not write.
func TestAFullMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := context.Background()
	holder, doctor := h.holder(space.Active), h.member("louise.moreau")
	labo := "labo@" + peerDomain
	for _, to := range []*person{holder, doctor} {
		to.quota(1_000_000)
		rcpt := func(size int64, reason mss.Reason) {
			t.Helper()
			tx, err := h.mss.FromPeer(ctx, h.peer, labo, mss.Params{Size: size})
			h.must(err)
			defer tx.Close()
			want(t, tx.Rcpt(ctx, to.address.String(), mss.RcptParams{}), reason)
		}
		rcpt(1_000_000, 0)
		rcpt(1_000_001, mss.MailboxFull)
		rcpt(0, 0)
		want(t, h.fromPeer(labo, long(labo, to.address.String(), 1_100_000), to.address.String()), mss.MailboxFull)
		want(t, h.fromPeer(labo, long(labo, to.address.String(), 900_000), to.address.String()), 0)
		want(t, h.fromPeer(labo, long(labo, to.address.String(), 90_000), to.address.String()), 0)
		want(t, h.fromPeer(labo, long(labo, to.address.String(), 20_000), to.address.String()), mss.MailboxFull)
		rcpt(20_000, mss.MailboxFull) // nearly full: small ones are looked at too
		rcpt(5_000, 0)
		if got := len(to.letters()); got != 2 {
			t.Errorf("%d letters", got)
		}
	}
	h.must(h.mss.Close(ctx)) // what it had to trace is traced
	lines := holder.trace()
	rejected := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l != "mail.reject deny "+labo })
	failed := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l != "mail.deliver fail "+labo })
	if len(rejected) != 2 || len(failed) != 2 {
		t.Errorf("the trace: %q", lines)
	}
}

// One full mailbox among several keeps the letter from nobody else: the sender
// is asked to come again, is told at RCPT whose it is, and the others have the
// letter once.
func TestOneFullMailboxOfSeveral(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder, one, two := h.holder(space.Active), h.member("louise.moreau"), h.member("paul.petit")
	labo := "labo@" + peerDomain
	for _, full := range []*person{holder, two} {
		others := slices.DeleteFunc([]*person{holder, one, two}, func(p *person) bool { return p == full })
		had, kept := []int{len(others[0].letters()), len(others[1].letters())}, len(full.letters())
		before, err := h.mail.Quota(context.Background(), full.owner)
		h.must(err)
		full.quota(before.Used + 10_000)
		text := long(labo, full.address.String(), 20_000)
		want(t, h.fromPeer(labo, text, holder.address.String(), one.address.String(), two.address.String()), mss.OneMailboxFull)
		tx, err := h.mss.FromPeer(context.Background(), h.peer, labo, mss.Params{Size: int64(len(text))})
		h.must(err)
		var told []mss.Reason
		for _, to := range []*person{holder, one, two} {
			told = append(told, mss.ReasonOf(tx.Rcpt(context.Background(), to.address.String(), mss.RcptParams{})))
		}
		for i, to := range []*person{holder, one, two} {
			if (told[i] == mss.MailboxFull) != (to == full) {
				t.Errorf("told %v", told)
			}
		}
		_, err = tx.Data(context.Background(), strings.NewReader(text))
		h.must(err)
		for i, p := range others {
			if got := len(p.letters()); got != had[i]+1 {
				t.Errorf("%d letters, want %d", got, had[i]+1)
			}
		}
		if got := len(full.letters()); got != kept {
			t.Errorf("the full mailbox has %d letters, had %d", got, kept)
		}
		full.quota(0)
	}
}

// Whether a mailbox is full is told to those alone who may write to it.
func TestAFullMailboxIsNoOracle(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	closed, other, doctor := h.holder(space.Closed), h.holder(space.Active), h.member("louise.moreau")
	for _, p := range []*person{closed, other, doctor} {
		p.quota(1)
	}
	tx, err := h.mss.FromPeer(context.Background(), h.peer, "labo@"+peerDomain, mss.Params{Size: 1_000_000})
	h.must(err)
	want(t, tx.Rcpt(context.Background(), closed.address.String(), mss.RcptParams{}), mss.UnknownRecipient)
	tx, err = h.mss.FromMember(context.Background(), other.sender(), other.address.String(), mss.Params{Size: 1_000_000})
	h.must(err)
	want(t, tx.Rcpt(context.Background(), doctor.address.String(), mss.RcptParams{}), mss.NoExchange)
	if _, err := h.mss.FromPeer(context.Background(), h.peer, "labo@"+otherDomain, mss.Params{Size: 1_000_000}); mss.ReasonOf(err) != mss.SenderDomain {
		t.Error(err)
	}
}
