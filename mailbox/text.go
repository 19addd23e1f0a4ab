package mailbox

import (
	"errors"
	"io"
	"slices"
	"strings"

	"pli/mailbox/message"
)

// envelopeMatch answers a header criterion from the index: unknown where the
// index does not hold the whole field.
func envelopeMatch(ix *message.Index, name, value string) truth {
	e := &ix.Envelope
	var field string
	switch name {
	case "subject":
		field = e.Subject
	case "from":
		field = people(e.From)
	case "sender":
		field = people(e.Sender)
	case "reply-to":
		field = people(e.ReplyTo)
	case "to":
		field = people(e.To)
	case "cc":
		field = people(e.Cc)
	case "bcc":
		field = people(e.Bcc)
	case "message-id", "in-reply-to", "references":
		field = ids(e, name)
		if field == "" {
			return unknown // absent, or written in a way that is no message id
		}
	default:
		return unknown
	}
	if field != "" && strings.Contains(message.Fold(field), value) {
		return yes
	}
	if ix.Truncated != "" {
		return unknown
	}
	return no
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

// textTest answers TEXT (with the header) and BODY criteria: from the index's
// text where that is whole, else from the message.
func textTest(value string, limits message.Limits, header bool) func(*subject, level) (truth, error) {
	return func(s *subject, l level) (truth, error) {
		if l < byBody {
			if strings.Contains(s.index.Text, value) || header && envelopeHas(&s.index.Envelope, value) {
				return yes, nil
			}
			if !header && wholeText(s.index, limits) {
				return no, nil
			}
			return unknown, nil
		}
		if header {
			fields, err := readHeader(s)
			if err != nil {
				return no, err
			}
			if slices.ContainsFunc(fields, func(f message.Field) bool {
				return strings.Contains(message.Fold(f.Name+": "+message.DecodeHeader(f.Value)), value)
			}) {
				return yes, nil
			}
		}
		return bodyHas(s, value)
	}
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
	for _, p := range textParts(ix) {
		if p.Subtype != "plain" && p.Subtype != "html" {
			return false
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

// readHeader reads the message's own header.
func readHeader(s *subject) (message.Header, error) {
	n := min(s.index.Header.End, s.body.Size(), maxSearchHeader)
	if s.index.Header.End == 0 {
		n = min(s.body.Size(), maxSearchHeader) // a stand-in does not know
	}
	b := make([]byte, n)
	if _, err := s.body.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	fields, _, _ := message.ReadHeader(b) // what is no field is not searched
	return fields, nil
}

// bodyHas looks through the text parts of a message.
func bodyHas(s *subject, value string) (truth, error) {
	for _, p := range textParts(s.index) {
		text, err := message.TextOf(p.Content(s.body), p, maxSearchPart)
		if err != nil {
			return no, err
		}
		if strings.Contains(message.Fold(text), value) {
			return yes, nil
		}
	}
	return no, nil
}
