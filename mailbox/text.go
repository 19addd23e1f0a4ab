package mailbox

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"pli/mailbox/message"
)

// headField returns a header field as an index holds it, written as in the
// header; "" also where it does not hold that field.
func headField(e *message.Envelope, name string) string {
	switch name {
	case "subject":
		return e.Subject
	case "from":
		return people(e.From)
	case "sender":
		return people(e.Sender)
	case "reply-to":
		return people(e.ReplyTo)
	case "to":
		return people(e.To)
	case "cc":
		return people(e.Cc)
	case "bcc":
		return people(e.Bcc)
	case "message-id", "in-reply-to", "references":
		return ids(e, name)
	}
	return ""
}

// inIndex reports whether an index holds a header field.
func inIndex(name string) bool {
	return slices.Contains(headNames[:], name) || isIDs(name)
}

// isIDs reports whether a header field holds message ids. One that an index
// does not hold may be absent, or written in a way that is no message id.
func isIDs(name string) bool {
	return name == "message-id" || name == "in-reply-to" || name == "references"
}

// headMatch answers a header criterion from what the index or its page holds:
// unknown where that is not the whole field.
func headMatch(s *subject, name, value string) (truth, error) {
	field, cut, err := s.head(name)
	switch {
	case err != nil:
		return no, err
	case len(field) > 0 && bytes.Contains(field, []byte(value)):
		return yes, nil
	case cut || isIDs(name) && len(field) == 0:
		return unknown, nil
	}
	return no, nil
}

// people writes addresses as a header field does.
func people(list []message.Address) string {
	var b strings.Builder
	for i, a := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		if a.Name != "" {
			b.WriteString(a.Name)
			b.WriteString(" <")
			b.WriteString(a.String())
			b.WriteString(">")
		} else {
			b.WriteString(a.String())
		}
	}
	return b.String()
}

// ids writes message ids as a header field does.
func ids(e *message.Envelope, name string) string {
	list := []string{e.MessageID}
	switch name {
	case "in-reply-to":
		list = e.InReplyTo
	case "references":
		list = e.References
	}
	var b strings.Builder
	for _, id := range list {
		if id != "" {
			b.WriteString("<" + id + "> ")
		}
	}
	return b.String()
}

// textTest answers TEXT (with the header) and BODY criteria: from the pages,
// from the index's text where that is whole, else from the message.
func textTest(value string, limits message.Limits, header bool) func(*subject, level) (truth, error) {
	needle := []byte(value)
	return func(s *subject, l level) (truth, error) {
		if l == byBody {
			return bodyTest(s, value, header)
		}
		if s.words != nil {
			return truthOf(bytes.Contains(s.words.body, needle) || header && bytes.Contains(s.words.header, needle)), nil
		}
		if s.index == nil {
			return unknown, nil // a text too long for a page
		}
		inText := strings.Contains(s.index.Text, value)
		switch {
		case inText && oneText(s.index), inNames(s.index, value), header && envelopeHas(&s.index.Envelope, value):
			return yes, nil
		case !inText && !header && wholeText(s.index, limits):
			return no, nil
		}
		return unknown, nil
	}
}

// bodyTest looks through a message's fields and its text parts.
func bodyTest(s *subject, value string, header bool) (truth, error) {
	if header {
		fields, err := readHeader(s.index, s.body)
		if err != nil {
			return no, err
		}
		if slices.ContainsFunc(fields, func(f message.Field) bool { return strings.Contains(foldField(&f), value) }) {
			return yes, nil
		}
	}
	if inNames(s.index, value) {
		return yes, nil
	}
	found := errors.New("found")
	err := eachText(s.index, s.body, func(text string) error {
		if strings.Contains(text, value) {
			return found
		}
		return nil
	})
	if err == found {
		return yes, nil
	}
	return no, err
}

// eachText calls fn for each text of a message, folded, its attachments' apart:
// the text parts, and the subjects of messages within. An error of fn ends it.
func eachText(ix *message.Index, body *Body, fn func(text string) error) (err error) {
	ix.Walk(func(_ string, p *message.Part) bool {
		switch {
		case err != nil:
		case p.Message != nil:
			err = fn(message.Fold(p.Message.Envelope.Subject))
		case p.Type == "text":
			var text string
			if text, err = message.WordsOf(p.Content(body), p, maxSearchPart); err == nil {
				err = fn(message.Fold(text))
			}
		}
		return err == nil
	})
	return err
}

// oneText reports whether an index's Text is of one part: else a match in it may
// run from one text into the next.
func oneText(ix *message.Index) bool {
	n := 0
	ix.Walk(func(_ string, p *message.Part) bool {
		if p.Type == "text" || p.Message != nil {
			n++
		}
		return n < 2
	})
	return n < 2
}

// foldField returns a header field as searches compare it.
func foldField(f *message.Field) string {
	return message.Fold(f.Name + ": " + message.DecodeHeader(f.Value))
}

// inNames reports whether the name of an attachment contains value.
func inNames(ix *message.Index, value string) bool {
	return slices.ContainsFunc(fileNames(ix), func(name string) bool { return strings.Contains(message.Fold(name), value) })
}

// fileNames returns the names that parts have.
func fileNames(ix *message.Index) (names []string) {
	ix.Walk(func(_ string, p *message.Part) bool {
		if name := p.Filename(); name != "" {
			names = append(names, name)
		}
		return true
	})
	return names
}

func envelopeHas(e *message.Envelope, value string) bool {
	has := func(s string) bool { return s != "" && strings.Contains(message.Fold(s), value) }
	return has(e.Subject) || has(people(e.From)) || has(people(e.To)) || has(people(e.Cc))
}

// wholeText reports whether an index's Text holds all text of the message.
func wholeText(ix *message.Index, limits message.Limits) bool {
	maxText, maxSource := limits.MaxText, limits.MaxTextSource
	if maxText == 0 {
		maxText = 64 << 10
	}
	if maxSource == 0 {
		maxSource = 512 << 10
	}
	if ix.Truncated != "" || len(ix.Text) > maxText-64 {
		return false
	}
	var size int64
	parts := textParts(ix)
	for _, p := range parts {
		switch {
		case p.Disposition == "attachment", p.Subtype != "plain" && p.Subtype != "html":
			return false
		case p.Subtype == "html" && len(parts) > 1:
			return false // it may have been left out, text/plain having said the same
		}
		size += p.Size()
	}
	return size <= int64(maxSource)
}

// textParts returns the parts that are text.
func textParts(ix *message.Index) []*message.Part {
	var parts []*message.Part
	ix.Walk(func(_ string, p *message.Part) bool {
		if p.Type == "text" {
			parts = append(parts, p)
		}
		return true
	})
	return parts
}

// maxSearchHeader and maxSearchPart bound what a search reads of a message:
// its header, and each of its parts.
const (
	maxSearchHeader = 1 << 20
	maxSearchPart   = 8 << 20
)

// readHeader reads a message's own header.
func readHeader(ix *message.Index, body *Body) (message.Header, error) {
	n := min(ix.Header.End, body.Size(), maxSearchHeader)
	if ix.Header.End == 0 {
		n = min(body.Size(), maxSearchHeader) // a stand-in does not know
	}
	b := make([]byte, n)
	if _, err := body.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	fields, _, _ := message.ReadHeader(b) // what is no field is not searched
	return fields, nil
}
