package keyring

import (
	"encoding/binary"
	"errors"
	"io"
)

// outHead is the room before the ciphertext for a packet's first octet and a
// five-octet length.
const outHead = 6

// writer seals a stream in constant memory: one chunk of plaintext, one
// segment and one chunk of ciphertext.
type writer struct {
	w     io.Writer
	c     *chunks
	plain []byte // of the literal packet, not yet sealed
	open  int    // where in plain the length octet of the literal's open segment lies
	out   []byte // outHead octets of room, then the SEIPD's body not yet written
	n     uint64 // chunks sealed
	total uint64 // octets of plaintext sealed
	begun bool   // the packet's first octet is written
	err   error
}

var errClosed = errors.New("keyring: write after Close")

// Writer returns a writer that seals what it is given as one SEIPD packet
// written to w, in constant memory. Close ends the packet, without closing w;
// what is not closed opens nowhere. It is not for use by several goroutines.
func (k SessionKey) Writer(w io.Writer) io.WriteCloser {
	wr := &writer{
		w:     w,
		plain: make([]byte, 0, chunkSize+innerSegment+16),
		open:  1,
		out:   make([]byte, outHead+seipdHead, outHead+outerSegment+chunkSize+2*tagSize),
	}
	putParameters(wr.out[outHead:])
	wr.c, wr.err = k.newChunks(wr.out[outHead+4:outHead+seipdHead], chunkOctet)
	wr.plain = append(wr.plain, tagLiteral, 0)
	wr.plain = append(wr.plain, literalHead...)
	return wr
}

// StreamSize returns how many bytes Writer writes for a content of size bytes.
func StreamSize(size int64) int64 {
	inner := frame(tagLiteral, innerPartial, innerSegment, int64(len(literalHead))+size).total()
	body := seipdHead + inner + chunkCount(inner)*tagSize + tagSize
	return frame(tagSEIPD, outerPartial, outerSegment, body).total()
}

// Write takes content.
func (w *writer) Write(p []byte) (int, error) {
	taken := 0
	for len(p) > 0 && w.err == nil {
		n := min(innerSegment-(len(w.plain)-w.open-1), len(p))
		w.plain = append(w.plain, p[:n]...)
		p = p[n:]
		if len(w.plain)-w.open-1 == innerSegment {
			w.plain[w.open] = innerPartial
			w.open = len(w.plain)
			if w.open >= chunkSize {
				w.sealChunk()
				w.open -= chunkSize
			}
			w.plain = append(w.plain, 0)
		}
		if w.err == nil {
			taken += n
		}
	}
	return taken, w.err
}

// sealChunk seals the first chunk of plain, which may be shorter at the end,
// and writes the segments that are full.
func (w *writer) sealChunk() {
	n := min(chunkSize, len(w.plain))
	w.out = w.c.seal(w.out, w.plain[:n], w.n)
	w.n++
	w.total += uint64(n)
	w.plain = w.plain[:copy(w.plain, w.plain[n:])]
	w.flush()
}

// flush writes the segments that are full.
func (w *writer) flush() {
	for w.err == nil && len(w.out)-outHead >= outerSegment {
		start := outHead - 1
		w.out[start] = outerPartial
		start = w.begin(start)
		_, w.err = w.w.Write(w.out[start : outHead+outerSegment])
		w.out = w.out[:outHead+copy(w.out[outHead:], w.out[outHead+outerSegment:])]
	}
}

// begin puts the packet's first octet before its first length.
func (w *writer) begin(start int) int {
	if w.begun {
		return start
	}
	w.begun = true
	w.out[start-1] = tagSEIPD
	return start - 1
}

// Close seals what is left and ends the packet. Called again, it does nothing.
func (w *writer) Close() error {
	if errors.Is(w.err, errClosed) {
		return nil
	}
	if w.err == nil {
		w.finish()
	}
	err := w.err
	w.err = errClosed
	clear(w.plain[:cap(w.plain)])
	w.plain, w.out, w.c = nil, nil, nil
	return err
}

func (w *writer) finish() {
	size := len(w.plain) - w.open - 1
	w.plain = append(w.plain, 0, 0, 0, 0)
	copy(w.plain[w.open+5:], w.plain[w.open+1:w.open+1+size])
	w.plain[w.open] = fiveOctets
	binary.BigEndian.PutUint32(w.plain[w.open+1:], uint32(size))
	for len(w.plain) > 0 && w.err == nil {
		w.sealChunk()
	}
	w.out = w.c.sealFinal(w.out, w.n, w.total)
	w.flush()
	if w.err != nil {
		return
	}
	start := outHead - 5
	w.out[start] = fiveOctets
	binary.BigEndian.PutUint32(w.out[start+1:], uint32(len(w.out)-outHead))
	start = w.begin(start)
	_, w.err = w.w.Write(w.out[start:])
}
