package mss_test

import (
	"context"
	"testing"
	"time"

	"pli/mss"
	"pli/space"
)

// asker says RCPT for one holder after another, each in a transaction of its
// own.
type asker struct {
	*house
	begin func() (*mss.Transaction, error)
	tried int // unknown holders
}

func (h *house) peerAsks(p *mss.Peer, from string) *asker {
	return &asker{house: h, begin: func() (*mss.Transaction, error) {
		return h.mss.FromPeer(context.Background(), p, from, mss.Params{})
	}}
}

func (p *person) asks() *asker {
	return &asker{house: p.h, begin: func() (*mss.Transaction, error) {
		return p.h.mss.FromMember(context.Background(), p.sender(), p.address.String(), mss.Params{})
	}}
}

func (a *asker) want(to string, reason mss.Reason) {
	a.t.Helper()
	tx, err := a.begin()
	a.must(err)
	defer tx.Close()
	if got := mss.ReasonOf(tx.Rcpt(context.Background(), to, mss.RcptParams{})); got != reason {
		a.t.Fatalf("%s, after %d unknown: %v, want %v", to, a.tried, got, reason)
	}
}

// wantUnknown asks for n holders of whom nobody asked before.
func (a *asker) wantUnknown(n int) {
	a.t.Helper()
	for range n {
		a.want(unknownHolder(a.tried), mss.UnknownRecipient)
		a.tried++
	}
}

func unknownHolder(n int) string { return matricule(9000+n) + "@" + patientDomain }

func (h *house) holders(n int) (list []string) {
	for range n {
		list = append(list, h.holder(space.Active).address.String())
	}
	return list
}

// Past a share of unknown holders, all of a peer's are put off for a while.
func TestTooManyUnknownHolders(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	other, err := h.mss.Peer(h.operator("smtp.tiers.test", otherDomain))
	h.must(err)
	a := h.peerAsks(h.peer, "labo@"+peerDomain)
	known := h.holders(14)
	for _, to := range known { // 14 of 20 known: 30 % unknown is not above the share
		a.want(to, 0)
	}
	a.wantUnknown(6)
	a.want(known[0], 0)
	a.wantUnknown(1) // the one that passes it
	for _, to := range []string{known[0], unknownHolder(101), "toto@" + patientDomain} {
		a.want(to, mss.TooManyUnknown)
	}
	h.peerAsks(other, "labo@"+otherDomain).want(known[0], 0) // no other peer pays for it
	h.offset.Add(int64(15*time.Minute + time.Second))
	a.want(known[0], 0)
}

// A known holder counts once, however often and however spelled, and so does
// an unknown one: nobody hides a search, and an honest mistake repeated is none.
func TestEachHolderCountsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	known := h.holder(space.Active).address
	for _, a := range []*asker{h.peerAsks(h.peer, "labo@"+peerDomain), h.member("louise.moreau").asks()} {
		for range 100 {
			a.want(known.String(), 0)
			a.want("\""+known.Local()+"\"@PATIENT.pli.test", 0)
		}
		for range 30 {
			a.want("toto@"+patientDomain, mss.UnknownRecipient)
			a.want("TOTO@"+patientDomain, mss.UnknownRecipient)
		}
		for range 18 { // with the two of above, 20
			a.want(known.String(), 0)
			a.wantUnknown(1)
		}
		a.want(known.String(), mss.TooManyUnknown)
	}
}

// Past so many unknown holders a sender is put off whatever the share, and
// the pause does not make these forgotten before the window has passed.
func TestUnknownHoldersHaveACeiling(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mss.Config) { c.Limits.UnknownMost, c.Limits.UnknownShare = 30, 1 })
	known := h.holder(space.Active).address.String()
	for _, a := range []*asker{h.peerAsks(h.peer, "labo@"+peerDomain), h.member("louise.moreau").asks()} {
		a.wantUnknown(30)
		a.want(known, 0)
		a.wantUnknown(1) // the one that passes it
		a.want(known, mss.TooManyUnknown)
		h.offset.Add(int64(15*time.Minute + time.Second))
		a.want(known, 0)
		a.wantUnknown(1)
		a.want(known, mss.TooManyUnknown)
		h.offset.Add(int64(66 * time.Minute))
		a.wantUnknown(30)
		a.want(known, 0)
	}
	if l := newHouse(t).mss.Limits(); l.UnknownMost != 1000 || l.RepeatWithoutID != 10*time.Minute {
		t.Errorf("by default %d, %v", l.UnknownMost, l.RepeatWithoutID)
	}
}

// Few tries, however wrong, are no reason yet; and what is long ago is forgotten.
func TestTheShareCountsWithinItsWindow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 45 {
		if i%15 == 0 {
			h.offset.Add(int64(66 * time.Minute))
		}
		err := h.peerWrites("labo@"+peerDomain, matricule(9000+i)+"@"+patientDomain)
		if got := mss.ReasonOf(err); got != mss.UnknownRecipient {
			t.Fatalf("try %d: %v", i, got)
		}
	}
}
