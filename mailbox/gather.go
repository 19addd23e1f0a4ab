package mailbox

import (
	"bytes"
	"context"
	"errors"
	"io"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/mailbox/extract"
	"pli/mailbox/message"
)

// gather returns what a search looks through of a message: its header, its
// texts, the names of its attachments, and what text they hold. A message that
// cannot be read, or has too much of it, is textTooLong.
func (a *Account) gather(ctx context.Context, r *row, key keyring.SessionKey, ix *message.Index) (textItem, error) {
	t := textItem{uid: r.uid, id: r.id, where: textTooLong}
	body, err := a.bodyBy(ctx, r.id, &key)
	if err == nil {
		g := &gathering{a: a, body: body, ix: ix}
		err = g.run(ctx)
		body.Close()
		if err == nil && g.words.size() <= maxLongText {
			t.where, t.words = textHere, g.words
		}
	}
	if unreadable(err) || errs.Is(err, errs.NotFound) {
		err = nil // the message itself will be asked
	}
	return t, err
}

// gathering is one gather at work.
type gathering struct {
	a     *Account
	body  *Body
	ix    *message.Index
	words words
}

// maxAttachment is how many bytes of an attachment, decoded, are read for text.
const maxAttachment = 16 << 20

var errTooLong = errors.New("mailbox: more text than a page holds")

func (g *gathering) run(ctx context.Context) error {
	fields, err := readHeader(g.ix, g.body)
	if err != nil {
		return err
	}
	for i := range fields {
		g.words.header = append(append(g.words.header, foldField(&fields[i])...), 0)
	}
	err = eachText(g.ix, g.body, func(text string) error {
		g.add(text)
		if g.words.size() > maxLongText {
			return errTooLong
		}
		return nil
	})
	if err == errTooLong {
		return nil
	} else if err != nil {
		return err
	}
	for _, name := range fileNames(g.ix) {
		g.add(message.Fold(name))
	}
	return g.attachments(ctx)
}

// add adds a folded text, unless it is in what is there.
func (g *gathering) add(text string) {
	text = string(bytes.TrimSpace([]byte(text)))
	if text == "" || bytes.Contains(g.words.body, []byte(text)) {
		return
	}
	g.words.body = append(append(g.words.body, text...), 0)
}

// attachments adds the text of documents. What cannot be read of them is not
// searched.
func (g *gathering) attachments(ctx context.Context) error {
	var docs []*message.Part
	g.ix.Walk(func(_ string, p *message.Part) bool {
		if extract.KindOf(p.MediaType(), p.Filename()) != extract.None {
			docs = append(docs, p)
		}
		return true
	})
	for _, p := range docs {
		content, err := io.ReadAll(io.LimitReader(message.DecodePart(p.Content(g.body), p), maxAttachment+1))
		if err != nil {
			return err
		}
		if len(content) > maxAttachment {
			continue
		}
		text, err := extract.Text(ctx, extract.KindOf(p.MediaType(), p.Filename()), content)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			g.a.s.cfg.Log.Info("an attachment's text is not searched", "owner", string(g.a.Owner()), "err", err)
		}
		if room := maxLongText - g.words.size(); room > 1 { // what is beyond is not searched, as what cannot be read
			folded := message.Fold(text)
			g.add(folded[:min(len(folded), room-1)])
		}
	}
	return nil
}
