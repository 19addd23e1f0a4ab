package mailbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pli/audit"
	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/space"
	"pli/store"
	"pli/store/names"
)

// holder makes a space with a mailbox.
func (h *house) holder(state space.State) *person {
	h.t.Helper()
	matricule := fmt.Sprintf("2790351215%05d", len(h.made))
	ins, err := identity.ParseINS(matricule, identity.OIDTestNIR, identity.INSOptions{AllowTest: true})
	h.must(err)
	address, err := identity.ParseAddress(matricule + "@patient.pli.test")
	h.must(err)
	spaces := space.NewService(space.Config{DB: h.db, Names: names.New(h.db, [32]byte{1}), Now: h.clock})
	home, err := spaces.Add(h.t.Context(), space.New{INS: ins, Address: address, State: state, Contact: "paule@example.org"})
	h.must(err)
	return h.owner(home.ID)
}

// self is the holder of a space.
func (p *person) self() identity.Actor {
	return identity.Actor{Kind: identity.Holder, ID: string(p.owner), Account: string(p.owner)}
}

func (p *person) openAs(actor identity.Actor) (*mailbox.Account, error) {
	a, err := p.h.mail.Open(p.h.t.Context(), actor, p.owner, p.keys)
	if err == nil {
		p.h.t.Cleanup(a.Close)
	}
	return a, err
}

// trace returns a space's lines as "outcome act", oldest first.
func (p *person) trace() (lines []string) {
	p.h.t.Helper()
	p.h.must(p.h.db.View(p.h.t.Context(), p.owner, func(tx store.Tx) error {
		list, err := audit.List(tx, 0, 100)
		for _, e := range slices.Backward(list) {
			lines = append(lines, fmt.Sprintf("%v %s", e.Outcome, e.Act))
			if e.Title != "" {
				p.h.t.Errorf("a line about mail has a title: %q", e.Title)
			}
		}
		return err
	}))
	return lines
}

// C4: a holder's own reading is one line a session and one for each message
// first displayed.
func TestReadingASpaceIsTraced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.holder(space.Active)
	for range 40 {
		h.deliver(letter("m", "text"), paule)
	}
	want := func(lines ...string) {
		t.Helper()
		if got := paule.trace(); !slices.Equal(got, lines) {
			t.Errorf("trace: %q, want %q", got, lines)
		}
	}
	a, err := paule.openAs(paule.self())
	h.must(err)
	_, err = paule.openAs(paule.self())
	h.must(err)
	want("permit mail.open")
	h.now.Add(3599)
	_, err = paule.openAs(paule.self())
	h.must(err)
	want("permit mail.open")
	h.now.Add(1)
	_, err = paule.openAs(paule.self())
	h.must(err)
	want("permit mail.open", "permit mail.open")

	v := paule.view(a, mailbox.Inbox)
	seen := []mailbox.Flag{mailbox.Seen}
	store := func(op mailbox.FlagOp, uids ...mailbox.UID) {
		t.Helper()
		_, err := v.Store(ctx, uids, op, seen, 0)
		h.must(err)
	}
	h.list(v) // a list is no display
	_, err = v.Copy(ctx, []mailbox.UID{2}, "Archive")
	h.must(err)
	store(mailbox.FlagsAdd, 1, 2)
	want("permit mail.open", "permit mail.open", "permit mail.display", "permit mail.display")
	store(mailbox.FlagsRemove, 1)
	store(mailbox.FlagsSet, 1, 2)
	archive := paule.view(a, "Archive")
	_, err = archive.Store(ctx, nil, mailbox.FlagsAdd, seen, 0) // the copy of what was displayed
	h.must(err)
	_, err = v.Move(ctx, []mailbox.UID{1}, "Trash")
	h.must(err)
	trash := paule.view(a, "Trash")
	_, err = trash.Store(ctx, nil, mailbox.FlagsRemove, seen, 0)
	h.must(err)
	_, err = trash.Store(ctx, nil, mailbox.FlagsAdd, seen, 0)
	h.must(err)
	if got := len(paule.trace()); got != 4 {
		t.Errorf("%d lines: displayed again is no line", got)
	}
	done, err := v.Store(ctx, []mailbox.UID{3, 4}, mailbox.FlagsAdd, seen, v.Box().HighestModSeq) // RFC 7162 3.1.3
	h.must(err)
	if len(done) != 2 || len(paule.trace()) != 6 {
		t.Errorf("a conditional display: %v, %d lines", done, len(paule.trace()))
	}
	store(mailbox.FlagsAdd) // all
	if got := paule.trace(); len(got) != 4+38 || v.Box().Unseen != 0 {
		t.Errorf("%d lines, %d unseen", len(got), v.Box().Unseen)
	}
	wantTold(t, v, true, "gone [1]")
}

// C7: what is refused is traced too, and changes nothing.
func TestWhoHasNoRightIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	paule := h.holder(space.Active)
	for range 3 {
		h.deliver(letter("m", "text"), paule)
	}
	doctor := identity.Actor{Kind: identity.Professional, ID: "10001234567"}
	if _, err := paule.openAs(doctor); !errs.Is(err, errs.Denied) {
		t.Errorf("a doctor opens: %v", err)
	}
	a, err := paule.openAs(paule.self())
	h.must(err)
	v := paule.view(a, mailbox.Inbox)
	spaces := space.NewService(space.Config{DB: h.db, Names: names.New(h.db, [32]byte{1}), Now: h.clock})
	h.must(spaces.SetState(ctx, paule.owner, space.Closed))
	if _, err := v.Store(ctx, nil, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0); !errs.Is(err, errs.Denied) {
		t.Errorf("display in a closed space: %v", err)
	}
	if v.Box().Unseen != 3 {
		t.Errorf("a refused display marks: %+v", v.Box())
	}
	if _, err := paule.openAs(paule.self()); !errs.Is(err, errs.Denied) {
		t.Errorf("opening a closed space within the hour: %v", err)
	}
	want := []string{"deny mail.open", "permit mail.open", "deny mail.display", "deny mail.open"}
	if got := paule.trace(); !slices.Equal(got, want) {
		t.Errorf("trace: %q", got)
	}
}

// Members' accounts are not spaces: no gate, no trace.
func TestMembersAccountsHaveNoGate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	rose := h.person("rose")
	h.deliver(letter("m", "text"), rose)
	v := rose.view(rose.open(), mailbox.Inbox)
	_, err := v.Store(t.Context(), nil, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
	h.must(err)
	if got := rose.trace(); len(got) != 0 || !strings.HasPrefix(string(rose.owner), "m/") {
		t.Errorf("trace: %q", got)
	}
}
