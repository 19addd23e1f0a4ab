package keyring

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// Reader gives any place of a sealed content. Its methods may run at once; it
// holds one opened chunk of 64 KiB.
type Reader struct {
	src   io.ReaderAt
	c     *chunks
	outer framing
	inner framing
	plain int64 // octets of plaintext: the literal packet

	mu    sync.Mutex
	buf   []byte // the opened chunk's memory
	body  []byte // the literal's octets in it
	first int64  // the number of the first of them
	held  int64  // which chunk, -1 if none
}

var _ io.ReaderAt = (*Reader)(nil)

// Reader opens a packet of size bytes that Writer or Seal wrote, to be read at
// any place. It checks the packet's length and end at once, and each chunk
// before a byte of it is given out: damage is ErrDamaged. What fails in r
// itself comes back as it is. Closing r is the caller's.
func (k SessionKey) Reader(r io.ReaderAt, size int64) (*Reader, error) {
	if size < 6+seipdHead+2*tagSize+1 {
		return nil, ErrDamaged
	}
	out := &Reader{src: r, held: -1}
	var head [2]byte
	if n, err := r.ReadAt(head[:], 0); n < len(head) {
		return nil, short(err)
	}
	seg, ok := int64(noSegments), false
	if head[1] == outerPartial {
		seg = outerSegment
	}
	if out.outer, ok = unframe(tagSEIPD, outerPartial, seg, size); !ok || out.outer.size < seipdHead+2*tagSize+1 {
		return nil, ErrDamaged
	}
	if err := out.begin(&k); err != nil {
		return nil, err
	}
	return out, nil
}

// begin reads the packet's parameters, its final tag and its first chunk.
func (r *Reader) begin(k *SessionKey) error {
	params, err := r.sealed(0, seipdHead, make([]byte, 0, seipdHead+16))
	if err != nil {
		return err
	}
	if !bytes.Equal(params[:4], []byte{seipdVersion, cipherAES256, aeadGCM, chunkOctet}) {
		return ErrDamaged
	}
	if r.c, err = k.newChunks(params[4:], chunkOctet); err != nil {
		return err
	}
	all := r.outer.size - seipdHead - tagSize
	n := (all + chunkSize + tagSize - 1) / (chunkSize + tagSize)
	if r.plain = all - n*tagSize; r.plain <= (n-1)*chunkSize {
		return ErrDamaged // a last chunk without an octet
	}
	tag, err := r.sealed(r.outer.size-tagSize, tagSize, make([]byte, 0, tagSize+16))
	if err != nil {
		return err
	}
	if err := r.c.openFinal(tag, uint64(n), uint64(r.plain)); err != nil {
		return err
	}
	r.buf = make([]byte, 0, min(all, chunkSize+tagSize)+16)
	return r.load(0)
}

// sealed reads n octets of the SEIPD's body from octet b on, into memory that
// has room for the framing between them.
func (r *Reader) sealed(b, n int64, mem []byte) ([]byte, error) {
	from, to := r.outer.at(b), r.outer.at(b+n-1)+1
	if b == 0 {
		from = 0
	}
	raw := mem[:to-from]
	if got, err := r.src.ReadAt(raw, from); got < len(raw) {
		return nil, short(err)
	}
	body, first, ok := r.outer.strip(raw, from)
	if !ok || first != b || int64(len(body)) != n {
		return nil, ErrDamaged
	}
	return body, nil
}

// short says what too few bytes mean: the packet was cut, or r failed.
func short(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return ErrDamaged
	}
	return err
}

// load opens chunk i.
func (r *Reader) load(i int64) error {
	r.held = -1
	all := r.outer.size - seipdHead - tagSize
	from := i * (chunkSize + tagSize)
	sealed, err := r.sealed(seipdHead+from, min(all-from, chunkSize+tagSize), r.buf)
	if err != nil {
		return err
	}
	plain, err := r.c.open(sealed[:0], sealed, uint64(i))
	if err != nil {
		return err
	}
	if r.inner.seg == 0 { // the first time, which is before anybody else has r
		if err := r.measure(plain); err != nil {
			return err
		}
	}
	var ok bool
	if r.body, r.first, ok = r.inner.strip(plain, i*chunkSize); !ok {
		return ErrDamaged
	}
	if i == 0 && !bytes.HasPrefix(r.body, []byte(literalHead)) {
		return ErrDamaged
	}
	r.held = i
	return nil
}

// measure learns from the first chunk how the literal packet lies.
func (r *Reader) measure(plain []byte) error {
	if len(plain) < 2 {
		return ErrDamaged
	}
	seg, ok := int64(noSegments), false
	if plain[1] == innerPartial {
		seg = innerSegment
	}
	r.inner, ok = unframe(tagLiteral, innerPartial, seg, r.plain)
	if !ok || r.inner.size < int64(len(literalHead)) {
		return ErrDamaged
	}
	return nil
}

// Size returns the content's length in bytes.
func (r *Reader) Size() int64 { return r.inner.size - int64(len(literalHead)) }

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("keyring: read before the beginning")
	}
	if off >= r.Size() {
		return 0, io.EOF
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(p) && off < r.Size() {
		b := off + int64(len(literalHead))
		if i := r.inner.at(b) / chunkSize; i != r.held {
			if err := r.load(i); err != nil {
				return n, err
			}
		}
		got := copy(p[n:], r.body[b-r.first:])
		n += got
		off += int64(got)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
