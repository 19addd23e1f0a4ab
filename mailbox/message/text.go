package message

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// previewRunes is the length of Index.Preview.
const previewRunes = 200

// textCollector makes Index.Text and Index.Preview from the text parts.
type textCollector struct {
	active   bool
	src      []byte // the current part's content, still encoded
	srcLeft  int    // bytes that may still be read of all parts
	max      int    // bytes of folded
	folded   []byte
	preview  []byte
	decoded  []byte
	stripped []byte
}

func (t *textCollector) reset(l Limits, small func([]byte) []byte) textCollector {
	return textCollector{
		src: small(t.src), srcLeft: l.MaxTextSource, max: l.MaxText, folded: small(t.folded),
		preview: small(t.preview), decoded: small(t.decoded), stripped: small(t.stripped),
	}
}

// begin begins a part's content: text is collected where the reader would see
// it. An HTML part where text/plain has said the same is left out.
func (t *textCollector) begin(p *Part, saidPlain bool) {
	t.src = t.src[:0]
	t.active = p.Type == "text" && (p.Subtype == "plain" || p.Subtype == "html" && !saidPlain) &&
		p.Disposition != "attachment" && (len(t.folded) < t.max || len(t.preview) == 0)
}

func (t *textCollector) add(b []byte) {
	if !t.active {
		return
	}
	b = b[:min(len(b), t.srcLeft)]
	t.srcLeft -= len(b)
	t.src = append(t.src, b...)
}

// drop forgets the current part: it was no text after all.
func (t *textCollector) drop() {
	if t.active {
		t.srcLeft += len(t.src)
		t.active = false
	}
}

// finish ends a part's content; it reports whether there were words in it.
func (t *textCollector) finish(p *Part) bool {
	if !t.active {
		return false
	}
	t.active = false
	text := t.src
	if d := newDecoder(p.Encoding); d != nil {
		t.decoded = d.flush(d.decode(t.decoded[:0], text))
		text = t.decoded
	}
	if t.srcLeft == 0 {
		text = cutRune(text, len(text))
	}
	text = toUTF8(p.Params["charset"], text)
	if p.Subtype == "html" {
		t.stripped = htmlText(t.stripped[:0], text)
		text = t.stripped
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return false
	}
	t.fold(text)
	if len(t.preview) == 0 {
		t.preview = appendPreview(t.preview, text)
	}
	return true
}

// fold appends text to what can be searched, apart from what was there.
func (t *textCollector) fold(text []byte) {
	if n := len(t.folded); n > 0 && n < t.max && len(text) > 0 && t.folded[n-1] != ' ' {
		t.folded = append(t.folded, ' ')
	}
	t.folded = appendFold(t.folded, text, t.max)
}

// appendPreview appends the first words of text: white space as one blank, no
// control characters.
func appendPreview(dst, text []byte) []byte {
	space := true
	for n := 0; n < previewRunes && len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		switch {
		case unicode.IsSpace(r):
			if !space {
				dst = append(dst, ' ')
				n++
			}
			space = true
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
		default:
			dst = append(dst, text[:size]...)
			n++
			space = false
		}
		text = text[size:]
	}
	if n := len(dst); n > 0 && dst[n-1] == ' ' {
		dst = dst[:n-1]
	}
	return dst
}

// cutRune returns at most n bytes of b, without a rune that is cut at the end.
func cutRune(b []byte, n int) []byte {
	b = b[:min(n, len(b))]
	for i := 1; i <= min(utf8.UTFMax, len(b)); i++ {
		c := b[len(b)-i]
		if c < utf8.RuneSelf {
			break
		}
		if utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
