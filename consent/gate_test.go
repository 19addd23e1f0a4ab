package consent_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"pli/audit"
	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/notify"
	"pli/space"
	"pli/store"
)

func TestAnActAndItsLineAreThere(t *testing.T) { // C4
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	req := consent.Request{Space: home.ID, Act: consent.ActMailDeliver, Object: "msg1", Title: "Dr Rose",
		Detail: map[string]string{"size": "10240"}}
	if err := h.gate.Do(t.Context(), doctor, req, put("letter", "sealed")); err != nil {
		t.Fatal(err)
	}
	if got := h.get(home.ID, "letter"); got != "sealed" {
		t.Errorf("the act left %q", got)
	}
	want := audit.Entry{Seq: 1, At: h.now, Actor: doctor, Act: "mail.deliver", Outcome: audit.Permit, Rule: "delivery",
		Object: "msg1", Title: "Dr Rose", Detail: map[string]string{"size": "10240"}}
	line := h.trace(home.ID)[0]
	line.Prev, line.Hash = [32]byte{}, [32]byte{}
	if !reflect.DeepEqual(line, want) {
		t.Errorf("the line:\n got %+v\nwant %+v", line, want)
	}
}

func TestARefusedAttemptIsTraced(t *testing.T) { // C7
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	req := consent.Request{Space: home.ID, Act: consent.ActDossierList}
	err := h.gate.Do(t.Context(), doctor, req, func(tx store.Tx) error {
		t.Error("what is refused was run")
		return nil
	})
	if !errs.Is(err, errs.Denied) || errs.Public(err) != "nobody has given a right to do this" {
		t.Errorf("Do: %v", err)
	}
	h.wantTrace(home.ID, "deny dossier.list no-right: nobody has given a right to do this")
}

func TestAFailedActIsUndoneAndTraced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cause error
		line  string
	}{
		{errors.New("disk on fire"), "fail mail.deliver delivery: internal"},
		{errs.New(errs.TooLarge, "too large"), "fail mail.deliver delivery: too large"},
		{store.ErrNotFound, "fail mail.deliver delivery: internal"},
		{errs.New(errs.Denied, "the exchange is closed"), "deny mail.deliver delivery: the exchange is closed"}, // C7
	} {
		h := newHouse(t)
		home := h.space(space.Open)
		err := h.gate.Do(t.Context(), doctor, consent.Request{Space: home.ID, Act: consent.ActMailDeliver}, func(tx store.Tx) error {
			if err := put("letter", "half")(tx); err != nil {
				return err
			}
			return c.cause
		})
		if err != c.cause {
			t.Errorf("%v: Do returned %v", c.cause, err)
		}
		if got := h.get(home.ID, "letter"); got != "" {
			t.Errorf("%v: the act left %q", c.cause, got)
		}
		h.wantTrace(home.ID, c.line)
		if len(h.told(home.ID)) > 0 {
			t.Errorf("%v: the holder was told of what did not happen", c.cause)
		}
	}
}

// Whoever asks may be gone when the act fails; its line is written all the same.
func TestAFailureIsTracedWhenTheCallerHasGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Open)
	gate := consent.NewGate(consent.Config{DB: patient{h.db}, Now: h.clock})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	boom := errors.New("boom")
	err := gate.Do(ctx, doctor, consent.Request{Space: home.ID, Act: consent.ActMailDeliver}, func(tx store.Tx) error {
		cancel()
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Do: %v", err)
	}
	h.wantTrace(home.ID, "fail mail.deliver delivery: internal")
}

// patient is a store that ends what it began, whoever has gone.
type patient struct{ store.DB }

func (p patient) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.DB.Update(context.WithoutCancel(ctx), owner, fn)
}

func TestNothingToDoLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	err := h.gate.Do(t.Context(), doctor, consent.Request{Space: home.ID, Act: consent.ActMailDeliver}, func(tx store.Tx) error {
		if err := put("letter", "again")(tx); err != nil {
			return err
		}
		return fmt.Errorf("a repeat: %w", consent.ErrNothing)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.get(home.ID, "letter"); got != "" {
		t.Errorf("the act left %q", got)
	}
	h.wantTrace(home.ID)
	if len(h.told(home.ID)) > 0 {
		t.Error("the holder was told of nothing")
	}
}

func TestWhereThereIsNoSpaceThereIsNoTrace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, owner := range []store.Owner{space.NewOwner(space.Prefix), "m/somebody", "sys/names-00", ""} {
		err := h.gate.Do(t.Context(), doctor, consent.Request{Space: owner, Act: consent.ActMailDeliver}, put("letter", "x"))
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("%q: Do: %v", owner, err)
		}
		err = h.gate.Trace(t.Context(), doctor, consent.Request{Space: owner, Act: consent.ActMailReject}, audit.Deny, "no")
		if !errs.Is(err, errs.NotFound) {
			t.Errorf("%q: Trace: %v", owner, err)
		}
		if owner != "" && h.get(owner, "letter") != "" {
			t.Errorf("%q: something was written", owner)
		}
	}
}

func TestARefusalFoundOutsideIsTraced(t *testing.T) { // C7
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Closed)
	req := consent.Request{Space: home.ID, Act: consent.ActMailReject, Object: "msg2"}
	if err := h.gate.Trace(t.Context(), doctor, req, audit.Deny, "the space is closed"); err != nil {
		t.Fatal(err)
	}
	if err := h.gate.Trace(t.Context(), doctor, req, audit.Fail, "the disk is full"); err != nil {
		t.Fatal(err)
	}
	if err := h.gate.Trace(t.Context(), doctor, req, audit.Permit, "trust me"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a permit from outside: %v", err)
	}
	h.wantTrace(home.ID, "fail mail.reject : the disk is full", "deny mail.reject : the space is closed")
}

// The facts of a document are those of the moment of the act.
func TestDocumentFactsAreReadInTheTransaction(t *testing.T) { // B6 B7
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	me := self(home)
	var flags []string
	gone := false
	read := func(who identity.Actor) error {
		return h.gate.Do(t.Context(), who, consent.Request{
			Space: home.ID, Act: consent.ActDossierRead, Object: "d1", Title: "Compte rendu",
			Load: func(tx store.Tx) (*consent.DocumentFacts, error) {
				if gone {
					return nil, errs.New(errs.NotFound, "there is no such document")
				}
				return &consent.DocumentFacts{ID: "d1", Author: doctor, Confidentiality: flags}, nil
			},
		}, func(tx store.Tx) error { return nil })
	}
	if err := read(me); err != nil {
		t.Errorf("the holder: %v", err)
	}
	flags = []string{"N", consent.InvisibleToPatient}
	hidden := read(me)
	if err := read(doctor); err != nil {
		t.Errorf("the author: %v", err)
	}
	if err := read(nurse); !errs.Is(err, errs.Denied) {
		t.Errorf("another professional: %v", err)
	}
	gone = true
	absent := read(me)
	if !errs.Is(hidden, errs.NotFound) || hidden.Error() != absent.Error() {
		t.Errorf("what is hidden reads %v, what is absent %v", hidden, absent)
	}
	if err := read(nurse); !errs.Is(err, errs.Denied) {
		t.Errorf("another professional, of what is not there: %v", err)
	}
	lines := h.trace(home.ID)
	if len(lines) != 6 {
		t.Fatalf("%d lines, want 6", len(lines))
	}
	if hid, abs := lines[4], lines[1]; hid.Title != "" || hid.Rule != abs.Rule || hid.Outcome != audit.Deny || hid.Reason != abs.Reason {
		t.Errorf("the trace tells what is hidden: %+v, absent: %+v", hid, abs)
	}
}

func TestAnErrorInTheFactsIsNoPermit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	boom := errors.New("boom")
	err := h.gate.Do(t.Context(), self(home), consent.Request{Space: home.ID, Act: consent.ActDossierRead,
		Load: func(store.Tx) (*consent.DocumentFacts, error) { return nil, boom }}, put("letter", "x"))
	if !errors.Is(err, boom) || h.get(home.ID, "letter") != "" {
		t.Errorf("Do: %v", err)
	}
}

