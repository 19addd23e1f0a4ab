package message

import (
	"bytes"
	"strings"
)

// tokenEnd returns the length of the token (RFC 2045 5.1) at the beginning of
// v, after white space.
func tokenEnd(v []byte) int {
	i := len(v) - len(bytes.TrimLeft(v, " \t"))
	for i < len(v) && isToken(v[i]) {
		i++
	}
	return i
}

func isToken(c byte) bool {
	return c > ' ' && c < 127 && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// commonTokens spares the allocation of what nearly every header says.
var commonTokens = [...]string{
	"text", "plain", "html", "multipart", "mixed", "alternative", "related", "application", "pdf", "octet-stream",
	"image", "jpeg", "png", "message", "rfc822", "calendar", "zip", "xml",
	"base64", "quoted-printable", "7bit", "8bit", "binary", "attachment", "inline",
}

// token returns the token at the beginning of v, lower-case.
func token(v []byte) string {
	v = bytes.TrimLeft(v[:tokenEnd(v)], " \t")
	for _, c := range commonTokens {
		if string(v) == c {
			return c
		}
	}
	return strings.ToLower(string(v))
}

// param is one parameter as written.
type param struct {
	name     string // lower-case, without the asterisks
	section  int    // RFC 2231 3: which piece it is; 0 for a whole one
	extended bool   // RFC 2231 4: percent-encoded, the first with a charset
	starred  bool   // either of these
	value    []byte
}

// params reads the parameters that follow the first word of v. The map is
// within the budget; boundary is the parameter of that name, unchanged.
func (s *Scanner) params(v []byte) (m map[string]string, boundary string) {
	m, boundary, left := parseParams(v, s.budget.params)
	if left {
		s.budget.met("params")
	}
	for k, val := range m {
		if !s.budget.keep(len(k) + len(val) + 2*stringCost) {
			delete(m, k)
		}
	}
	if len(m) == 0 {
		m = nil
	}
	return m, boundary
}

// parseParams reads at most n parameters (RFC 2045 5.1, RFC 2231); left tells
// that there were more. Of two with one name the first counts.
func parseParams(v []byte, n int) (m map[string]string, boundary string, left bool) {
	v = bytes.TrimLeft(v[tokenEnd(v):], " \t")
	if len(v) > 0 && v[0] == '/' {
		v = v[1:]
		v = v[tokenEnd(v):]
	}
	var pieces []param
	for ; ; n-- {
		var p param
		var ok bool
		if p, v, ok = nextParam(v); !ok {
			break
		}
		if n == 0 {
			left = true
			break
		}
		if p.name == "" {
			continue
		}
		if m == nil {
			m = make(map[string]string, 2)
		}
		if p.starred {
			pieces = append(pieces, p)
			continue
		}
		if _, dup := m[p.name]; dup {
			continue
		}
		if p.name == "boundary" {
			boundary = trimBoundary(p.value)
		}
		m[p.name] = decodeText(p.value)
	}
	joinPieces(m, pieces)
	if boundary == "" {
		boundary = trimBoundary([]byte(m["boundary"]))
	}
	return m, boundary, left
}

// trimBoundary returns a boundary that can be looked for, "" for none.
func trimBoundary(v []byte) string {
	v = bytes.TrimRight(v, " \t")
	if len(v) > maxDelimiter-10 {
		return ""
	}
	return string(v)
}

// nextParam reads one parameter from v and returns what follows it.
func nextParam(v []byte) (p param, rest []byte, ok bool) {
	for len(v) > 0 {
		v = bytes.TrimLeft(v, " \t;,\r\n")
		if len(v) > 0 && v[0] == '(' {
			v = v[commentEnd(v):]
			continue
		}
		eq := tokenEnd(v)
		name := v[:eq]
		after := bytes.TrimLeft(v[eq:], " \t")
		if len(name) == 0 || len(after) == 0 || after[0] != '=' {
			// No parameter: on to the next semicolon.
			i := bytes.IndexByte(v, ';')
			if i < 0 {
				return p, nil, false
			}
			v = v[i:]
			continue
		}
		p = namedParam(name)
		p.value, rest = paramValue(bytes.TrimLeft(after[1:], " \t"))
		return p, rest, true
	}
	return p, nil, false
}

// paramValue reads a value, quoted or not. An unquoted one goes leniently to
// the next semicolon: file names with blanks are common.
func paramValue(v []byte) (value, rest []byte) {
	v = bytes.TrimRight(v, " \t\r\n")
	if len(v) > 0 && v[0] == '"' {
		return quoted(v)
	}
	noComment := false
	for i, c := range v {
		if c == ';' {
			return v[:i], v[i:]
		}
		if i == 0 || v[i-1] != ' ' && v[i-1] != '\t' {
			continue
		}
		if c == '(' && !noComment {
			if after := bytes.TrimLeft(v[i+commentEnd(v[i:]):], " \t"); len(after) == 0 || after[0] == ';' {
				return bytes.TrimRight(v[:i], " \t"), after
			}
			noComment = true // holiday (1).pdf
		}
		if n := tokenEnd(v[i:]); n > 0 && i+n < len(v) && v[i+n] == '=' && c != ' ' && c != '\t' {
			return bytes.TrimRight(v[:i], " \t"), v[i:] // the semicolon is missing
		}
	}
	return v, nil
}

// quoted reads a quoted string; one without its end goes to the end of v.
func quoted(v []byte) (value, rest []byte) {
	if i := bytes.IndexAny(v[1:], `"\`); i >= 0 && v[1+i] == '"' {
		return v[1 : 1+i], v[i+2:]
	}
	for i := 1; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			return value, v[i+1:]
		case c == '\\' && i+1 < len(v):
			i++
			value = append(value, v[i])
		default:
			value = append(value, c)
		}
	}
	return value, nil
}

// commentEnd returns the length of the comment that begins v (RFC 5322 3.2.2).
func commentEnd(v []byte) int {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(v)
}
