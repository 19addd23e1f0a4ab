package signin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/signin"
)

// opened signs a mail client in and watches its session.
func (h *house) opened(secret string) (o *signin.Opened, ended chan struct{}, stop func()) {
	h.t.Helper()
	o, err := h.doors.Mail(h.t.Context(), paule, secret)
	h.must(err)
	ended = make(chan struct{}, 10)
	return o, ended, h.doors.Watch(o.Account, o.Slot, func() { ended <- struct{}{} })
}

// told reports whether a session was told to end, exactly once.
func told(ended chan struct{}) bool {
	select {
	case <-ended:
	case <-time.After(time.Second):
		return false
	}
	time.Sleep(20 * time.Millisecond)
	return len(ended) == 0
}

// A removed mail password ends the sessions that it opened and no other; all
// end with the account's everything.
func TestWhoseSessionsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	phone, tablet := h.phone(owner, "téléphone"), h.phone(owner, "tablette")
	o, first, _ := h.opened(phone)
	_, second, _ := h.opened(phone)
	_, left, stop := h.opened(phone)
	other, onTablet, _ := h.opened(tablet)
	without := make(chan struct{}, 1)
	h.doors.Watch(owner, "", func() { without <- struct{}{} })
	stranger := make(chan struct{}, 1)
	h.doors.Watch("m/stranger", o.Slot, func() { stranger <- struct{}{} })
	stop()
	stop()
	h.must(h.doors.RemoveMailPassword(t.Context(), owner, o.Slot))
	if !told(first) || !told(second) {
		t.Error("the sessions of a removed mail password go on")
	}
	if len(left) != 0 {
		t.Error("told after the watch was stopped")
	}
	if err := h.doors.Holds(t.Context(), owner, o.Slot); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("the removed slot: %v", err)
	}
	h.must(h.doors.Holds(t.Context(), owner, other.Slot))
	h.must(h.doors.Holds(t.Context(), owner, ""))
	if len(onTablet) != 0 || len(without) != 0 {
		t.Error("another client's session ended")
	}
	h.doors.RevokeAll(owner)
	if !told(onTablet) || !told(without) {
		t.Error("sessions outlive the end of everything")
	}
	if len(stranger) != 0 {
		t.Error("another account's session ended")
	}
	if err := h.doors.Holds(t.Context(), "m/stranger", ""); !errs.Is(err, errs.NotFound) {
		t.Errorf("an account that is not there: %v", err)
	}
}

// What another process removed is seen by asking.
func TestARemovalElsewhereIsSeen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	owner := h.holder()
	o, _, _ := h.opened(h.phone(owner, "téléphone"))
	h.must(h.restart().RemoveMailPassword(t.Context(), owner, o.Slot))
	if err := h.doors.Holds(t.Context(), owner, o.Slot); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("removed elsewhere: %v", err)
	}
}

// Refusals of mail clients come at one time, whatever the reason; who waits
// for one may leave.
func TestMailRefusalsTakeAsLong(t *testing.T) {
	t.Parallel()
	const floor = 60 * time.Millisecond
	h := newHouse(t, func(c *signin.Config) { c.Now, c.MailFloor = time.Now, floor })
	owner := h.holder()
	secret := h.phone(owner, "téléphone")
	last := secret[len(secret)-1:]
	wrong := strings.TrimSuffix(secret, last) + map[bool]string{true: "b", false: "a"}[last == "a"]
	for _, c := range []struct{ what, address, secret string }{
		{"wrong", paule, wrong}, {"wrong again", paule, wrong}, {"unknown", "nobody@patient.pli.test", wrong},
		{"no address", "nobody", wrong}, {"no secret", paule, "x"},
	} {
		patiently(t, c.what, func() (ok bool, d time.Duration) {
			start := time.Now()
			if _, err := h.doors.Mail(t.Context(), c.address, c.secret); !errs.Is(err, errs.Unauthenticated) && !errs.Is(err, errs.Unavailable) {
				t.Errorf("%s: %v", c.what, err)
			}
			if d = time.Since(start); d < floor {
				t.Errorf("%s: answered after %v", c.what, d)
			}
			return d%floor <= floor/2, d
		})
	}
	patiently(t, "a right one", func() (bool, time.Duration) {
		start := time.Now()
		o, err := h.doors.Mail(t.Context(), paule, secret)
		h.must(err)
		o.Keys.Wipe()
		d := time.Since(start)
		return d < floor, d
	})
	patiently(t, "who left", func() (bool, time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		h.doors.Mail(ctx, paule, wrong)
		d := time.Since(start)
		return d < floor, d
	})
}

// patiently fails unless one of a few tries takes the time that it should: a
// busy machine makes any one of them late.
func patiently(t *testing.T, what string, try func() (ok bool, took time.Duration)) {
	t.Helper()
	var took []time.Duration
	for range 8 {
		ok, d := try()
		if ok {
			return
		}
		took = append(took, d)
	}
	t.Errorf("%s: answered after %v", what, took)
}

// A subject is shown on locked screens: the code is in the body alone.
func TestTheCodeIsNotInTheSubject(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.holder()
	_, code := h.begin()
	if sent := h.post.sent[0]; strings.Contains(sent.Subject, code) || sixDigits.MatchString(sent.Subject) {
		t.Errorf("subject %q", sent.Subject)
	}
}
