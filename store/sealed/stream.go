package sealed

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
)

// A sealed stream begins with a header: these words, one byte of format, and a
// salt from which, with the key and the associated data, the stream's own key
// derives. Chunks follow, each sealed with AES-256-GCM under a nonce made of
// its number and of whether it is the last: a stream that was cut, extended,
// reordered or mixed with another does not open. All chunks but the last are
// full; the last is empty only in an empty stream.
const (
	streamMagic  = "PLIS"
	streamFormat = 1
	saltSize     = 16
	headerSize   = len(streamMagic) + 1 + saltSize
	chunkSize    = 64 << 10 // bytes of plaintext
	sealedChunk  = chunkSize + tagSize
)

var errStreamClosed = errors.New("sealed: write to a closed stream")

func streamAEAD(key [32]byte, salt []byte, ad string) cipher.AEAD {
	return newAEAD(derive(key[:], salt, "pli stream v1\x00"+ad))
}

// chunkNonce is unique within a stream by its number.
func chunkNonce(number uint64, last bool) (nonce [nonceSize]byte) {
	binary.BigEndian.PutUint64(nonce[:8], number)
	if last {
		nonce[nonceSize-1] = 1
	}
	return nonce
}

// SealedSize returns how long the sealed form of n bytes is.
func SealedSize(n int64) int64 {
	chunks := max(1, (n+chunkSize-1)/chunkSize)
	return int64(headerSize) + n + chunks*tagSize
}

// writer seals a stream as it is written.
type writer struct {
	w      io.Writer
	aead   cipher.AEAD
	header []byte // not yet written
	buf    []byte // plaintext of the current chunk, with room for its tag
	number uint64
	err    error
}

// NewWriter returns a writer that seals what is written to it, for NewReader
// with the same key and associated data, into w. It holds one chunk of 64 KiB.
// Close writes the last chunk; it does not close w. A stream that was not
// closed does not open.
func NewWriter(w io.Writer, key [32]byte, ad string) io.WriteCloser {
	header := make([]byte, headerSize)
	copy(header, streamMagic)
	header[len(streamMagic)] = streamFormat
	salt := header[headerSize-saltSize:]
	rand.Read(salt)
	return &writer{w: w, aead: streamAEAD(key, salt, ad), header: header}
}

// Write fills the chunk, and writes it once more is known to follow.
func (s *writer) Write(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.buf == nil {
		s.buf = make([]byte, 0, sealedChunk)
	}
	for len(p) > 0 {
		if len(s.buf) == chunkSize {
			if s.flush(false); s.err != nil {
				return n, s.err
			}
		}
		k := min(len(p), chunkSize-len(s.buf))
		s.buf = append(s.buf, p[:k]...)
		p = p[k:]
		n += k
	}
	return n, nil
}

func (s *writer) Close() error {
	if errors.Is(s.err, errStreamClosed) {
		return nil
	}
	if s.err != nil {
		return s.err
	}
	if s.flush(true); s.err != nil {
		return s.err
	}
	s.err = errStreamClosed
	s.buf = nil
	return nil
}

// flush seals the chunk in place and writes it.
func (s *writer) flush(last bool) {
	if s.header != nil {
		if _, s.err = s.w.Write(s.header); s.err != nil {
			return
		}
		s.header = nil
	}
	nonce := chunkNonce(s.number, last)
	s.number++
	sealed := s.aead.Seal(s.buf[:0], nonce[:], s.buf, nil)
	if _, s.err = s.w.Write(sealed); s.err == nil {
		s.buf = s.buf[:0]
	}
}
