package message

import (
	"bytes"
	"strings"
)

// parseHeader reads what a header says of the entity in f. Where a field
// stands twice the first counts; To, Cc and Bcc add up.
func (s *Scanner) parseHeader(f *frame, block []byte) {
	var seen uint32
	first := func(bit uint) bool {
		old := seen
		seen |= 1 << bit
		return seen != old
	}
	for len(block) > 0 {
		name, value, n := nextField(block)
		block = block[n:]
		if name == nil || len(name) > 31 {
			continue
		}
		var lower [31]byte
		for i, c := range name {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			lower[i] = c
		}
		key := lower[:len(name)]
		if bytes.HasPrefix(key, []byte("content-")) {
			s.partField(f, key[len("content-"):], value, first)
		} else if f.env != nil {
			s.messageField(f, key, value, first)
		}
	}
	s.settleType(f)
}

// value unfolds a field value; the result is valid until the next call.
func (s *Scanner) value(raw []byte) []byte {
	s.scratch = unfold(s.scratch[:0], raw)
	return s.scratch
}

func (s *Scanner) decoded(raw []byte) string { return s.budget.str(decodeText(s.value(raw))) }

// partField takes a field that begins with "Content-" (RFC 2045 3, 2183, 3282, 2557).
func (s *Scanner) partField(f *frame, key, raw []byte, first func(uint) bool) {
	p := &f.part
	switch string(key) {
	case "type":
		if first(0) {
			s.contentType(f, s.value(raw))
		}
	case "transfer-encoding":
		if first(1) {
			if p.Encoding = token(s.value(raw)); len(p.Encoding) > 8 && p.Encoding != "quoted-printable" {
				p.Encoding = s.budget.str(p.Encoding)
			}
		}
	case "disposition":
		if first(2) {
			v := s.value(raw)
			p.Disposition = s.budget.str(token(v))
			p.DispositionParams, _ = s.params(v)
		}
	case "id":
		if first(3) {
			p.ID = s.decoded(raw)
		}
	case "description":
		if first(4) {
			p.Description = s.decoded(raw)
		}
	case "md5":
		if first(5) {
			p.MD5 = s.decoded(raw)
		}
	case "location":
		if first(6) {
			p.Location = s.decoded(raw)
		}
	case "language":
		if first(7) {
			p.Language = s.budget.list(splitList(clean(s.value(raw))))
		}
	}
}

// messageField takes a field of a message's own header (RFC 5322 3.6).
func (s *Scanner) messageField(f *frame, key, raw []byte, first func(uint) bool) {
	env := f.env
	switch string(key) {
	case "date":
		if first(10) {
			env.Date = ParseDate(string(s.value(raw)))
		}
	case "subject":
		if first(11) {
			env.Subject = s.decoded(raw)
		}
	case "message-id":
		if first(12) {
			env.MessageID = strings.Join(s.messageIDs(raw, 1), "")
		}
	case "in-reply-to":
		if first(13) {
			env.InReplyTo = s.messageIDs(raw, 100)
		}
	case "references":
		if first(14) {
			env.References = s.messageIDs(raw, 1000)
		}
	case "from":
		if first(15) {
			env.From = s.addresses(nil, raw)
		}
	case "sender":
		if first(16) {
			env.Sender = s.addresses(nil, raw)
		}
	case "reply-to":
		if first(17) {
			env.ReplyTo = s.addresses(nil, raw)
		}
	case "to":
		env.To = s.addresses(env.To, raw)
	case "cc":
		env.Cc = s.addresses(env.Cc, raw)
	case "bcc":
		env.Bcc = s.addresses(env.Bcc, raw)
	case "x-mss-mes", "x-mss-nil", "x-mss-codecda", "x-mss-ins",
		"auto-submitted", "disposition-notification-to", "list-id":
		if f.root {
			s.houseField(string(key), raw)
		}
	}
}

// houseField keeps a field for Index.Fields.
func (s *Scanner) houseField(key string, raw []byte) {
	if _, ok := s.fields[key]; ok || !s.budget.keep(len(key)+stringCost) {
		return
	}
	if s.fields == nil {
		s.fields = make(map[string]string)
	}
	s.fields[key] = s.decoded(raw)
}

func (s *Scanner) addresses(list []Address, raw []byte) []Address {
	more := parseAddresses(s.value(raw), s.budget.addresses+1)
	return append(list, s.budget.addressList(more)...)
}

// messageIDs returns at most n message ids (RFC 5322 3.6.4) without brackets;
// a value without any bracket is taken word by word.
func (s *Scanner) messageIDs(raw []byte, n int) []string {
	v := clean(s.value(raw))
	var ids []string
	if strings.IndexByte(v, '<') < 0 {
		ids = strings.Fields(v)
	}
	for rest := v; len(ids) < n; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		id, tail, ok := strings.Cut(after, ">")
		if !ok {
			break
		}
		if id = strings.TrimSpace(id); id != "" {
			ids = append(ids, id)
		}
		rest = tail
	}
	if len(ids) > n {
		ids = ids[:n]
	}
	return s.budget.list(ids)
}

// contentType takes the value of Content-Type. One that cannot be understood
// leaves the default (RFC 2045 5.2).
func (s *Scanner) contentType(f *frame, v []byte) {
	p := &f.part
	p.Type = token(v)
	rest := bytes.TrimLeft(v[tokenEnd(v):], " \t")
	if p.Type != "" && len(rest) > 0 && rest[0] == '/' {
		p.Subtype = token(rest[1:])
	}
	if p.Type == "multipart" && p.Subtype == "" {
		p.Subtype = "mixed"
	}
	if p.Type == "" || p.Subtype == "" || !s.budget.keep(max(0, len(p.Type)+len(p.Subtype)-10)) {
		p.Type, p.Subtype = "", ""
		return
	}
	var boundary string
	p.Params, boundary = s.params(v)
	if p.Type == "multipart" {
		f.boundary = boundary
	}
}

// settleType fills in what the header did not say.
func (s *Scanner) settleType(f *frame) {
	p := &f.part
	if p.Encoding == "" {
		p.Encoding = "7bit"
	}
	if p.Type != "" {
		return
	}
	if up := len(s.stack) - 2; up >= 0 && s.stack[up].digest { // RFC 2046 5.1.5
		p.Type, p.Subtype = "message", "rfc822"
		return
	}
	p.Type, p.Subtype = "text", "plain"
	p.Params = map[string]string{"charset": "us-ascii"}
}

// splitList returns the words of a comma-separated list.
func splitList(v string) []string {
	var list []string
	for w := range strings.SplitSeq(v, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list
}
