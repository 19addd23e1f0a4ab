package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// ParseAddresses reads an address list (RFC 5322 3.4, RFC 6532), leniently, at
// most max addresses of it. Names are decoded; groups are flattened.
func ParseAddresses(value string, max int) []Address {
	return parseAddresses([]byte(value), max)
}

// addressReader gathers one mailbox at a time from a list.
type addressReader struct {
	list    []Address
	phrase  []byte // words outside angle brackets, quotes undone
	at      int    // place of the last unquoted @ in phrase, or -1
	whole   bool   // phrase up to that @ is one quoted local part
	spec    []byte // what stood in angle brackets
	angle   bool   // there were angle brackets
	comment []byte // the last comment
}

func parseAddresses(v []byte, max int) []Address {
	r := addressReader{at: -1}
	for i := 0; i < len(v) && len(r.list) < max; {
		switch c := v[i]; c {
		case '"':
			text, rest := quoted(v[i:])
			r.whole = len(r.phrase) == 0 && len(rest) > 0 && rest[0] == '@'
			r.phrase = append(r.phrase, text...)
			i = len(v) - len(rest)
		case '(':
			n := commentEnd(v[i:])
			r.comment = bytes.TrimSuffix(v[i+1:i+n], []byte{')'})
			i += n
		case '<':
			if r.angle { // <a@b> <c@d>: nobody may take one for the other
				r.emit()
			}
			n := angleEnd(v[i:])
			r.spec, r.angle = bytes.Trim(v[i:i+n], "<>"), true
			i += n
		case ',', ';':
			r.emit()
			i++
		case ':':
			if r.at >= 0 || r.angle { // not the name of a group
				r.phrase = append(r.phrase, c)
			} else { // RFC 5322 3.4: what came was a group's name
				r.phrase = r.phrase[:0]
			}
			i++
		default:
			i += r.char(v[i:])
		}
	}
	if len(r.list) < max {
		r.emit()
	}
	return r.list
}

// char takes one character of the phrase, or one encoded word, which may hold
// characters that would mean something outside of it.
func (r *addressReader) char(v []byte) int {
	switch c := v[0]; {
	case c == '=' && len(v) > 1 && v[1] == '?':
		if w, n := nextWord(v); n > 0 && bytes.IndexByte(w.text, '@') < 0 {
			r.phrase = append(r.phrase, v[:n]...)
			return n
		}
	case c == '@':
		r.at = len(r.phrase)
	case c == '\\' && len(v) > 1:
		r.phrase = append(r.phrase, v[1])
		return 2
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		if n := len(r.phrase); n > 0 && r.phrase[n-1] != ' ' {
			r.phrase = append(r.phrase, ' ')
		}
		return 1
	}
	r.phrase = append(r.phrase, v[0])
	return 1
}

// emit ends one mailbox.
func (r *addressReader) emit() {
	var a Address
	switch {
	case r.angle:
		a.Name = decodeText(bytes.TrimSpace(r.phrase))
		a.Mailbox, a.Host = splitSpec(r.spec)
		if a.Name == "" { // <user@host> (Name)
			a.Name = decodeText(bytes.TrimSpace(r.comment))
		}
		if a.Mailbox == "" { // <> or <@host>: the name is all there is
			a.Mailbox, a.Name = a.Name, ""
		}
	case r.at >= 0:
		// user@host (Name), or, badly, Name user@host
		local := bytes.TrimSpace(r.phrase[:r.at])
		name := r.comment
		if i := bytes.LastIndexByte(local, ' '); i >= 0 && len(name) == 0 && !r.whole {
			name, local = local[:i], local[i+1:]
		}
		a.Name = decodeText(bytes.TrimSpace(name))
		a.Mailbox, a.Host = cleanSpec(local), cleanHost(r.phrase[r.at+1:])
	default:
		a.Mailbox = decodeText(bytes.TrimSpace(r.phrase))
	}
	if a.Mailbox != "" {
		r.list = append(r.list, a)
	}
	*r = addressReader{list: r.list, phrase: r.phrase[:0], at: -1}
}

// angleEnd returns the length of what stands in angle brackets; without the
// closing one it ends before the next comma.
func angleEnd(v []byte) int {
	comma := len(v)
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '>':
			return i + 1
		case '"':
			_, rest := quoted(v[i:])
			i = len(v) - len(rest) - 1
		case ',':
			comma = min(comma, i)
		case '<':
			if comma < len(v) { // the next mailbox
				return comma
			}
		}
	}
	return comma
}

// splitSpec splits local@host, whose local part may be quoted and which an
// obsolete route may precede (RFC 5322 4.4).
func splitSpec(v []byte) (local, host string) {
	v = bytes.TrimSpace(withoutComments(v))
	if len(v) > 0 && v[0] == '@' {
		if i := bytes.IndexByte(v, ':'); i >= 0 {
			v = bytes.TrimSpace(v[i+1:])
		}
	}
	if len(v) > 0 && v[0] == '"' {
		text, rest := quoted(v)
		rest = bytes.TrimSpace(rest)
		if len(rest) > 0 && rest[0] == '@' {
			return cleanSpec(text), cleanHost(rest[1:])
		}
	}
	i := bytes.LastIndexByte(v, '@')
	if i < 0 {
		return cleanSpec(v), ""
	}
	return cleanSpec(bytes.TrimSpace(v[:i])), cleanHost(v[i+1:])
}

// cleanHost returns a domain without white space.
func cleanHost(v []byte) string {
	if v = bytes.TrimSpace(v); bytes.IndexByte(v, ' ') >= 0 {
		v = bytes.ReplaceAll(v, []byte{' '}, nil)
	}
	return cleanSpec(v)
}

// cleanSpec returns part of an address as UTF-8 text of one line. What clean
// leaves out becomes U+FFFD here: an address that had it must not become
// another one's.
func cleanSpec(v []byte) string {
	s := string(guess(v))
	if !strings.ContainsFunc(s, invisible) {
		return s
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if invisible(r) {
			return utf8.RuneError
		}
		return r
	}, s))
}

// withoutComments returns v without its comments (RFC 5322 3.2.2); a
// parenthesis in a quoted string begins none.
func withoutComments(v []byte) []byte {
	if bytes.IndexByte(v, '(') < 0 {
		return v
	}
	var out []byte
	for i := 0; i < len(v); {
		n := 1
		switch v[i] {
		case '"':
			_, rest := quoted(v[i:])
			n = len(v) - i - len(rest)
		case '(':
			i += commentEnd(v[i:])
			continue
		}
		out = append(out, v[i:i+n]...)
		i += n
	}
	return out
}
