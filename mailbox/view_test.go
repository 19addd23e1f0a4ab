package mailbox_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/mailbox"
)

// deletedAt flags messages \Deleted and expunges them through a view.
func expunge(t testing.TB, v *mailbox.View, uids ...mailbox.UID) {
	t.Helper()
	if _, err := v.Store(t.Context(), uids, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Deleted}, 0); err != nil {
		t.Fatal(err)
	}
	gone, err := v.Expunge(t.Context(), uids)
	if err != nil || !slices.Equal(gone, uids) {
		t.Fatalf("expunged %v of %v: %v", gone, uids, err)
	}
}

func told(c mailbox.Changes) string {
	s := fmt.Sprintf("gone %v", c.Expunged)
	if c.NewExists {
		s += fmt.Sprintf(" exists %d", c.Exists)
	}
	for _, m := range c.Flags {
		s += fmt.Sprintf(" %d=%d%v", m.Seq, m.UID, m.Flags)
	}
	return s
}

func wantTold(t *testing.T, v *mailbox.View, expunge bool, want string) {
	t.Helper()
	if got := told(v.Poll(expunge)); got != want {
		t.Errorf("poll tells %q, want %q", got, want)
	}
}

// RFC 9051 7.5.1: numbers change only where the client can follow.
func TestTwoViewsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	for i := range 5 {
		h.deliver(letter(fmt.Sprintf("m%d", i+1), "text"), paule)
	}
	a, b := paule.open(), paule.open()
	x, y := paule.view(a, mailbox.Inbox), paule.view(b, mailbox.Inbox)

	// What one stores, the other is told, and only the other.
	_, err := x.Store(ctx, []mailbox.UID{2, 4}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
	h.must(err)
	wantTold(t, x, true, "gone []")
	wantTold(t, y, true, `gone [] 2=2[\Seen] 4=4[\Seen]`)
	wantTold(t, y, true, "gone []")

	// Numbers stay until the poll that may change them; what comes later is numbered on.
	expunge(t, x, 1, 3)
	if uid, _ := x.UID(3); uid != 3 || x.Len() != 5 {
		t.Errorf("numbers moved before the poll: %d of %d", uid, x.Len())
	}
	h.deliver(letter("m6", "text"), paule)
	wantTold(t, y, false, "gone [] exists 6")
	wantTold(t, x, true, "gone [3 1] exists 4")
	if _, err := y.Message(ctx, 3); !errs.Is(err, errs.NotFound) {
		t.Errorf("an expunged message is still handed out: %v", err)
	}
	if seq, _ := y.Seq(6); seq != 6 || y.Len() != 6 {
		t.Errorf("UID 6 has number %d of %d", seq, y.Len())
	}
	_, err = x.Store(ctx, []mailbox.UID{6}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Flagged}, 0)
	h.must(err)
	wantTold(t, y, true, `gone [3 1] 4=6[\Flagged]`)
	wantTold(t, y, true, "gone []")
	if !slices.Equal(x.UIDs(), y.UIDs()) {
		t.Errorf("views differ: %v %v", x.UIDs(), y.UIDs())
	}
}

// Two views that both withhold an expunge number what comes later each by itself.
func TestViewsThatWithholdDoNotShareWhatComesLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	a := paule.open()
	for i := range 3 {
		h.deliver(letter(fmt.Sprintf("m%d", i+1), "text"), paule)
	}
	x, y, z := paule.view(a, mailbox.Inbox), paule.view(a, mailbox.Inbox), paule.view(a, mailbox.Inbox)
	for range 5 { // so that the shared numbers have room behind them
		h.deliver(letter("m", "text"), paule)
	}
	x.Poll(true)
	y.Poll(true)
	z.Poll(true)
	expunge(t, z, 1)
	h.deliver(letter("m9", "text"), paule)
	wantTold(t, x, false, "gone [] exists 9")
	expunge(t, z, 2)
	z.Poll(true)
	expunge(t, z, 9)
	h.deliver(letter("m10", "text"), paule)
	wantTold(t, y, false, "gone [] exists 9")
	if uid, _ := x.UID(9); uid != 9 {
		t.Errorf("number 9 of one view became UID %d", uid)
	}
	if uid, _ := y.UID(9); uid != 10 {
		t.Errorf("number 9 of the other is UID %d", uid)
	}
	wantTold(t, x, true, "gone [9 2 1] exists 7")
	wantTold(t, y, true, "gone [2 1]")
}

// What another session changed before this one stored on the same message is
// still owed to this client.
func TestAChangeUnderOnesOwnIsStillTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	h.deliver(letter("m1", "text"), paule)
	h.deliver(letter("m2", "text"), paule)
	x, y := paule.view(paule.open(), mailbox.Inbox), paule.view(paule.open(), mailbox.Inbox)
	_, err := y.Store(ctx, []mailbox.UID{1}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Answered}, 0)
	h.must(err)
	_, err = x.Store(ctx, []mailbox.UID{1, 2}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
	h.must(err)
	wantTold(t, x, true, `gone [] 1=1[\Seen \Answered]`)
	wantTold(t, y, true, `gone [] 1=1[\Seen \Answered] 2=2[\Seen]`)
}

