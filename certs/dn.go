package certs

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"pli/internal/errs"
)

// ParseDN reads a name as RFC 4514 writes it, and the national list:
// "CN=…,OU=…,O=…,ST=Haute-Garonne (31),C=FR". Spaces around separators and
// values in quotes (RFC 1779) are read too; values in "#hex" are not.
func ParseDN(s string) (Name, error) {
	if len(s) > maxDN {
		return Name{}, errs.New(errs.TooLarge, "the distinguished name is over %d bytes", maxDN)
	}
	if !utf8.ValidString(s) {
		return Name{}, errs.New(errs.Invalid, "the distinguished name is not UTF-8")
	}
	var n Name
	for count := 0; ; count++ {
		word, rest, ok := strings.Cut(s, "=")
		if !ok {
			return Name{}, errs.New(errs.Invalid, "the distinguished name has a part without =")
		}
		oid, ok := attributeType(strings.TrimSpace(word))
		if !ok {
			return Name{}, errs.New(errs.Invalid, "the distinguished name has a part of unknown type %q", strings.TrimSpace(word))
		}
		value, rest, ok := cutValue(strings.TrimLeft(rest, " "))
		if !ok || value == "" || count == maxAttrs {
			return Name{}, errs.New(errs.Invalid, "the distinguished name has a value that cannot be read")
		}
		n.add(oid, value)
		if rest == "" {
			return n, nil
		}
		s = rest[1:] // the separator: the parts of one RDN count as others do
	}
}

// attributeType returns the OID of a word or of a dotted OID.
func attributeType(word string) (string, bool) {
	if oid, ok := oids[strings.ToUpper(word)]; ok {
		return oid, true
	}
	arcs := strings.Split(word, ".")
	for _, arc := range arcs {
		if arc == "" || len(arc) > 10 || strings.Trim(arc, "0123456789") != "" || len(arc) > 1 && arc[0] == '0' {
			return "", false
		}
	}
	return word, len(arcs) > 1
}

// cutValue reads a value up to a separator, which rest begins with.
func cutValue(s string) (value, rest string, ok bool) {
	var b strings.Builder
	quoted := strings.HasPrefix(s, `"`)
	kept := 0 // up to where spaces belong to the value
	i := 0
	if quoted {
		i = 1
	} else if strings.HasPrefix(s, "#") {
		return "", "", false
	}
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			n, good := unescape(s[i+1:], &b)
			if !good {
				return "", "", false
			}
			i += n
			kept = b.Len()
		case quoted && c == '"':
			rest = strings.TrimLeft(s[i+1:], " ")
			return b.String(), rest, utf8.ValidString(b.String()) && (rest == "" || strings.ContainsRune(",;+", rune(rest[0])))
		case !quoted && (c == ',' || c == ';' || c == '+'):
			return b.String()[:kept], s[i:], utf8.ValidString(b.String())
		case !quoted && (c == '"' || c == '<' || c == '>' || c == 0):
			return "", "", false
		default:
			b.WriteByte(c)
			if c != ' ' {
				kept = b.Len()
			}
		}
	}
	return b.String()[:kept], "", !quoted && utf8.ValidString(b.String())
}

// unescape reads what follows a backslash and how many bytes it takes.
func unescape(s string, b *strings.Builder) (int, bool) {
	if len(s) >= 2 {
		if c, err := hex.DecodeString(s[:2]); err == nil {
			b.Write(c)
			return 2, true
		}
	}
	if s == "" || !strings.ContainsRune(` "#+,;<=>\`, rune(s[0])) {
		return 0, false
	}
	b.WriteByte(s[0])
	return 1, true
}
