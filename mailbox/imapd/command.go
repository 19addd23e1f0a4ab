package imapd

import (
	"bytes"
	"strconv"
	"strings"
)

// assembler turns the bytes of a client into one command on one line: strings
// that the client sent as literals are quoted, so that what the library parses
// has no literal in it and exactly one line end, its last two bytes. Whatever
// the library makes of such a line, it cannot lose step.
//
// Framing is strict where two readers could disagree (RFC 9051 9): CR and LF
// only together, no NUL, no line end within quotes, no "{" outside quotes but
// in a literal's announcement, and nothing after the announcement on its line.
type assembler struct {
	limit    int  // bytes of the command, literals included
	maxDepth int  // parentheses within each other
	append   bool // a literal may be an APPEND's message

	line   []byte // what the library will be given
	taken  int    // bytes taken from the client
	state  lexState
	left   int64  // bytes of the literal still to come
	brace  bool   // a "{" stood outside quotes in this line
	depth  int    // parentheses open now
	spoilt string // why the command, once it is whole, is answered BAD
}

type lexState uint8

const (
	inText lexState = iota
	inCR            // after CR in text
	inQuoted
	inEscape // after a backslash in quotes
	inLiteral
)

// step is what take came to.
type step uint8

const (
	stepMore    step = iota // needs more bytes
	stepDone                // line is a whole command
	stepInvite              // a literal was announced, whose bytes the client holds back until told
	stepMessage             // the literal announced is an APPEND's message
)

// announced is the literal that ended a line.
type announced struct {
	size    int64
	nonSync bool // "{n+}": the client does not wait (RFC 7888)
}

// violation is a break of framing, after which the connection cannot go on.
type violation struct {
	status string // "BAD" or "NO [TOOBIG]"; empty where the command has its answer
	text   string
}

func (v *violation) Error() string { return v.text }

func bad(text string) *violation { return &violation{"BAD [CLIENTBUG]", text} }

const (
	// maxNonSync is the most that a literal may hold that is sent unasked
	// (RFC 7888 4).
	maxNonSync = 4096
	longest    = 1 << 62
)

// take takes bytes from b until something happened. It returns how many.
func (a *assembler) take(b []byte) (n int, s step, lit announced, err error) {
	for n < len(b) {
		if a.state == inLiteral {
			k := a.takeLiteral(b[n:])
			n += k
			continue
		}
		c := b[n]
		n++
		if a.taken++; a.taken > a.limit {
			return n, stepMore, lit, &violation{"BAD [TOOBIG]", "Command too long"}
		}
		if s, lit, err = a.takeByte(c); s != stepMore || err != nil {
			return n, s, lit, err
		}
	}
	return n, stepMore, lit, nil
}

// takeByte takes one byte outside a literal.
func (a *assembler) takeByte(c byte) (step, announced, error) {
	if c == 0 {
		return stepMore, announced{}, bad("NUL is not allowed")
	}
	if a.state == inCR {
		if c != '\n' {
			return stepMore, announced{}, bad("Carriage return without line feed")
		}
		return a.endLine()
	}
	switch {
	case c == '\n', c == '\r' && a.state != inText:
		return stepMore, announced{}, bad("Line end where none may be")
	case c == '\r':
		a.state = inCR
		return stepMore, announced{}, nil
	case a.state == inEscape:
		a.state = inQuoted
	case a.state == inQuoted && c == '\\':
		a.state = inEscape
	case c == '"' && a.state == inQuoted:
		a.state = inText
	case c == '"':
		a.state = inQuoted
	case a.state == inText && c == '{':
		if a.brace {
			return stepMore, announced{}, bad("Malformed literal")
		}
		a.brace = true
	case a.state == inText && c == '(':
		if a.depth++; a.depth > a.maxDepth {
			a.spoilt = "Parentheses nested too deep"
		}
	case a.state == inText && c == ')':
		a.depth--
	}
	a.line = append(a.line, c)
	return stepMore, announced{}, nil
}

