package web

import (
	"bufio"
	"io"
	"strings"

	"pli/identity"
	"pli/internal/errs"
	"pli/web/compose"
)

// writing is a message on its way from the form.
type writing struct {
	page   *writePage // the form as it was filled in, to show again
	form   *upload
	stamp  stamp
	letter compose.Letter
	to     []identity.Address
	desk   *desk
	answer *opened // the answered message, nil if there is none
	draft  *opened // the draft that this goes on with, nil if there is none
	keep   map[string]bool
	free   func()
}

// close ends the writing, however far it came.
func (w *writing) close() {
	if w.desk != nil {
		w.desk.Close()
	}
	w.free()
}

// written reads the form's fields; its files are still to come. use says what
// becomes of the letter.
func (v *visit) written(use string) (*writing, error) {
	account := string(v.session.Account)
	if err := v.uploads.take(account); err != nil {
		return nil, sorry(err, "err.busy")
	}
	w := &writing{free: func() { v.uploads.give(account) }, keep: map[string]bool{}}
	v.moreTime(v.UploadTime)
	if err := v.readWriting(w, use); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (v *visit) readWriting(w *writing, use string) (err error) {
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
	if w.stamp, err = v.readStamp(f.Get("letter")); err != nil {
		return err
	}
	p.Stamp = w.stamp.text
	w.letter = compose.Letter{
		From:    compose.Person{Name: oneLine(v.session.Actor.Name), Address: v.session.Address.String()},
		Subject: p.Subject, Date: w.stamp.at, Text: p.Text, Ends: p.End,
		MessageID: v.letterName(use, w.stamp, w) + "@" + v.session.Address.Domain(), Boundary: v.letterName(use+" boundary", w.stamp, w),
	}
	if err := v.takeTurn(w); err != nil {
		return err
	}
	if w.desk, err = v.open(); err != nil {
		return err
	}
	if err := v.lookups(w); err != nil {
		return err
	}
	v.thread(w)
	return nil
}

// takeTurn waits until no other request works on the same letter, so that what
// that one has done is seen.
func (v *visit) takeTurn(w *writing) error {
	id, free := w.letter.MessageID, w.free
	if err := v.turns.take(v.r.Context(), id); err != nil {
		return sorry(err, "err.busy")
	}
	w.free = func() { v.turns.give(id); free() }
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
	if w.draft == nil {
		return nil
	}
	if err := v.display(w.draft); err != nil { // other clients put what they like among the drafts
		return err
	}
	v.keptView(w)
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
