package message

// frame is an open entity: one whose end has not come.
type frame struct {
	part     Part
	env      *Envelope // of a message's header; nil for a part of a multipart
	root     bool      // the message itself
	digest   bool      // multipart/digest: its parts are messages unless they say otherwise
	boundary string    // of a multipart, "" for others and after its end
	shadowed int       // place in the stack of the outer multipart with the same boundary, or -1
	lines    int64     // line feeds before BodyStart
	preamble bool      // a multipart before its first boundary
	plain    bool      // a multipart/alternative that had its text/plain
}

func (s *Scanner) top() *frame { return &s.stack[len(s.stack)-1] }

// push opens an entity whose header begins here.
func (s *Scanner) push(f frame) {
	f.part.HeaderStart = s.off
	s.stack = append(s.stack, f)
	s.hdr, s.hdrLine = s.hdr[:0], 0
	s.state = inHeader
}

// endHeader ends the innermost entity's header, and opens what it announces.
func (s *Scanner) endHeader(block []byte, bodyStart int64) {
	f := s.top()
	f.part.BodyStart, f.lines = bodyStart, s.lines
	s.parseHeader(f, block)
	s.state = inBody
	p := &f.part
	if f.env != nil && !f.root {
		s.text.fold([]byte(f.env.Subject))
	}
	switch {
	case p.Type == "multipart":
		s.openMultipart(f)
	case isMessage(p) && !identity(p.Encoding):
		f.octets() // RFC 2046 5.2.1 forbids it; what is inside cannot be reached by offset
	case isMessage(p):
		s.openMessage(f)
	default:
		s.text.begin(p, s.saidPlain())
	}
}

func isMessage(p *Part) bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}

// openMultipart begins a multipart's preamble.
func (s *Scanner) openMultipart(f *frame) {
	if len(s.stack) >= s.limits.MaxDepth {
		s.budget.met("depth")
		f.octets()
		return
	}
	f.digest = f.part.Subtype == "digest"
	f.preamble = true
	f.shadowed = -1
	if f.boundary != "" {
		if at, ok := s.bounds[f.boundary]; ok {
			f.shadowed = at
		}
		if s.bounds == nil {
			s.bounds = make(map[string]int)
		}
		s.bounds[f.boundary] = len(s.stack) - 1
	}
	s.text.begin(&plainPart, false)
}

// plainPart is what a multipart without a part is shown as (RFC 2045 5.2).
var plainPart = Part{Type: "text", Subtype: "plain", Encoding: "7bit"}

// openMessage begins the message within a message/rfc822 part.
func (s *Scanner) openMessage(f *frame) {
	if len(s.stack) >= s.limits.MaxDepth {
		s.budget.met("depth")
		f.octets()
		return
	}
	if !s.budget.part() {
		f.octets()
		return
	}
	f.part.Message = new(Embedded)
	at := f.part.BodyStart
	s.push(frame{env: &f.part.Message.Envelope})
	s.top().part.HeaderStart = at
}

// delimiter obeys a boundary line of the multipart at a place in the stack.
func (s *Scanner) delimiter(at int, closing bool, line []byte, start int64) {
	for s.state == inHeader {
		s.endHeader(nil, start) // an embedded message that ends before it begins
	}
	s.closeAbove(at, start-s.eol, start)
	s.lineEnd(line)
	f := s.top()
	if f.preamble {
		f.preamble = false
		s.text.drop()
	}
	s.state = inBody
	if closing {
		s.forget(f)
		return
	}
	if !s.budget.part() {
		s.push(frame{})
		s.top().opaqueAt(s.off, s.lines)
		s.state = inOpaque
		return
	}
	s.push(frame{})
}

// closeAbove closes all entities within the one at a place in the stack. Their
// content ends at end, before the line end that belongs to the boundary at
// start (RFC 2046 5.1.1).
func (s *Scanner) closeAbove(at int, end, start int64) {
	lines := s.lines
	if end < start {
		lines--
	}
	for len(s.stack)-1 > at {
		if e := s.closeTop(end, lines); e > end { // empty: the line end was its header's
			end, lines = e, s.lines
		}
	}
}

