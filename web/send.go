package web

import (
	"context"
	"errors"
	"io"
	"strings"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/mss"
)

// send sends what is written.
func (v *visit) send() error {
	w, err := v.written("send")
	if err != nil {
		v.drain()
		return err
	}
	defer w.close()
	uid, err := v.repeated(w, mailbox.UseSent)
	kept := uid != 0
	if err == nil && !kept {
		kept, err = v.transmit(w)
	}
	if err != nil {
		return v.backToForm(w, err)
	}
	if w.answer != nil {
		if _, err := w.answer.view.Store(v.r.Context(), []mailbox.UID{w.answer.uid}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Answered}, 0); err != nil {
			v.Log.Warn("answered mark not kept", "err", err)
		}
	}
	if kept { // else the draft is all that the writer has of it
		v.dropDraft(w)
	}
	n := note{Key: "note.sent", Link: &noteRef{Href: "/mail/sent", Key: "note.sent.link"}}
	if !kept {
		n = note{Key: "note.sent.nocopy"}
	}
	v.leave(n)
	if w.answer != nil {
		v.goTo(w.answer.href(""))
	} else {
		v.goTo("/mail/inbox")
	}
	return nil
}

// transmit gives the message to the messaging space, and a copy of it to the
// box of sent mail. kept tells whether the copy is there.
func (v *visit) transmit(w *writing) (kept bool, err error) {
	if err := w.check(); err != nil {
		return false, err
	}
	ctx := v.r.Context()
	sender := mss.Sender{Actor: v.session.Actor, Addresses: []identity.Address{v.session.Address}, Account: v.session.Account}
	tr, err := v.MSS.FromMember(ctx, sender, v.session.Address.String(), mss.Params{
		Body: "8BITMIME", SMTPUTF8: true, Protocol: "HTTPS", Remote: v.r.RemoteAddr, Helo: "portal",
	})
	if err != nil {
		return false, err
	}
	defer tr.Close()
	for _, to := range w.to {
		if err := tr.Rcpt(ctx, to.String(), mss.RcptParams{}); err != nil {
			return false, err
		}
	}
	whole, done := w.message(v)
	c := v.copyTo(ctx, w)
	_, err = tr.Data(ctx, io.TeeReader(whole, c))
	whole.CloseWithError(errors.Join(err, io.ErrClosedPipe))
	if failed := <-done; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		err = failed // why the message broke off says more than that it did
	}
	return c.end(err), err
}

// check refuses what cannot be sent before anything is.
func (w *writing) check() error {
	switch {
	case w.page.To == "":
		return sorry(errs.New(errs.Invalid, "no recipient"), "err.send.nobody")
	case len(w.to) < len(recipients(w.page.To)):
		return sorry(errs.New(errs.Invalid, "an address that is none"), "err.send.address")
	case strings.TrimSpace(w.page.Text) == "" && w.form.pending == nil && len(w.keep) == 0:
		return sorry(errs.New(errs.Invalid, "nothing written"), "err.send.empty")
	}
	return nil
}

// sentCopy is the copy of a message in the box of sent mail: it is kept only
// when the message was taken.
type sentCopy struct {
	w      *io.PipeWriter
	result chan error
	log    func(error)
	failed bool
}

func (v *visit) copyTo(ctx context.Context, w *writing) *sentCopy {
	r, out := io.Pipe()
	c := &sentCopy{w: out, result: make(chan error, 1), log: func(err error) { v.Log.Warn("sent copy not kept", "err", err) }}
	go func() {
		_, err := v.appendOnce(ctx, w, mailbox.UseSent, []mailbox.Flag{mailbox.Seen}, r)
		r.CloseWithError(errors.Join(err, io.ErrClosedPipe))
		c.result <- err
	}()
	return c
}

// Write takes the next bytes. A copy that fails must not stop the message.
func (c *sentCopy) Write(p []byte) (int, error) {
	if !c.failed {
		if _, err := c.w.Write(p); err != nil {
			c.failed = true
		}
	}
	return len(p), nil
}

// end keeps the copy if the message was taken, and tells whether it is there.
func (c *sentCopy) end(sent error) bool {
	if sent != nil {
		c.w.CloseWithError(sent)
		<-c.result
		return false
	}
	c.w.Close()
	err := <-c.result
	if err != nil {
		c.log(err)
	}
	return err == nil
}

// backToForm shows the form again, as it was filled in, and what was wrong.
func (v *visit) backToForm(w *writing, err error) error {
	lost := w.form.pending != nil || w.form.files > 0
	v.drain()
	status := statusOf(err)
	if status >= 500 {
		v.Log.Error("message not sent", "err", err)
	}
	p := w.page
	p.Error, p.Lost = wordsOf(err), lost
	v.formPage = "/write"
	if w.answer != nil {
		p.Back = w.answer.href("")
		v.formPage = w.answer.href("/reply")
	}
	for i := len(p.Kept) - 1; i >= 0; i-- {
		if !w.keep[p.Kept[i].Path] {
			p.Kept = append(p.Kept[:i], p.Kept[i+1:]...)
		}
	}
	return v.showWrite(status, p)
}
