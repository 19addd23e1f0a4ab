package message

import "bytes"

// DecodeHeader returns an unfolded field value with its encoded words decoded
// (RFC 2047), as UTF-8 without control characters.
func DecodeHeader(value string) string { return decodeText([]byte(value)) }

// maxWord bounds an encoded word: RFC 2047 2 allows 75 characters, many
// senders write longer ones.
const maxWord = 1024

// decodeText decodes the encoded words in v. It is more lenient than RFC 2047:
// words inside quoted strings count, and words of one charset are put together
// before they are decoded, for senders that cut a character in two.
func decodeText(v []byte) string {
	if !bytes.Contains(v, []byte("=?")) {
		return clean(v)
	}
	var out []byte     // UTF-8
	var pending []byte // decoded bytes of words of one charset
	var charset string
	flush := func() {
		out = append(out, toUTF8(charset, pending)...)
		pending = pending[:0]
	}
	for len(v) > 0 {
		i := bytes.Index(v, []byte("=?"))
		if i < 0 {
			break
		}
		w, n := nextWord(v[i:])
		if n == 0 {
			flush()
			out = append(out, guess(v[:i+2])...)
			v = v[i+2:]
			continue
		}
		// White space between two encoded words is not text (RFC 2047 6.2).
		if len(pending) == 0 || len(bytes.TrimLeft(v[:i], " \t\r\n")) > 0 {
			flush()
			out = append(out, guess(v[:i])...)
		} else if charset != w.charset {
			flush()
		}
		charset = w.charset
		pending = w.decode(pending)
		v = v[i+n:]
	}
	flush()
	return clean(append(out, guess(v)...))
}

// word is one encoded word as written.
type word struct {
	charset string
	base64  bool
	text    []byte
}

// nextWord reads the encoded word that begins v and returns its length, 0 if
// none does.
func nextWord(v []byte) (w word, n int) {
	b := v[2:min(len(v), maxWord)]
	charset, b, ok := bytes.Cut(b, []byte{'?'})
	if !ok || len(charset) == 0 || len(charset) > 64 || len(b) < 4 || b[1] != '?' {
		return w, 0
	}
	charset, _, _ = bytes.Cut(charset, []byte{'*'}) // RFC 2231 5: a language
	switch b[0] {
	case 'B', 'b':
		w.base64 = true
	case 'Q', 'q':
	default:
		return w, 0
	}
	text := b[2:]
	end := bytes.Index(text, []byte("?="))
	if end < 0 {
		return w, 0
	}
	w.charset, w.text = string(charset), text[:end]
	return w, len(v[2:min(len(v), maxWord)]) - len(text) + end + 2 + 2
}

// decode appends the word's bytes, in its charset, to dst.
func (w word) decode(dst []byte) []byte {
	if w.base64 {
		var d base64Decoder
		return d.flush(d.decode(dst, w.text))
	}
	for i := 0; i < len(w.text); i++ {
		c := w.text[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(w.text):
			if hi, lo := unhex(w.text[i+1]), unhex(w.text[i+2]); hi < 16 && lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		dst = append(dst, c)
	}
	return dst
}
