package message

import (
	"bytes"
	"strings"

	"pli/internal/errs"
)

// Field is one header field as it stands in a message.
type Field struct {
	Name  string // as written; compare with strings.EqualFold
	Raw   []byte // the whole field: name, folding, last line end; part of what was read
	Value string // unfolded, trimmed; not decoded (see DecodeHeader)
}

// Header is a message's fields in their order.
type Header []Field

// Get returns the first value of a field, "" if there is none.
func (h Header) Get(name string) string {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			return h[i].Value
		}
	}
	return ""
}

// Values returns the values of all fields of that name, in order.
func (h Header) Values(name string) []string {
	var v []string
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			v = append(v, h[i].Value)
		}
	}
	return v
}

// ReadHeader reads a message's header from b, under the default Limits, and
// returns its fields and where the body begins (after the blank line; len(b)
// if there is none).
//
// It is stricter than the Scanner, which passes over lines that are no field.
// Errors: errs.TooLarge for a header beyond MaxHeaderBytes; errs.Invalid for
// a line that is no field or a continuation of one (RFC 5322 2.2), with the
// fields before it and its offset.
func ReadHeader(b []byte) (Header, int, error) {
	limit := Limits{}.withDefaults().MaxHeaderBytes
	var h Header
	for at := 0; at < len(b); {
		name, value, n := nextField(b[at:])
		if at+n > limit && !(name == nil && classify(b[at:at+n]) == lineBlank) {
			return h, at, errs.New(errs.TooLarge, "the header is larger than %d bytes", limit)
		}
		if name == nil {
			if line := firstLine(b[at:]); classify(line) == lineBlank {
				return h, at + len(line), nil
			}
			return h, at, errs.New(errs.Invalid, "the header has a line that is no field")
		}
		h = append(h, Field{Name: string(name), Raw: b[at : at+n], Value: string(unfold(nil, value))})
		at += n
	}
	return h, len(b), nil
}

// HeaderBuffer gathers a message's header while it arrives.
type HeaderBuffer struct {
	Max  int // bytes of the header at most; 0: the default Limits.MaxHeaderBytes
	buf  []byte
	line int // where in buf the current line begins
	done bool
}

// Feed takes the message's next bytes until the header is whole, its blank
// line included. It returns how many it took: less than len(p) only where the
// header ends within p, or beyond Max, which is errs.TooLarge.
func (h *HeaderBuffer) Feed(p []byte) (n int, done bool, err error) {
	limit := h.Max
	if limit <= 0 {
		limit = Limits{}.withDefaults().MaxHeaderBytes
	}
	for n < len(p) && !h.done {
		line := firstLine(p[n:])
		if len(h.buf)+len(line) > limit {
			return n, false, errs.New(errs.TooLarge, "the header is larger than %d bytes", limit)
		}
		h.buf = append(h.buf, line...)
		n += len(line)
		if line[len(line)-1] == '\n' {
			h.done = classify(h.buf[h.line:]) == lineBlank
			h.line = len(h.buf)
		}
	}
	return n, h.done, nil
}

// Bytes returns what was taken.
func (h *HeaderBuffer) Bytes() []byte { return h.buf }

// lineKind is what a line of a header is.
type lineKind uint8

const (
	lineOther lineKind = iota
	lineBlank          // ends the header
	lineField          // begins a field
	lineFold           // goes on with one
)

// classify tells what a line, its line end included, is (RFC 5322 2.2).
func classify(line []byte) lineKind {
	switch {
	case len(line) == 0:
		return lineOther
	case line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n':
		return lineBlank
	case line[0] == ' ' || line[0] == '\t':
		return lineFold
	case nameLen(line) > 0:
		return lineField
	}
	return lineOther
}

// nameLen returns the length of the field name that begins line, 0 if none
// does: RFC 5322 3.6.8, and the white space before the colon of 4.5.
func nameLen(line []byte) int {
	for i, c := range line {
		switch {
		case c == ':':
			return i
		case c == ' ' || c == '\t':
			if rest := bytes.TrimLeft(line[i:], " \t"); len(rest) > 0 && rest[0] == ':' {
				return i
			}
			return 0
		case c < 33 || c > 126:
			return 0
		}
	}
	return 0
}

// isMboxFrom recognises the line that mbox files put before a message.
func isMboxFrom(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From "))
}

func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1]
	}
	return b
}

// nextField returns the field at the beginning of b: its name (nil where the
// line is no field), its value still folded, and how many bytes it takes.
func nextField(b []byte) (name, value []byte, n int) {
	n = len(firstLine(b))
	if l := nameLen(b[:n]); l > 0 {
		name = b[:l]
		for n < len(b) && (b[n] == ' ' || b[n] == '\t') {
			n += len(firstLine(b[n:]))
		}
		value = b[l:n]
		value = value[bytes.IndexByte(value, ':')+1:]
	}
	return name, value, n
}

// unfold appends value to dst without its line ends (RFC 5322 2.2.3) and the
// white space around it.
func unfold(dst, value []byte) []byte {
	value = bytes.Trim(value, " \t\r\n")
	for {
		i := bytes.IndexByte(value, '\n')
		if i < 0 {
			return append(dst, value...)
		}
		dst = append(dst, trimEOL(value[:i+1])...)
		value = value[i+1:]
	}
}