// closeTop closes the innermost entity and hangs it into the one around it. It
// returns where the entity ends.
func (s *Scanner) closeTop(end, lines int64) int64 {
	f := s.top()
	p := &f.part
	p.End = max(p.BodyStart, end)
	p.Lines = max(0, lines-f.lines)
	if p.Type == "multipart" && len(p.Children) == 0 {
		p.Type, p.Subtype, p.Params = "text", "plain", map[string]string{"charset": "us-ascii"}
	}
	s.forget(f)
	if p.Type == "text" && s.text.finish(p) && p.Subtype == "plain" {
		s.sayPlain()
	}
	end = p.End
	if len(s.stack) == 1 {
		return end
	}
	up := &s.stack[len(s.stack)-2].part
	if up.Message != nil {
		up.Message.Root = *p
	} else {
		up.Children = append(up.Children, *p)
	}
	*f = frame{}
	s.stack = s.stack[:len(s.stack)-1]
	return end
}

// forget no longer looks for a multipart's boundary.
func (s *Scanner) forget(f *frame) {
	if f.boundary == "" {
		return
	}
	if f.shadowed >= 0 {
		s.bounds[f.boundary] = f.shadowed
	} else {
		delete(s.bounds, f.boundary)
	}
	f.boundary = ""
}

// saidPlain reports whether text/plain has already said what an HTML part here would.
func (s *Scanner) saidPlain() bool {
	for i := range s.stack {
		if s.stack[i].plain {
			return true
		}
	}
	return false
}

// sayPlain notes that a text/plain part with words in it was here.
func (s *Scanner) sayPlain() {
	for i := range s.stack {
		if p := &s.stack[i].part; p.Type == "multipart" && p.Subtype == "alternative" {
			s.stack[i].plain = true
		}
	}
}

// octets shows an entity as bytes without structure.
func (f *frame) octets() {
	p := &f.part
	p.Type, p.Subtype, p.Params = "application", "octet-stream", nil
	f.boundary = ""
}

// opaque shows an entity as bytes without structure or encoding.
func (f *frame) opaque() {
	f.octets()
	f.part.Encoding = "binary"
}

func (f *frame) opaqueAt(off, lines int64) {
	f.opaque()
	f.part.HeaderStart, f.part.BodyStart, f.lines = off, off, lines
}

// Close ends the message and returns its index. It does not fail on bad MIME:
// beyond a bound the rest is one opaque part and Index.Truncated names the bound.
func (s *Scanner) Close() (*Index, error) {
	if s.closed != nil {
		return s.closed, nil
	}
	s.lastLine()
	size := s.off
	for len(s.stack) > 1 {
		s.closeTop(size, s.lines)
	}
	s.closeTop(size, s.lines)
	root := s.stack[0].part
	s.stack[0] = frame{}
	s.closed = &Index{
		Size:      size,
		Header:    Span{0, root.BodyStart},
		Envelope:  *s.env,
		Root:      root,
		Preview:   string(s.text.preview),
		Text:      string(s.text.folded),
		Fields:    s.fields,
		Truncated: s.budget.truncated,
	}
	return s.closed, nil
}

// lastLine decides about a last line that has no line end.
func (s *Scanner) lastLine() {
	if s.state == inHeader && s.hdrLine < len(s.hdr) {
		s.headerLine()
	}
	if line := s.carry; len(line) > 0 {
		s.carry = s.carry[:0]
		if at, closing, ok := s.match(line); ok {
			s.delimiter(at, closing, line, s.off-int64(len(line)))
		} else {
			s.text.add(line)
		}
	}
	for s.state == inHeader {
		s.endHeader(s.hdr[:min(s.hdrLine, len(s.hdr))], s.off)
	}
}