// endLine is at CRLF: the end of the command, or of a literal's announcement.
func (a *assembler) endLine() (step, announced, error) {
	a.state = inText
	if !a.brace {
		a.line = append(a.line, '\r', '\n')
		return stepDone, announced{}, nil
	}
	a.brace = false
	start, lit, ok := literalAt(a.line)
	switch {
	case !ok:
		return stepMore, lit, bad("Malformed literal")
	case lit.nonSync && lit.size > maxNonSync:
		return stepMore, lit, &violation{"BAD [TOOBIG]", "Literals sent unasked are limited to 4096 bytes"}
	case a.append && isMessage(a.line[:start]):
		// The library must agree before it sees one byte of the message, so
		// it is always told that the client waits.
		a.line = append(a.line[:start], "{"+strconv.FormatInt(lit.size, 10)+"}\r\n"...)
		return stepMessage, lit, nil
	case lit.size > int64(a.limit-a.taken):
		return stepMore, lit, &violation{"BAD [TOOBIG]", "Command too long"}
	case a.line[start-1] == '~':
		return stepMore, lit, bad("Binary literals are for APPEND's message alone")
	}
	a.line = append(a.line[:start], '"')
	a.state, a.left = inLiteral, lit.size
	if lit.size == 0 {
		a.endLiteral()
	}
	if lit.nonSync {
		return stepMore, lit, nil
	}
	return stepInvite, lit, nil
}

// takeLiteral quotes bytes of the open literal.
func (a *assembler) takeLiteral(b []byte) int {
	n := int(min(a.left, int64(len(b))))
	for _, c := range b[:n] {
		switch c {
		case 0, '\r', '\n':
			// Cannot be quoted (RFC 9051 9, QUOTED-CHAR), and no name,
			// password or search text has it.
			a.spoilt = "Line ends and NUL are not allowed in a string"
			continue
		case '"', '\\':
			a.line = append(a.line, '\\')
		}
		a.line = append(a.line, c)
	}
	a.taken += n
	if a.left -= int64(n); a.left == 0 {
		a.endLiteral()
	}
	return n
}

func (a *assembler) endLiteral() {
	a.line = append(a.line, '"')
	a.state = inText
}

// literalAt finds the announcement that ends a line, and what it says. One
// that stands where no string can begin is none.
func literalAt(line []byte) (start int, lit announced, ok bool) {
	start = bytes.LastIndexByte(line, '{')
	if start < 1 || !bytes.HasSuffix(line, []byte("}")) || !strings.ContainsRune(" (~", rune(line[start-1])) {
		return 0, lit, false
	}
	num := line[start+1 : len(line)-1]
	num, lit.nonSync = bytes.CutSuffix(num, []byte("+"))
	if len(num) == 0 || len(bytes.Trim(num, "0123456789")) > 0 {
		return 0, lit, false
	}
	size, err := strconv.ParseInt(string(num), 10, 64)
	if err != nil {
		size = longest
	}
	lit.size = size
	return start, lit, true
}

// isMessage reports whether the literal after head is an APPEND's message: its
// mailbox name is there.
func isMessage(head []byte) bool {
	tag, name := nameOf(head)
	if name != "APPEND" {
		return false
	}
	rest := bytes.TrimRight(head[len(tag)+1+len(name):], "~(")
	return len(bytes.TrimSpace(rest)) > 0
}

// nameOf returns a command's tag and its name in capitals, "UID FETCH" for a
// command with UID; empty strings where the line has none.
func nameOf(line []byte) (tag, name string) {
	t, rest, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
	if len(t) == 0 || len(t) > 64 || !isTag(t) {
		return "", ""
	}
	n, rest, _ := bytes.Cut(rest, []byte(" "))
	if name = strings.ToUpper(string(n)); name == "UID" {
		n, _, _ = bytes.Cut(rest, []byte(" "))
		name += " " + strings.ToUpper(string(n))
	}
	return string(t), name
}

// isTag reports whether t can be a tag (RFC 9051 9: ASTRING-CHAR but "+").
func isTag(t []byte) bool {
	for _, c := range t {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\+`, c) >= 0 {
			return false
		}
	}
	return true
}
