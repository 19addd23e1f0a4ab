package web

import (
	"html/template"
	"io"
	"strings"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/web/safehtml"
)

// maxLetterImage is how many bytes of one picture are put into a letter.
const maxLetterImage = 4 * 1000 * 1000

// clean makes an HTML part of a message safe to show.
func (v *visit) clean(body *mailbox.Body, r *reading, p *message.Part) (safehtml.Letter, error) {
	s, err := message.TextOf(p.Content(body), p, v.maxHTML())
	if err != nil {
		return safehtml.Letter{}, err
	}
	image := func(id string) ([]byte, string) {
		img := r.images[id]
		if img == nil || !safehtml.Picture(img.MediaType()) {
			return nil, ""
		}
		b, err := io.ReadAll(io.LimitReader(message.DecodePart(img.Content(body), img), maxLetterImage+1))
		if err != nil || len(b) > maxLetterImage || sniff(b) != img.MediaType() {
			return nil, ""
		}
		return b, img.MediaType()
	}
	return v.cleaner.Clean(strings.NewReader(s), image)
}

// maxHTML is one byte more than what the cleaner reads, so that it can tell
// that something was left out.
func (v *visit) maxHTML() int {
	if v.HTML.MaxHTML > 0 {
		return v.HTML.MaxHTML + 1
	}
	return 1000*1000 + 1
}

// letterFrame answers with one HTML text of a message, for the sandboxed frame
// of its page.
func (v *visit) letterFrame() error {
	o, err := v.show()
	if err != nil {
		return err
	}
	defer o.Close()
	r := read(o.Index, false)
	path := v.r.PathValue("part")
	for _, piece := range r.pieces {
		if piece.path != path || !piece.isHTML() {
			continue
		}
		body, err := o.view.Open(v.r.Context(), o.uid)
		if err != nil {
			return err
		}
		defer body.Close()
		letter, err := v.clean(body, r, piece.part)
		if err != nil {
			return err
		}
		framed(v.w.Header(), policyLetter)
		v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		return v.pages.byLang[v.lang]["frame"].ExecuteTemplate(v.w, "frame", struct {
			Lang string
			HTML template.HTML
		}{string(v.lang), template.HTML(letter.HTML)}) // the sanitiser's last word
	}
	return errs.New(errs.NotFound, "no letter at part %.20q", path)
}
