package message

import "bytes"

// maxDelimiter bounds a boundary line, in bytes: RFC 2046 5.1.1 allows 70
// characters of boundary, RFC 5322 2.1.1 a line of 998.
const maxDelimiter = 1024

// state is what the next byte belongs to.
type state uint8

const (
	inHeader state = iota // the header of the innermost open entity
	inBody                // content, preamble or epilogue: looked through for boundaries
	inOpaque              // beyond a bound: nothing is looked for any more
)

// Scanner reads one message as it arrives. Any division of the bytes into
// calls of Write gives the same Index. It is not for use by several goroutines.
//
// It works line by line and holds at most one header, one undecided line that
// may be a boundary, and the text that it reads for searching.
type Scanner struct {
	limits Limits
	state  state
	off    int64 // offset of the next byte
	lines  int64 // line feeds so far

	stack  []frame        // open entities, the message first
	bounds map[string]int // boundary of an open multipart: its place in stack

	hdr     []byte // header of the innermost open entity, as far as it has come
	hdrLine int    // where in hdr the current line begins

	carry []byte // beginning of a line that may be a boundary
	mid   bool   // inside a line that is none
	cr    bool   // the byte before, on the same line, is CR
	eol   int64  // bytes of the line end before the current line

	budget  budget
	text    textCollector
	env     *Envelope // of the message itself
	fields  map[string]string
	scratch []byte
	closed  *Index
}

// NewScanner returns a scanner for one message, within l.
func NewScanner(l Limits) *Scanner {
	s := &Scanner{limits: l.withDefaults()}
	s.Reset()
	return s
}

// Reset readies the scanner for another message, under the same limits; the
// index of the last one stays valid. It keeps buffers of ordinary size.
func (s *Scanner) Reset() {
	const keep = 64 << 10
	small := func(b []byte) []byte {
		if cap(b) > keep {
			return nil
		}
		return b[:0]
	}
	clear(s.stack[:cap(s.stack)])
	*s = Scanner{
		limits: s.limits, stack: s.stack[:0], hdr: small(s.hdr), carry: small(s.carry), scratch: small(s.scratch),
		budget: newBudget(s.limits),
		text:   s.text.reset(s.limits, small),
		env:    new(Envelope),
	}
	s.budget.part()
	s.push(frame{env: s.env, root: true})
}

// Write takes the message's next bytes. It never fails and keeps no reference to p.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		switch s.state {
		case inHeader:
			p = s.header(p)
		case inBody:
			p = s.body(p)
		default:
			s.lines += int64(bytes.Count(p, newline))
			s.off += int64(len(p))
			p = nil
		}
	}
	return n, nil
}

var newline = []byte{'\n'}

// header takes bytes of a header, until it ends; it returns the rest.
func (s *Scanner) header(p []byte) []byte {
	for len(p) > 0 && s.state == inHeader {
		i := bytes.IndexByte(p, '\n')
		line := p[:i+1]
		if i < 0 {
			line = p
		}
		if !s.budget.header(len(line)) {
			s.headerOverflow()
			return p
		}
		s.hdr = append(s.hdr, line...)
		s.off += int64(len(line))
		p = p[len(line):]
		if i >= 0 {
			s.headerLine()
		}
	}
	return p
}

// headerLine decides what the whole line at the end of s.hdr is.
func (s *Scanner) headerLine() {
	line := s.hdr[s.hdrLine:]
	start := s.off - int64(len(line))
	if len(s.bounds) > 0 {
		if at, closing, ok := s.match(line); ok {
			s.endHeader(s.hdr[:s.hdrLine], start)
			s.delimiter(at, closing, line, start)
			return
		}
	}
	kind := classify(line)
	if kind == lineFold && s.hdrLine > 0 {
		kind = lineField
	}
	switch f := s.top(); kind {
	case lineBlank:
		s.lineEnd(line)
		s.endHeader(s.hdr[:s.hdrLine], s.off)
	case lineField:
		s.lineEnd(line)
		s.hdrLine = len(s.hdr)
	default:
		// RFC 5322 has no such line. In a message's header it is passed over,
		// as is the "From " line of an mbox; where nothing came before it,
		// where it looks like a boundary, or in a part's header, the blank
		// line is missing and the body begins.
		if f.env != nil && (s.hdrLine > 0 && !bytes.HasPrefix(line, dashes) || isMboxFrom(line)) {
			s.lineEnd(line)
			s.hdrLine = len(s.hdr)
			return
		}
		s.again(line, start)
	}
}