func TestTheHolderIsTold(t *testing.T) { // C5
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	do := func(who identity.Actor, act consent.Act, doc *consent.DocumentFacts) {
		t.Helper()
		if err := h.gate.Do(t.Context(), who, consent.Request{Space: home.ID, Act: act, Document: doc}, func(store.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	own := &consent.DocumentFacts{Author: doctor}
	do(self(home), consent.ActMailOpen, nil)
	do(self(home), consent.ActDossierRead, own)
	if got := h.told(home.ID); len(got) != 0 {
		t.Fatalf("holders are told of what they did themselves: %v", got)
	}
	do(doctor, consent.ActMailDeliver, nil)
	do(nurse, consent.ActMailDeliver, nil)
	do(doctor, consent.ActDossierRead, own)
	got := h.told(home.ID)
	if len(got) != 2 {
		t.Fatalf("%d notices, want one for letters and one for the look: %v", len(got), got)
	}
	for key, n := range got {
		if n.To != home.Contact || n.Kind == "" || n.Subject == "" || n.Body == "" || key != "holder/"+n.Kind {
			t.Errorf("%s: %+v", key, n)
		}
	}
	if got["holder/message"].Kind != consent.KindMessage || got["holder/access"].Kind != consent.KindAccess {
		t.Errorf("told of %v", got)
	}
}

func TestNobodyIsToldWhereThereIsNoContact(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	home := h.spaceOf(space.Active, "")
	if err := h.gate.Do(t.Context(), doctor, consent.Request{Space: home.ID, Act: consent.ActMailDeliver}, put("letter", "x")); err != nil {
		t.Fatal(err)
	}
	if got := h.told(home.ID); len(got) != 0 {
		t.Errorf("told: %v", got)
	}
}

// What the holder must be told is as necessary as the trace: without it, no act.
func TestAnActIsUndoneWhenItsNoticeCannotBeWritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	gate := consent.NewGate(consent.Config{DB: h.db, Now: h.clock, Outbox: brokenOutbox{}})
	err := gate.Do(t.Context(), doctor, consent.Request{Space: home.ID, Act: consent.ActMailDeliver}, put("letter", "x"))
	if err == nil || h.get(home.ID, "letter") != "" || len(h.trace(home.ID)) != 0 {
		t.Errorf("Do: %v; act %q, %d lines", err, h.get(home.ID, "letter"), len(h.trace(home.ID)))
	}
}

type brokenOutbox struct{}

func (brokenOutbox) Enqueue(store.Tx, string, notify.Notice, time.Time) error {
	return errors.New("no room for notices")
}

// Without a trace there is no act.
func TestAnActIsUndoneWhenItsLineCannotBeWritten(t *testing.T) { // C4
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	if err := h.db.Update(t.Context(), home.ID, put("audit/~head", "broken")); err != nil {
		t.Fatal(err)
	}
	err := h.gate.Do(t.Context(), doctor, consent.Request{Space: home.ID, Act: consent.ActMailDeliver}, put("letter", "x"))
	if !errors.Is(err, audit.ErrBroken) || h.get(home.ID, "letter") != "" {
		t.Errorf("Do: %v; act %q", err, h.get(home.ID, "letter"))
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Active)
	const n = 40
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			act := consent.ActMailDeliver
			if i%4 == 0 {
				act = consent.ActMailOpen // refused to a doctor
			}
			err := h.gate.Do(t.Context(), doctor, consent.Request{Space: home.ID, Act: act}, put(fmt.Sprintf("letter%d", i), "x"))
			if (err == nil) == (i%4 == 0) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if err := h.db.View(t.Context(), home.ID, func(tx store.Tx) error {
		lines, err := audit.Verify(tx)
		if lines != n {
			t.Errorf("%d lines, want %d", lines, n)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
