package imapd

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pli/mailbox/message"
)

// section is what a FETCH of a part of a message comes to: size bytes of r.
type section struct {
	r    io.Reader
	size int64
}

// checkSections refuses what makes no sense, before anything is written.
func checkSections(o *imap.FetchOptions, most int) error {
	if len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > most {
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeLimit, "Too many sections")
	}
	for _, s := range o.BodySection {
		if s.Specifier == imap.PartSpecifierMIME && len(s.Part) == 0 {
			return badArgument("MIME needs a part number")
		}
		if err := checkPartial(s.Partial); err != nil {
			return err
		}
	}
	for _, s := range o.BinarySection {
		if err := checkPartial(s.Partial); err != nil {
			return err
		}
	}
	return nil
}

// checkPartial refuses a partial that the answer could not repeat: the library
// writes the offset in 32 bits.
func checkPartial(p *imap.SectionPartial) error {
	if p != nil && (p.Offset < 0 || p.Offset > math.MaxUint32 || p.Size <= 0) {
		return badArgument("Partial out of range")
	}
	return nil
}

// clamp cuts a partial to the bytes there are.
func clamp(p *imap.SectionPartial, size int64) (offset, n int64) {
	if p == nil {
		return 0, size
	}
	offset = min(p.Offset, size)
	return offset, min(p.Size, size-offset)
}

// bodySection returns a section of a message (RFC 9051 6.4.5, BODY[…]). One
// that is not there is empty: the library cannot write NIL. ix may be nil for
// the whole message.
func bodySection(s *imap.FetchItemBodySection, ix *message.Index, body io.ReaderAt, size int64) (section, error) {
	sp := message.Span{End: size}
	if len(s.Part) > 0 || s.Specifier != imap.PartSpecifierNone {
		sp = sectionSpan(s, ix, size)
	}
	if len(s.HeaderFields)+len(s.HeaderFieldsNot) == 0 {
		offset, n := clamp(s.Partial, sp.Len())
		return section{io.NewSectionReader(body, sp.Start+offset, n), n}, nil
	}
	header := make([]byte, sp.Len())
	if n, err := body.ReadAt(header, sp.Start); err != nil && n < len(header) {
		return section{}, err
	}
	if sp.Len() > 0 {
		header = selectFields(header, s.HeaderFields, s.HeaderFieldsNot)
	}
	offset, n := clamp(s.Partial, int64(len(header)))
	return section{bytes.NewReader(header[offset : offset+n]), n}, nil
}

// sectionSpan returns where a section lies in the message: nowhere, as an empty
// span, if it does not exist.
func sectionSpan(s *imap.FetchItemBodySection, ix *message.Index, size int64) message.Span {
	root, header := &ix.Root, ix.Header
	if len(s.Part) > 0 {
		p := ix.ByPath(partPath(s.Part))
		switch {
		case p == nil:
			return message.Span{}
		case s.Specifier == imap.PartSpecifierNone:
			return within(message.Span{Start: p.BodyStart, End: p.End}, size)
		case s.Specifier == imap.PartSpecifierMIME:
			return within(message.Span{Start: p.HeaderStart, End: p.BodyStart}, size)
		case p.Message == nil: // HEADER and TEXT are of messages alone
			return message.Span{}
		}
		root = &p.Message.Root
		header = message.Span{Start: root.HeaderStart, End: root.BodyStart}
		size = min(size, p.End)
	}
	if s.Specifier == imap.PartSpecifierText {
		return within(message.Span{Start: header.End, End: size}, size)
	}
	return within(header, size)
}

// within cuts a span to a message of size bytes, whatever the index says.
func within(s message.Span, size int64) message.Span {
	s.Start = min(max(s.Start, 0), size)
	s.End = min(max(s.End, s.Start), size)
	return s
}

// partPath writes a part number as the index has it.
func partPath(part []int) string {
	var b strings.Builder
	for i, n := range part {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// selectFields returns the fields of a header that are named in only, or, if
// that is empty, those not named in not; with the blank line that ends a
// header, which RFC 9051 6.4.5 wants always.
func selectFields(header []byte, only, not []string) []byte {
	names, want := only, true
	if len(only) == 0 {
		names, want = not, false
	}
	var out []byte
	taken := false
	for len(header) > 0 {
		end := bytes.IndexByte(header, '\n') + 1
		if end == 0 {
			end = len(header)
		}
		line := header[:end]
		header = header[end:]
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			break
		}
		if line[0] != ' ' && line[0] != '\t' { // else the field goes on
			taken = named(line, names) == want
		}
		if taken {
			out = append(out, line...)
		}
	}
	return append(out, '\r', '\n')
}

func named(line []byte, names []string) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t\r\n")
	for _, n := range names {
		if strings.EqualFold(n, string(name)) {
			return true
		}
	}
	return false
}
