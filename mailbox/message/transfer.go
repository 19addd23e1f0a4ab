package message

import (
	"bytes"
	"io"
)

// identity reports whether a content transfer encoding changes nothing (RFC
// 2045 6.2); one that is not known is taken so.
func identity(encoding string) bool {
	return encoding != "base64" && encoding != "quoted-printable"
}

// decoder undoes a content transfer encoding piece by piece.
type decoder interface {
	decode(dst, src []byte) []byte // appends what src says to dst
	flush(dst []byte) []byte       // appends what the end makes certain
}

func newDecoder(encoding string) decoder {
	switch encoding {
	case "base64":
		return new(base64Decoder)
	case "quoted-printable":
		return new(qpDecoder)
	}
	return nil
}

// DecodePart undoes the content transfer encoding of r, which reads p's content
// (RFC 2045 6). It is lenient: bytes that are no base64 are left out, an equals
// sign that says nothing in quoted-printable stays. Its only errors are r's.
func DecodePart(r io.Reader, p *Part) io.Reader {
	d := newDecoder(p.Encoding)
	if d == nil {
		return r
	}
	return &transferReader{r: r, d: d}
}

type transferReader struct {
	r   io.Reader
	d   decoder
	in  []byte
	out []byte
	at  int // next byte of out
	err error
}

func (t *transferReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for t.at == len(t.out) {
		if t.err != nil {
			return 0, t.err
		}
		if t.in == nil {
			t.in = make([]byte, 16<<10)
		}
		n, err := t.r.Read(t.in)
		t.out, t.at = t.d.decode(t.out[:0], t.in[:n]), 0
		if err == io.EOF {
			t.out = t.d.flush(t.out)
		}
		t.err = err
	}
	n := copy(p, t.out[t.at:])
	t.at += n
	return n, nil
}

// base64Decoder holds up to three sextets between pieces.
type base64Decoder struct {
	v    uint32
	n    int
	done bool // padding ended the data (RFC 2045 6.8)
}

// base64Values gives each byte its sextet; 64 is padding, 65 is no base64.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 65
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['='] = 64
	return t
}()

func (d *base64Decoder) decode(dst, src []byte) []byte {
	for i := 0; i < len(src) && !d.done; i++ {
		for d.n == 0 && i+4 <= len(src) {
			a, b, c, e := base64Values[src[i]], base64Values[src[i+1]], base64Values[src[i+2]], base64Values[src[i+3]]
			if (a|b|c|e)&0xC0 != 0 {
				break
			}
			v := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(e)
			dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
			i += 4
		}
		if i == len(src) {
			break
		}
		switch v := base64Values[src[i]]; {
		case v < 64:
			d.v = d.v<<6 | uint32(v)
			if d.n++; d.n == 4 {
				dst = append(dst, byte(d.v>>16), byte(d.v>>8), byte(d.v))
				d.v, d.n = 0, 0
			}
		case v == 64 && d.n >= 2:
			dst = d.flush(dst)
			d.done = true
		}
	}
	return dst
}

// flush ends a group, with or without its padding.
func (d *base64Decoder) flush(dst []byte) []byte {
	switch d.n {
	case 2:
		dst = append(dst, byte(d.v>>4))
	case 3:
		dst = append(dst, byte(d.v>>10), byte(d.v>>2))
	}
	d.v, d.n = 0, 0
	return dst
}

// qpDecoder holds what is not yet certain: white space that may end a line,
// and what follows an equals sign.
type qpDecoder struct {
	held []byte
}

// maxHeld bounds the white space before a line end that RFC 2045 6.7 (3) takes away.
const maxHeld = 1024

func (d *qpDecoder) decode(dst, src []byte) []byte {
	for i := 0; i < len(src); i++ {
		if len(d.held) > 0 {
			var again bool
			if dst, again = d.more(dst, src[i]); !again {
				continue
			}
		}
		run := i
		for run < len(src) && certain(src[run:]) {
			run++
		}
		dst = append(dst, src[i:run]...)
		if i = run; i == len(src) {
			break
		}
		if i+2 < len(src) && src[i] == '=' {
			if hi, lo := unhex(src[i+1]), unhex(src[i+2]); hi < 16 && lo < 16 {
				dst = append(dst, hi<<4|lo)
				i += 2
				continue
			}
		}
		d.held = append(d.held, src[i])
	}
	return dst
}

// certain reports whether the first byte of src says itself, whatever comes
// after src.
func certain(src []byte) bool {
	switch src[0] {
	case '=':
		return false
	case ' ', '\t':
		return len(src) > 1 && src[1] > ' '
	case '\r':
		return len(src) > 1 && src[1] == '\n'
	}
	return true
}

// more takes the byte after what is held; it reports whether that byte is
// still to be looked at.
func (d *qpDecoder) more(dst []byte, c byte) (_ []byte, again bool) {
	blank := c == ' ' || c == '\t' || c == '\r'
	switch {
	case d.held[0] == '=' && c == '\n': // a soft line break
		d.held = d.held[:0]
		return dst, false
	case c == '\n': // white space before it goes, its own CR stays
		if d.held[len(d.held)-1] == '\r' {
			dst = append(dst, '\r')
		}
		d.held = d.held[:0]
		return append(dst, '\n'), false
	case d.held[0] == '=' && len(d.held) == 1 && unhex(c) < 16:
		d.held = append(d.held, c)
		return dst, false
	case d.held[0] == '=' && len(d.held) == 2 && unhex(d.held[1]) < 16:
		if lo := unhex(c); lo < 16 {
			dst = append(dst, unhex(d.held[1])<<4|lo)
			d.held = d.held[:0]
			return dst, false
		}
	case blank && len(d.held) < maxHeld:
		d.held = append(d.held, c)
		return dst, false
	}
	return d.flush(dst), true // as it stands
}

func (d *qpDecoder) flush(dst []byte) []byte {
	dst = append(dst, d.held...)
	d.held = d.held[:0]
	return dst
}

// TextOf returns the text of a part as UTF-8 from r, which reads p's content,
// still encoded: at most max bytes. Bytes that p's charset does not know
// become U+FFFD. Line ends are LF. The only errors are r's own.
func TextOf(r io.Reader, p *Part, max int) (string, error) {
	b, err := io.ReadAll(io.LimitReader(DecodePart(r, p), int64(max)))
	if err != nil {
		return "", err
	}
	if len(b) == max {
		b = cutRune(b, max)
	}
	text := bytes.ReplaceAll(toUTF8(p.Params["charset"], b), []byte("\r\n"), newline)
	return string(cutRune(text, max)), nil
}

// WordsOf is TextOf as searches see it: of HTML, the text without its tags.
func WordsOf(r io.Reader, p *Part, max int) (string, error) {
	text, err := TextOf(r, p, max)
	if err != nil || p.Subtype != "html" {
		return text, err
	}
	return string(htmlText(nil, []byte(text))), nil
}
