package web

import (
	"strconv"
	"strings"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/web/compose"
)

// draftForm shows the form of a draft, to go on with it.
func (v *visit) draftForm() error {
	if v.r.PathValue("box") != "drafts" {
		return sorry(errs.New(errs.NotFound, "no draft"), "err.nomessage")
	}
	o, err := v.show()
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := v.newPage()
	if err != nil {
		return err
	}
	env := o.Index.Envelope
	var to []string
	for _, a := range env.To {
		to = append(to, a.String())
	}
	p.To, p.Subject, p.Back = strings.Join(to, ", "), strings.TrimSpace(env.Subject), "/mail/drafts"
	if len(env.To) == 1 && len(env.InReplyTo) > 0 {
		p.Fixed, p.ToName = true, personName(env.To[0])
	}
	p.Draft = strconv.FormatUint(uint64(o.uid), 10)
	p.End = strings.EqualFold(o.Index.Fields["x-mss-mes"], "FIN")
	body, err := o.view.Open(v.r.Context(), o.uid)
	if err != nil {
		return err
	}
	defer body.Close()
	r := read(o.Index, true)
	for _, piece := range r.pieces {
		s, err := message.TextOf(piece.part.Content(body), piece.part, v.MaxText)
		if err != nil {
			return err
		}
		p.Text += s
	}
	for _, piece := range append(r.files, r.calendar...) {
		p.Kept = append(p.Kept, v.fileOf(o, piece))
	}
	return v.showWrite(200, p)
}

// keepDraft keeps what is written for later.
func (v *visit) keepDraft() error {
	w, err := v.written("draft")
	if err != nil {
		v.drain()
		return err
	}
	defer w.close()
	uid, err := v.repeated(w, mailbox.UseDrafts)
	if err == nil && uid == 0 {
		r, done := w.message(v)
		uid, err = v.appendOnce(v.r.Context(), w, mailbox.UseDrafts, []mailbox.Flag{mailbox.Draft, mailbox.Seen}, r)
		r.CloseWithError(err)
		if failed := <-done; failed != nil {
			err = failed
		}
	}
	if err != nil {
		return v.backToForm(w, err)
	}
	v.dropDraft(w)
	v.leave(note{Key: "note.draft", Link: &noteRef{Href: "/mail/drafts/" + strconv.FormatUint(uint64(uid), 10) + "/edit", Key: "note.draft.link"}})
	v.goTo("/mail/drafts")
	return nil
}

// repeated returns where a letter lies whose draft is gone because the same
// form came before, 0 if it is none. Without its draft it cannot be written
// again, and must not leave without the draft's files.
func (v *visit) repeated(w *writing, box mailbox.SpecialUse) (mailbox.UID, error) {
	if w.page.Draft == "" || w.draft != nil {
		return 0, nil
	}
	uid, err := w.lying(v.r.Context(), box, nil)
	if err != nil || uid != 0 {
		v.drain()
		return uid, err
	}
	w.page.Draft = ""
	if len(w.keep) > 0 {
		return 0, sorry(errs.New(errs.Conflict, "the draft is gone with its files"), "err.send.draftgone")
	}
	return 0, nil
}

// dropDraft removes the draft that a message went on with, once it is sent or
// kept anew. One that stays behind is a nuisance and no failure.
func (v *visit) dropDraft(w *writing) {
	if w.draft == nil {
		return
	}
	view, err := w.desk.look(v, "drafts", false)
	if err == nil {
		_, err = v.remove(view, []mailbox.UID{w.draft.uid})
	}
	if err != nil {
		v.Log.Warn("draft not removed", "err", err)
	}
}

// keptFiles writes the files of the draft that stay into the message.
func (w *writing) keptFiles(v *visit, out *compose.Writer) error {
	if w.draft == nil || len(w.keep) == 0 {
		return nil
	}
	body, err := w.draft.view.Open(v.r.Context(), w.draft.uid)
	if err != nil {
		return err
	}
	defer body.Close()
	r := read(w.draft.Index, true)
	for _, piece := range append(r.files, r.calendar...) {
		if !w.keep[piece.path] {
			continue
		}
		f := v.fileOf(w.draft, piece)
		content := message.DecodePart(piece.part.Content(body), piece.part)
		if err := out.Attach(f.Name, safeType(piece.part), content); err != nil {
			return err
		}
	}
	return nil
}

// safeType returns the media type of a draft's file as it goes on.
func safeType(p *message.Part) string {
	for _, t := range fileTypes {
		if kind, _, _ := strings.Cut(t, ";"); kind == p.MediaType() {
			return t
		}
	}
	return "application/octet-stream"
}
