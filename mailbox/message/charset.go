package message

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// toUTF8 returns b, which is in charset, as UTF-8. The result may be b. What
// the charset does not know becomes U+FFFD; where the charset is missing,
// unknown or plainly wrong, b is UTF-8 if it can be, Windows-1252 otherwise.
func toUTF8(charset string, b []byte) []byte {
	if isASCII(b) && !shifts(charset) {
		return b
	}
	b = bytes.TrimPrefix(b, utf8BOM)
	switch charset = strings.ToLower(strings.TrimSpace(charset)); charset {
	case "utf-8", "utf8", "", "us-ascii", "ascii", "unknown-8bit", "x-unknown":
		return guess(b)
	}
	enc := lookup(charset)
	if enc == nil {
		return guess(b)
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return guess(b)
	}
	if !utf8.Valid(out) {
		out = bytes.ToValidUTF8(out, []byte("\uFFFD"))
	}
	return bytes.TrimPrefix(out, utf8BOM)
}

var utf8BOM = []byte("\uFEFF")

// shifts reports whether bytes below 128 may mean something else than ASCII.
func shifts(charset string) bool {
	if len(charset) < 2 {
		return false
	}
	switch charset[0] | 0x20 {
	case 'u': // UTF-16, UTF-32, but neither UTF-8 nor US-ASCII
		return !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii")
	case 'i': // ISO-2022-*, but not ISO-8859-*
		return !strings.HasPrefix(strings.ToLower(charset), "iso-8859")
	case 'w':
		return false
	}
	return true
}

// lookup returns a charset's decoder, nil if there is none. The names and the
// supersets of the WHATWG list come first: mail that says ISO-8859-1 is
// Windows-1252.
func lookup(charset string) encoding.Encoding {
	if enc, err := htmlindex.Get(charset); err == nil && enc != encoding.Replacement {
		return enc
	}
	if enc, err := ianaindex.MIME.Encoding(charset); err == nil && enc != nil {
		return enc
	}
	return nil
}

// guess returns b as UTF-8 where no charset helps.
func guess(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	fixed := bytes.ToValidUTF8(b, []byte("\uFFFD"))
	for rest := fixed; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r >= utf8.RuneSelf && r != utf8.RuneError {
			return fixed // UTF-8 with a scratch in it
		}
		rest = rest[n:]
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return fixed
	}
	return out
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// clean returns b as UTF-8 text of one line: white space of any kind is a
// blank; control characters and those that change the direction of writing,
// which make names lie, are left out.
func clean(b []byte) string {
	plain := true
	for _, c := range b {
		if c < ' ' || c >= 127 {
			plain = false
			break
		}
	}
	if plain {
		return string(b)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case invisible(r):
			return -1
		}
		return r
	}, string(guess(b))))
}

// invisible reports whether r is a control character or one that changes the
// direction of writing.
func invisible(r rune) bool {
	return r < ' ' || r >= 0x7F && r < 0xA0 || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0xFEFF
}
