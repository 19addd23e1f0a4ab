package imapd_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/audit"
	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox/imapd"
	"pli/signin"
	"pli/space"
	"pli/store"
)

// RFC 4616, RFC 4959
func TestAuthenticatePlain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	plain := func(parts ...string) string {
		return base64.StdEncoding.EncodeToString([]byte(strings.Join(parts, "\x00")))
	}
	w := h.dial()
	w.ok("AUTHENTICATE PLAIN %s", plain("", h.user, h.pass))
	w.ok("SELECT INBOX")

	w = h.dial()
	w.send("a AUTHENTICATE PLAIN\r\n")
	if line := w.line(); !strings.HasPrefix(line, "+ ") {
		t.Errorf("challenge: %q", line)
	}
	w.send(plain(h.user, h.user, h.pass) + "\r\n")
	if _, answer := w.until("a"); !strings.HasPrefix(answer, "OK") {
		t.Errorf("AUTHENTICATE: %q", answer)
	}
	w.expect("BAD", "AUTHENTICATE PLAIN %s", plain("", h.user, h.pass)) // twice

	w = h.dial()
	w.expect("NO [AUTHORIZATIONFAILED]", "AUTHENTICATE PLAIN %s", plain("somebody", h.user, h.pass))
	w.expect("NO [AUTHENTICATIONFAILED]", "AUTHENTICATE PLAIN %s", plain("", h.user, "wrong"))
	w.send("b AUTHENTICATE PLAIN\r\n")
	w.line()
	w.send("*\r\n")
	if _, answer := w.until("b"); !strings.HasPrefix(answer, "BAD") {
		t.Errorf("cancelled: %q", answer)
	}
	w.send("c AUTHENTICATE PLAIN\r\n")
	w.line()
	w.send("c LOGIN x {5+}\r\n") // what is a command elsewhere is an answer here
	if _, answer := w.until("c"); !strings.HasPrefix(answer, "BAD") {
		t.Errorf("no base64: %q", answer)
	}
	w.ok("NOOP")
}

// answering is a sign-in that fails in its own way.
type answering struct {
	imapd.SignIn
	err error
}

func (a answering) Mail(context.Context, string, string) (*signin.Opened, error) { return nil, a.err }

// The text of a failure inside never leaves; other kinds have their code.
func TestFailuresTurnedOutward(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("open /var/canary: disk on fire"), "NO [SERVERBUG] something went wrong on our side; try again later"},
		{errs.New(errs.Internal, "canary"), "NO [SERVERBUG] something went wrong on our side; try again later"},
		{errs.Wrap(errors.New("canary"), errs.Unavailable, "busy"), "NO [UNAVAILABLE] busy"},
		{errs.New(errs.Unauthenticated, "wrong"), "NO [AUTHENTICATIONFAILED] wrong"},
		{errs.New(errs.Denied, "two\r\nlines é"), "NO [NOPERM] two??lines ?"},
		{errs.New(errs.TooLarge, "[ALERT] x"), "NO [LIMIT] ALERT] x"},
		{errs.New(errs.Invalid, "%s", strings.Repeat("x", 300)), "NO [CANNOT] " + strings.Repeat("x", 200)},
	} {
		var log syncBuffer
		h := newHouse(t, func(cfg *imapd.Config) { cfg.Signin, cfg.Log = answering{err: c.err}, log.logger() })
		if _, answer := h.dial().do("LOGIN a b"); answer != c.want {
			t.Errorf("%v: %q, want %q", c.err, answer, c.want)
		}
		if errs.Is(c.err, errs.Internal) && !strings.Contains(log.String(), "canary") {
			t.Errorf("%v: not in the log", c.err)
		}
	}
}

// holder makes the house's member the holder of an active space.
func (h *house) holder() (*space.Service, store.Owner) {
	h.t.Helper()
	ctx := context.Background()
	ins := get(identity.ParseINS("279035121500001", identity.OIDTestNIR, identity.INSOptions{AllowTest: true}))(h)
	address := get(identity.ParseAddress("279035121500001@patient.pli.test"))(h)
	spaces := space.NewService(space.Config{DB: h.db, Names: h.names, Now: time.Now})
	home := get(spaces.Add(ctx, space.New{INS: ins, Address: address, State: space.Active}))(h)
	actor := identity.Actor{Kind: identity.Holder, ID: string(home.ID), Account: string(home.ID)}
	h.must(h.door.Provision(ctx, home.ID, signin.Profile{Actor: actor, Address: address}))
	h.must(h.db.Update(ctx, home.ID, h.mail.Provision))
	h.owner, h.user = home.ID, address.String()
	h.pass = get(h.door.AddMailPassword(ctx, home.ID, nil, "test"))(h)
	return spaces, home.ID
}

// traced returns a space's trace, oldest first, as "outcome act".
func (h *house) traced(id store.Owner) (lines []string) {
	h.t.Helper()
	h.must(h.db.View(h.t.Context(), id, func(tx store.Tx) error {
		lines = nil
		list, err := audit.List(tx, 0, 100)
		for _, e := range slices.Backward(list) {
			lines = append(lines, fmt.Sprintf("%v %s", e.Outcome, e.Act))
		}
		return err
	}))
	return lines
}

// A holder's reading over IMAP passes the gate and is traced; when the space is
// closed, nothing is shown any more. // C4 C7
func TestHolderReads(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	spaces, id := h.holder()
	h.deliver(letter("one", "x"))
	h.deliver(letter("two", "canary"))
	w := h.inbox()
	w.ok("FETCH 1:* (ENVELOPE BODY.PEEK[HEADER])")
	w.ok("FETCH 1 BODY[]")
	w.ok("FETCH 1 BODY[]")
	if got := h.traced(id); !slices.Equal(got, []string{"permit mail.open", "permit mail.display"}) {
		t.Errorf("trace: %q", got)
	}
	h.must(spaces.SetState(t.Context(), id, space.Closed))
	said, answer := w.do("FETCH 2 BODY[]")
	if !strings.HasPrefix(answer, "NO [NOPERM]") || strings.Contains(strings.Join(said, ""), "canary") {
		t.Errorf("after closing: %q %q", said, answer)
	}
	h.dial().expect("NO [NOPERM]", "LOGIN %s %s", h.user, h.pass)
}
