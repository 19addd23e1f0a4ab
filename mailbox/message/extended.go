package message

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// namedParam splits a name as RFC 2231 writes it: title*0*.
func namedParam(raw []byte) param {
	name := strings.ToLower(string(raw))
	base, tail, starred := strings.Cut(name, "*")
	p := param{name: base, starred: starred}
	if !starred {
		return p
	}
	if tail, p.extended = strings.CutSuffix("*"+tail, "*"); tail == "" {
		return p // title*
	}
	n, err := strconv.Atoi(strings.TrimPrefix(tail, "*"))
	if err != nil || n < 0 {
		return param{name: name}
	}
	p.section = n
	return p
}

// joinPieces puts RFC 2231 parameters together and into m. They count before
// a plain one of the same name, which stands there for older readers.
func joinPieces(m map[string]string, pieces []param) {
	slices.SortStableFunc(pieces, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return a.section - b.section
	})
	for i := 0; i < len(pieces); {
		name := pieces[i].name
		var raw []byte
		var charset string
		next := 0
		for ; i < len(pieces) && pieces[i].name == name; i++ {
			p := pieces[i]
			if p.section != next {
				continue // twice the same, or one is missing
			}
			next++
			if p.extended && p.section == 0 {
				charset, p.value = languageTag(p.value)
			}
			if p.extended {
				raw = append(raw, percentDecode(p.value)...)
			} else {
				raw = append(raw, p.value...)
			}
		}
		if next > 0 {
			m[name] = clean([]byte(toUTF8(charset, raw)))
		}
	}
}

// languageTag splits charset'language'text (RFC 2231 4).
func languageTag(v []byte) (charset string, text []byte) {
	if a, b, ok := bytes.Cut(v, []byte{'\''}); ok {
		if _, c, ok := bytes.Cut(b, []byte{'\''}); ok {
			return string(a), c
		}
	}
	return "", v
}

// percentDecode undoes %XX; what is no such triple stays.
func percentDecode(v []byte) []byte {
	if bytes.IndexByte(v, '%') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] == '%' && i+2 < len(v) {
			if hi, lo := unhex(v[i+1]), unhex(v[i+2]); hi < 16 && lo < 16 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, v[i])
	}
	return out
}

// unhex returns the value of a hexadecimal digit, 255 for another byte.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}