// RFC 7162 3.1.3: a conditional store leaves alone what changed since.
func TestStoreUnchangedSince(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	for range 3 {
		h.deliver(letter("m", "text"), paule)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	since := v.Box().HighestModSeq
	_, err := v.Store(ctx, []mailbox.UID{2}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Flagged}, 0)
	h.must(err)
	done, err := v.Store(ctx, nil, mailbox.FlagsSet, []mailbox.Flag{mailbox.Seen}, since)
	h.must(err)
	if len(done) != 2 || done[0].UID != 1 || done[1].UID != 3 {
		t.Errorf("stored: %v", done)
	}
	before := v.Box().HighestModSeq
	done, err = v.Store(ctx, []mailbox.UID{1}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
	h.must(err)
	if len(done) != 1 || v.Box().HighestModSeq != before {
		t.Errorf("a store that changes nothing: %v, %d after %d", done, v.Box().HighestModSeq, before)
	}
}

// Issue 2: a client that idles hears of a new message at once.
func TestDeliveryWakesIdleViews(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	a := paule.open()
	x, other := paule.view(a, mailbox.Inbox), paule.view(a, "Sent")
	for n := range 3 {
		h.deliver(letter("m", "text"), paule)
		for _, c := range []<-chan struct{}{x.Changed(), a.Changed()} {
			select {
			case <-c:
			case <-time.After(time.Second):
				t.Fatal("nobody was woken")
			}
		}
		wantTold(t, x, false, fmt.Sprintf("gone [] exists %d", n+1))
	}
	select {
	case <-other.Changed():
		t.Error("a view on another box was woken")
	default:
	}
}

// A commit that nobody here was told of, as by another machine, is found by
// comparing mod-sequences.
func TestAMissedChangeIsFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	h.deliver(letter("m1", "text"), paule)
	v := paule.view(paule.open(), mailbox.Inbox)
	elsewhere := h.service()
	a, err := elsewhere.Open(ctx, paule.actor(), paule.owner, paule.keys)
	h.must(err)
	defer a.Close()
	w := paule.view(a, mailbox.Inbox)
	_, err = w.Store(ctx, nil, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen, "new"}, 0)
	h.must(err)
	wantTold(t, v, true, "gone []") // compared less than a second ago
	h.now.Add(1)
	wantTold(t, v, true, `gone [] 1=1[\Seen new]`)
	expunge(t, w, 1)
	_, err = v.Store(ctx, nil, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Flagged}, 0) // meets nothing
	h.must(err)
	h.now.Add(1)
	wantTold(t, v, true, "gone [1]")

	// This service's own write shows the gap without waiting.
	_, err = a.Append(ctx, mailbox.Inbox, nil, h.clock(), stringReader(letter("m2", "")))
	h.must(err)
	h.deliver(letter("m3", "text"), paule)
	wantTold(t, v, true, "gone [] exists 2")
}

// Two views of a box that is removed: nothing is written any more.
func TestARemovedBoxUnderAView(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.person("paule")
	a := paule.open()
	h.must(a.Create(ctx, "Projets", ""))
	_, err := a.Append(ctx, "Projets", nil, h.clock(), stringReader(letter("m", "text")))
	h.must(err)
	v := paule.view(a, "Projets")
	h.must(a.Delete(ctx, "Projets"))
	if _, err := v.Store(ctx, nil, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0); !errs.Is(err, errs.NotFound) {
		t.Errorf("store: %v", err)
	}
	if _, err := v.Open(ctx, 1); !errs.Is(err, errs.NotFound) {
		t.Errorf("open: %v", err)
	}
	if err := v.Messages(ctx, nil, true, func(m mailbox.Message) error { return fmt.Errorf("%d is there", m.UID) }); err != nil {
		t.Error(err)
	}
	wantTold(t, v, true, "gone [1]")
	h.now.Add(5)
	wantTold(t, v, true, "gone []")
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Idle views cost almost nothing: numbers and rows are the account's.
func TestIdleViewsAreSmall(t *testing.T) {
	h := newHouse(t)
	paule := h.person("paule")
	for range 50 {
		h.deliver(letter("m", "text"), paule)
	}
	a := paule.open()
	paule.view(a, mailbox.Inbox)
	const n = 2000
	views := make([]*mailbox.View, n)
	before := heap()
	for i := range views {
		v, err := a.Select(t.Context(), mailbox.Inbox, false)
		h.must(err)
		views[i] = v
	}
	each := (heap() - before) / n
	t.Logf("%d bytes for each idle view", each)
	if each > 1024 {
		t.Errorf("%d bytes for each idle view", each)
	}
	for _, v := range views {
		v.Close()
	}
}
