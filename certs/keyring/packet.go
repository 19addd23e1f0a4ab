package keyring

import (
	"encoding/binary"
	"math"
)

// The first octets of the packets that we write. RFC 9580 4.2, 5.
const (
	tagPKESK   = 0xC0 | 1
	tagSEIPD   = 0xC0 | 18
	tagLiteral = 0xC0 | 11
	tagPadding = 0xC0 | 21
)

// Segment sizes and length octets. RFC 9580 4.2.1.4 and 4.2.1.3.
const (
	outerSegment = 1 << 16
	innerSegment = 1 << 13
	outerPartial = 0xE0 | 16
	innerPartial = 0xE0 | 13
	fiveOctets   = 0xFF
	noSegments   = math.MaxInt64 - 1 // the segment size of a packet of one length
)

// literalHead is what a literal data packet's body begins with: binary, no
// file name, no date. RFC 9580 5.9.
const literalHead = "b\x00\x00\x00\x00\x00"

// framing is how a packet's body lies among its octets: a first octet, n
// segments of seg octets, each behind one partial length octet, and the rest
// behind a five-octet length.
type framing struct {
	first   byte
	partial byte
	seg     int64
	n       int64
	size    int64 // octets of the body
}

// frame returns the framing of a body of size octets.
func frame(first, partial byte, seg, size int64) framing {
	return framing{first, partial, seg, size / seg, size}
}

// unframe returns the framing of a packet of total octets, if there is one.
func unframe(first, partial byte, seg, total int64) (framing, bool) {
	rest := total - 6
	if rest < 0 {
		return framing{}, false
	}
	n := rest / (seg + 1)
	last := rest % (seg + 1)
	if last == seg || last > math.MaxUint32 {
		return framing{}, false
	}
	return framing{first, partial, seg, n, n*seg + last}, true
}

// total returns the octets of the packet.
func (f framing) total() int64 { return 6 + f.n + f.size }

// last returns where the five-octet length lies.
func (f framing) last() int64 { return 1 + f.n*(f.seg+1) }

// at returns where the body's octet b lies.
func (f framing) at(b int64) int64 {
	if k := b / f.seg; k < f.n {
		return 2 + k + b
	}
	return 6 + f.n + b
}

// strip takes a piece of the packet that begins at a place of it, removes in
// place what is not body, and returns the body's octets with the number of the
// first. It reports false if an octet of the framing is not what it must be.
func (f framing) strip(raw []byte, place int64) (body []byte, first int64, ok bool) {
	body, first = raw[:0], -1
	for i := int64(0); i < int64(len(raw)); {
		pos := place + i
		want, end := f.octet(pos)
		if end == 0 { // an octet of the framing
			if raw[i] != want {
				return nil, 0, false
			}
			i++
			continue
		}
		if first < 0 {
			first = pos - f.overhead(pos)
		}
		n := min(end-pos, int64(len(raw))-i)
		body = append(body, raw[i:i+n]...)
		i += n
	}
	return body, first, true
}

// octet returns what the octet at pos must be if it is one of the framing; if
// it is one of the body, end is where its segment ends.
func (f framing) octet(pos int64) (want byte, end int64) {
	switch last := f.last(); {
	case pos == 0:
		return f.first, 0
	case pos < last:
		if in := (pos - 1) % (f.seg + 1); in != 0 {
			return 0, pos - in + f.seg + 1
		}
		return f.partial, 0
	case pos < last+5:
		return f.length()[pos-last], 0
	}
	return 0, f.total()
}

// overhead returns how many octets of framing lie before the body's octet at
// pos.
func (f framing) overhead(pos int64) int64 {
	if pos < f.last() {
		return 2 + (pos-1)/(f.seg+1)
	}
	return 6 + f.n
}

// length returns the five-octet length of the last segment.
func (f framing) length() [5]byte {
	out := [5]byte{fiveOctets}
	binary.BigEndian.PutUint32(out[1:], uint32(f.size-f.n*f.seg))
	return out
}

// cutPacket takes the first packet off b, whatever its lengths: its first
// octet, its body in one piece, and what follows. RFC 9580 4.2.1.
func cutPacket(b []byte) (first byte, body, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, nil, ErrDamaged
	}
	if b[0]&0xC0 != 0xC0 {
		return 0, nil, nil, ErrUnsupported // legacy header, 4.2.2
	}
	first, b = b[0], b[1:]
	for joined := false; ; joined = true {
		n, partial, head, ok := cutLength(b)
		if !ok || int64(len(b)-head) < n {
			return 0, nil, nil, ErrDamaged
		}
		piece := b[head : int64(head)+n]
		b = b[int64(head)+n:]
		switch {
		case joined:
			body = append(body, piece...)
		case partial:
			body = append(make([]byte, 0, len(piece)+len(b)), piece...)
		default:
			body = piece
		}
		if !partial {
			return first, body, b, nil
		}
	}
}

// cutLength reads a length of one of the four forms and how many octets it takes.
func cutLength(b []byte) (n int64, partial bool, head int, ok bool) {
	switch {
	case len(b) >= 1 && b[0] < 192:
		return int64(b[0]), false, 1, true
	case len(b) >= 2 && b[0] < 224:
		return int64(b[0]-192)<<8 + int64(b[1]) + 192, false, 2, true
	case len(b) >= 5 && b[0] == fiveOctets:
		return int64(binary.BigEndian.Uint32(b[1:])), false, 5, true
	case len(b) >= 1 && b[0] >= 224 && b[0] != fiveOctets:
		return 1 << (b[0] & 0x1F), true, 1, true
	}
	return 0, false, 0, false
}
