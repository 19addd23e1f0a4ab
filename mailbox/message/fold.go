package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold returns s as every search compares it: without case and accents, œ and
// ß spelled out, runs of white space as one blank, typographic quotes and
// dashes as plain ones, invisible characters left out. What Fold returns,
// Fold leaves as it is.
func Fold(s string) string {
	return string(appendFold(make([]byte, 0, len(s)), []byte(s), 3*len(s)+4))
}

// latinFold holds the folded letter of U+00C0 to U+017F, or '*' where it is
// not one ASCII letter.
const latinFold = "aaaaaa*ceeeeiiiidnooooo*ouuuuy**aaaaaa*ceeeeiiiidnooooo*ouuuuy*y" +
	"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii**jjkk*llllll*" +
	"*llnnnnnn***oooooo**rrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

// appendFold appends src, folded, to dst, until dst has max bytes.
func appendFold(dst, src []byte, max int) []byte {
	for i := 0; i < len(src) && len(dst) < max; {
		c := src[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c > ' ' && c < 127:
				if c >= 'A' && c <= 'Z' {
					c += 'a' - 'A'
				}
				dst = append(dst, c)
			case c == ' ' || c >= '\t' && c <= '\r':
				dst = appendBlank(dst)
			}
			continue
		}
		r, n := utf8.DecodeRune(src[i:])
		i += n
		if r >= 0xC0 && r <= 0x17F && latinFold[r-0xC0] != '*' {
			dst = append(dst, latinFold[r-0xC0])
			continue
		}
		if dst = appendFoldRune(dst, r); len(dst) > max {
			dst = cutRune(dst, max)
		}
	}
	return dst
}

func appendBlank(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] == ' ' {
		return dst
	}
	return append(dst, ' ')
}

// appendFoldRune folds a rune that is not in the tables.
func appendFoldRune(dst []byte, r rune) []byte {
	if r == utf8.RuneError {
		return dst
	}
	r = unicode.ToLower(unicode.ToUpper(r))
	if s := spelled(r); s != "" {
		return append(dst, s...)
	}
	var one [utf8.UTFMax]byte
	d := norm.NFKD.Properties(one[:utf8.EncodeRune(one[:], r)]).Decomposition()
	if d == nil {
		return appendSimple(dst, r)
	}
	for len(d) > 0 {
		r, n := utf8.DecodeRune(d)
		r = unicode.ToLower(unicode.ToUpper(r))
		if s := spelled(r); s != "" {
			dst = append(dst, s...)
		} else {
			dst = appendSimple(dst, r)
		}
		d = d[n:]
	}
	return dst
}

// appendSimple appends a rune that has no decomposition, if it can be seen.
func appendSimple(dst []byte, r rune) []byte {
	switch {
	case unicode.IsSpace(r):
		return appendBlank(dst)
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Cc):
		return dst
	}
	return utf8.AppendRune(dst, r)
}

// spelled returns what stands for a lower-case letter or a sign that Unicode
// does not decompose.
func spelled(r rune) string {
	switch r {
	case 'ß':
		return "ss"
	case 'æ':
		return "ae"
	case 'œ':
		return "oe"
	case 'ø':
		return "o"
	case 'đ', 'ð':
		return "d"
	case 'þ':
		return "th"
	case 'ł':
		return "l"
	case 'ħ':
		return "h"
	case 'ı':
		return "i"
	case 'ŧ':
		return "t"
	case '‘', '’', 'ʼ', '‛', '′':
		return "'"
	case '“', '”', '„', '«', '»':
		return `"`
	case '‐', '‑', '‒', '–', '—', '―', '−':
		return "-"
	}
	return ""
}