// again ends the header before line, and takes line once more as what follows.
func (s *Scanner) again(line []byte, start int64) {
	s.budget.headerBack(len(line))
	s.off = start
	s.endHeader(s.hdr[:s.hdrLine], start)
	s.Write(line) // may move line to the beginning of s.hdr, which append allows
}

// headerOverflow ends a header at its bound: what is left is one opaque part.
func (s *Scanner) headerOverflow() {
	s.budget.met("header")
	start := s.off - int64(len(s.hdr)-s.hdrLine)
	f := s.top()
	f.part.BodyStart, f.lines = start, s.lines
	s.parseHeader(f, s.hdr[:s.hdrLine])
	f.opaque()
	s.hdr, s.hdrLine = s.hdr[:0], 0
	s.state = inOpaque
}

// body takes bytes of content, until a boundary; it returns the rest.
func (s *Scanner) body(p []byte) []byte {
	if len(s.bounds) == 0 { // nothing but the end of the message ends this part
		s.text.add(p)
		s.lines += int64(bytes.Count(p, newline))
		s.off += int64(len(p))
		return nil
	}
	for len(p) > 0 && s.state == inBody {
		if !s.mid && (p[0] == '-' || len(s.carry) > 0) {
			p = s.candidate(p)
			continue
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.text.add(p)
			s.off += int64(len(p))
			s.mid, s.cr = true, p[len(p)-1] == '\r'
			return nil
		}
		s.text.add(p[:i+1])
		s.off += int64(i + 1)
		s.lines++
		s.eol = 1
		if i > 0 && p[i-1] == '\r' || i == 0 && s.cr {
			s.eol = 2
		}
		s.mid, s.cr = false, false
		p = p[i+1:]
	}
	return p
}

// candidate takes bytes of a line that begins with '-'; it returns the rest.
func (s *Scanner) candidate(p []byte) []byte {
	i := bytes.IndexByte(p, '\n')
	more := p[:i+1]
	if i < 0 {
		more = p
	}
	if len(s.carry)+len(more) > maxDelimiter || !mayDelimit(s.carry, more) {
		if n := len(s.carry); n > 0 {
			s.text.add(s.carry)
			s.cr = s.carry[n-1] == '\r'
			s.carry = s.carry[:0]
		}
		s.mid = true
		return p
	}
	s.off += int64(len(more))
	if i < 0 {
		s.carry = append(s.carry, more...)
		return nil
	}
	line := more
	if len(s.carry) > 0 {
		s.carry = append(s.carry, more...)
		line = s.carry
	}
	s.carry = s.carry[:0]
	if at, closing, ok := s.match(line); ok {
		s.delimiter(at, closing, line, s.off-int64(len(line)))
	} else {
		s.text.add(line)
		s.lineEnd(line)
	}
	return p[len(more):]
}

// mayDelimit reports whether a line that begins with carry and more may be a boundary.
func mayDelimit(carry, more []byte) bool {
	if len(carry) >= 2 {
		return carry[1] == '-' // carry[0] is
	}
	if len(carry) == 1 {
		return more[0] == '-'
	}
	return len(more) < 2 || more[1] == '-'
}

// lineEnd counts a whole line.
func (s *Scanner) lineEnd(line []byte) {
	s.eol = int64(len(line) - len(trimEOL(line)))
	if s.eol > 0 {
		s.lines++
	}
	s.mid, s.cr = false, false
}

// match tells which open multipart's boundary a line is, the innermost if two
// share one (RFC 2046 5.1.1: white space may follow it).
func (s *Scanner) match(line []byte) (at int, closing, ok bool) {
	if len(line) < 3 || line[0] != '-' || line[1] != '-' || len(line) > maxDelimiter {
		return 0, false, false
	}
	b := bytes.TrimRight(trimEOL(line[2:]), " \t")
	if at, ok = s.bounds[string(b)]; ok {
		return at, false, true
	}
	if b, ok = bytes.CutSuffix(b, dashes); ok {
		at, ok = s.bounds[string(b)]
	}
	return at, true, ok
}

var dashes = []byte("--")

func trimEOL(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	return line
}
