package web

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/mss"
	"pli/web/compose"
)

// writing is a message on its way from the form.
type writing struct {
	page   *writePage // the form as it was filled in, to show again
	form   *upload
	letter compose.Letter
	to     []identity.Address
	desk   *desk
	answer *opened // the answered message, nil if there is none
	draft  *opened // the draft that this goes on with, nil if there is none
	keep   map[string]bool
	free   func()
}

func (w *writing) close() {
	w.desk.Close()
	w.free()
}

// written reads the form's fields; its files are still to come.
func (v *visit) written() (*writing, error) {
	account := string(v.session.Account)
	if err := v.uploads.take(account); err != nil {
		return nil, sorry(err, "err.busy")
	}
	w := &writing{free: func() { v.uploads.give(account) }, keep: map[string]bool{}}
	v.moreTime(v.UploadTime)
	err := v.readWriting(w)
	if err != nil {
		if w.desk != nil {
			w.desk.Close()
		}
		w.free()
		return nil, err
	}
	return w, nil
}

func (v *visit) readWriting(w *writing) (err error) {
	if w.form, err = v.upload(); err != nil {
		return err
	}
	if w.page, err = v.newPage(); err != nil {
		return err
	}
	f, p := w.form, w.page
	p.To, p.Subject, p.Text = strings.TrimSpace(f.Get("to")), oneLine(f.Get("subject")), f.Get("text")
	p.ReplyBox, p.ReplyUID, p.Draft = f.Get("reply-box"), f.Get("reply-uid"), f.Get("draft")
	p.Fixed, p.ToName, p.End = f.Get("fixed") != "", f.Get("to-name"), p.MayEnd && f.Get("end") != ""
	for _, path := range f.Values["keep"] {
		w.keep[path] = true
	}
	if w.desk, err = v.open(); err != nil {
		return err
	}
	if err := v.lookups(w); err != nil {
		return err
	}
	w.letter = compose.Letter{
		From:    compose.Person{Name: oneLine(v.session.Actor.Name), Address: v.session.Address.String()},
		Subject: p.Subject, Date: v.now(), Text: p.Text, Ends: p.End,
		MessageID: strings.ToLower(rand.Text()) + "@" + v.session.Address.Domain(), Boundary: strings.ToLower(rand.Text()),
	}
	v.thread(w)
	return nil
}

// lookups finds the answered message and the draft that the form names.
func (v *visit) lookups(w *writing) error {
	find := func(slug, number string) (*opened, error) {
		uid, err := uidOf(number)
		if err != nil {
			return nil, err
		}
		o := &opened{desk: w.desk, slug: slug, uid: uid}
		if o.view, err = w.desk.look(v, slug, false); err != nil {
			return nil, err
		}
		o.Message, err = o.view.Message(v.r.Context(), uid)
		return o, err
	}
	var err error
	if w.page.ReplyUID != "" {
		// An answer outlives the message that it answers.
		if w.answer, err = find(w.page.ReplyBox, w.page.ReplyUID); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		} else if err != nil {
			w.answer = nil
		}
	}
	if w.page.Draft != "" {
		if w.draft, err = find("drafts", w.page.Draft); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		} else if err != nil {
			w.draft = nil
		}
	}
	if w.draft != nil {
		v.keptView(w)
	}
	return nil
}

// keptView lists the draft's files on the form, should it be shown again.
func (v *visit) keptView(w *writing) {
	r := read(w.draft.Index, true)
	for _, piece := range append(r.files, r.calendar...) {
		w.page.Kept = append(w.page.Kept, v.fileOf(w.draft, piece))
	}
}

// thread ties the letter to what it answers (RFC 5322 3.6.4).
func (v *visit) thread(w *writing) {
	switch {
	case w.answer != nil && w.answer.Index != nil:
		env := w.answer.Index.Envelope
		w.letter.InReplyTo = tidyID(env.MessageID)
		w.letter.References = tidyIDs(compose.Thread(env.MessageID, env.References))
	case w.draft != nil && w.draft.Index != nil:
		env := w.draft.Index.Envelope
		if len(env.InReplyTo) > 0 {
			w.letter.InReplyTo = tidyID(env.InReplyTo[0])
		}
		w.letter.References = tidyIDs(env.References)
	}
	for _, s := range recipients(w.page.To) {
		if a, err := identity.ParseAddress(s); err == nil {
			w.to = append(w.to, a)
			w.letter.To = append(w.letter.To, compose.Person{Name: v.nameFor(w, a), Address: a.String()})
		}
	}
}

// nameFor returns the name that goes before a recipient's address.
func (v *visit) nameFor(w *writing, a identity.Address) string {
	for _, e := range w.page.Contacts {
		if e.Mailbox.Key() == a.Key() && e.Name != a.String() {
			return oneLine(e.Name)
		}
	}
	if w.answer != nil && w.answer.Index != nil {
		for _, from := range w.answer.Index.Envelope.From {
			if strings.EqualFold(from.String(), a.String()) {
				return oneLine(from.Name)
			}
		}
	}
	return ""
}

// message returns a reader of the whole message, and what its writer ended
// with. The reader must be read to its end or closed.
func (w *writing) message(v *visit) (*io.PipeReader, <-chan error) {
	r, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := w.writeTo(v, out)
		out.CloseWithError(err)
		done <- err
	}()
	return r, done
}

// writeTo writes the message with its files as they arrive.
func (w *writing) writeTo(v *visit, out io.Writer) error {
	mw, err := compose.NewWriter(out, w.letter)
	if err != nil {
		return sorry(errs.Wrap(err, errs.Invalid, "a letter that cannot be written"), "err.invalid")
	}
	if err := w.keptFiles(v, mw); err != nil {
		return err
	}
	for {
		name, r, err := w.form.file()
		if err == io.EOF {
			return mw.Close()
		}
		if err != nil {
			return err
		}
		br := bufio.NewReaderSize(r, 4096)
		head, err := br.Peek(512)
		if err != nil && err != io.EOF {
			return err
		}
		if err := mw.Attach(name, fileType(name, head), br); err != nil {
			return err
		}
	}
}

// send sends what is written.
func (v *visit) send() error {
	w, err := v.written()
	if err != nil {
		v.drain()
		return err
	}
	defer w.close()
	kept, err := v.transmit(w)
	if err != nil {
		return v.backToForm(w, err)
	}
	if w.answer != nil {
		if _, err := w.answer.view.Store(v.r.Context(), []mailbox.UID{w.answer.uid}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Answered}, 0); err != nil {
			v.Log.Warn("answered mark not kept", "err", err)
		}
	}
	v.dropDraft(w)
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
		_, err := w.desk.Append(ctx, string(mailbox.UseSent), []mailbox.Flag{mailbox.Seen}, time.Time{}, r)
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

// recipients takes a list of addresses apart.
func recipients(s string) []string {
	var out []string
	for _, one := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\n' || r == '\r' }) {
		out = append(out, one)
	}
	return out
}

// oneLine makes a header's value of what someone wrote.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimSpace(s)
}

// tidyID returns a Message-ID that may go into a header, else "".
func tidyID(id string) string {
	if id == "" || len(id) > 500 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' }) {
		return ""
	}
	return id
}

func tidyIDs(ids []string) []string {
	var out []string
	for _, id := range ids {
		if id = tidyID(id); id != "" {
			out = append(out, id)
		}
	}
	return out
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
