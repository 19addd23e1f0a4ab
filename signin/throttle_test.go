package signin_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/signin"
)

// fail tries a wrong password, and reports whether it was looked at.
func (h *house) fail(ctx context.Context, login string) bool {
	h.t.Helper()
	_, err := h.doors.Begin(ctx, login, "wrong password")
	switch errs.KindOf(err) {
	case errs.Unauthenticated:
		return true
	case errs.Unavailable:
		return false
	}
	h.t.Fatal(err)
	return false
}

func TestFailuresSlowDownMoreAndMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.holder()
	for i := range 10 {
		if !h.fail(t.Context(), goodLogin) {
			t.Fatalf("failure %d of the free ones was refused", i+1)
		}
	}
	wait := time.Second
	for wait < time.Minute {
		if h.fail(t.Context(), goodLogin) {
			t.Fatalf("looked at before the wait of %v", wait)
		}
		h.pass(wait - 10*time.Millisecond)
		if h.fail(t.Context(), goodLogin) {
			t.Fatalf("looked at within the wait of %v", wait)
		}
		h.pass(10 * time.Millisecond)
		if !h.fail(t.Context(), goodLogin) {
			t.Fatalf("still refused after %v", wait)
		}
		wait *= 2
	}
	// However long it goes on, a minute is the most that anybody waits.
	for i := range 300 {
		h.pass(time.Minute)
		if !h.fail(t.Context(), goodLogin) {
			t.Fatalf("round %d: refused after a minute", i)
		}
		h.fail(t.Context(), goodLogin) // refused, and does not lengthen the wait
	}
	h.pass(time.Minute)
	s := h.signIn()
	if s == nil {
		t.Fatal("the holder was locked out")
	}
	for i := range 10 {
		if !h.fail(t.Context(), goodLogin) {
			t.Fatalf("failure %d after a sign-in was refused", i+1)
		}
	}
}

func TestUnknownLoginsAreSlowedDownAlike(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.holder()
	for _, login := range []string{goodLogin, "unknown"} {
		n := 0
		for n < 50 && h.fail(t.Context(), login) {
			n++
		}
		if n != 10 {
			t.Errorf("%s: refused after %d", login, n)
		}
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 10 {
		h.fail(t.Context(), goodLogin)
	}
	h.pass(time.Hour)
	for i := range 10 {
		if !h.fail(t.Context(), goodLogin) {
			t.Fatalf("failure %d an hour later was refused", i+1)
		}
	}
	if h.fail(t.Context(), goodLogin) {
		t.Error("one too many was looked at")
	}
}

// Others' tries on a login do not keep its holder from where they signed in
// before, nor do tries from one place keep out another for more than a minute.
func TestAHolderIsNotLockedOutByOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.holder()
	at := signin.From(t.Context(), home)
	signIn := func(ctx context.Context) error {
		c, err := h.doors.Begin(ctx, goodLogin, goodPassword)
		if err != nil {
			return err
		}
		_, err = h.doors.Finish(ctx, c.ID, h.post.lastCode(t))
		return err
	}
	h.must(signIn(at))
	for i := range 500 { // from everywhere
		h.fail(signin.From(t.Context(), netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})), goodLogin)
	}
	if err := signIn(signin.From(t.Context(), cafe)); !errs.Is(err, errs.Unavailable) {
		t.Errorf("at a new place, in the midst of it: %v", err)
	}
	if err := signIn(at); err != nil {
		t.Errorf("at home, in the midst of it: %v", err)
	}
	for range 500 {
		h.fail(signin.From(t.Context(), cafe), goodLogin)
	}
	h.pass(time.Minute)
	if err := signIn(signin.From(t.Context(), netip.MustParseAddr("192.0.2.99"))); err != nil {
		t.Errorf("at a new place, a minute later: %v", err)
	}
}

// One place that tries many logins is slowed down as a place; an IPv6 network
// is one place.
func TestAPlaceThatTriesManyLogins(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, at := range map[string]func(i int) netip.Addr{
		"IPv4":           func(int) netip.Addr { return cafe },
		"IPv4 in IPv6":   func(int) netip.Addr { return netip.MustParseAddr("::ffff:198.51.100.8") },
		"an IPv6 subnet": func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)) },
	} {
		n := 0
		for n < 100 && h.fail(signin.From(t.Context(), at(n)), fmt.Sprintf("%d.%d", len(name), n)) {
			n++
		}
		if n != 50 {
			t.Errorf("%s: refused after %d", name, n)
		}
	}
	if !h.fail(signin.From(t.Context(), home), "somebody") {
		t.Error("another place is slowed down with it")
	}
	if !h.fail(signin.From(t.Context(), netip.MustParseAddr("2001:db8:0:1::1")), "somebody") {
		t.Error("the network beside it is slowed down with it")
	}
}

// Tries side by side count as if they came one after the other.
func TestTriesSideBySideCount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var mu sync.Mutex
	looked := 0
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if h.fail(t.Context(), goodLogin) {
				mu.Lock()
				defer mu.Unlock()
				looked++
			}
		})
	}
	wg.Wait()
	if looked > 10 {
		t.Errorf("%d were looked at", looked)
	}
}

// A wrong code counts like a wrong password.
func TestWrongCodesCount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.holder()
	wrong := 0
	for wrong < 100 {
		c, err := h.doors.Begin(t.Context(), goodLogin, goodPassword)
		if errs.Is(err, errs.Unavailable) {
			break
		}
		h.must(err)
		for range 4 {
			h.doors.Finish(t.Context(), c.ID, otherCode(h.post.lastCode(t)))
			wrong++
		}
	}
	if wrong > 12 {
		t.Errorf("%d wrong codes before the first wait", wrong)
	}
}

func TestAClockPutBackLocksNobodyOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.holder()
	for range 12 {
		h.fail(t.Context(), goodLogin)
	}
	h.pass(-24 * time.Hour)
	h.fail(t.Context(), goodLogin)
	h.pass(time.Minute)
	h.signIn()
}

func TestThrottleMemoryIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *signin.Config) { c.Throttle.MaxEntries = 4 })
	for range 10 {
		h.fail(t.Context(), "first")
	}
	if h.fail(t.Context(), "first") {
		t.Fatal("not slowed down")
	}
	for i := range 3 {
		h.fail(t.Context(), fmt.Sprint("other", i))
	}
	if h.fail(t.Context(), "first") {
		t.Error("forgotten while there is room")
	}
	h.fail(t.Context(), "one too many")
	if !h.fail(t.Context(), "first") {
		t.Error("remembered beyond the bound")
	}
}
