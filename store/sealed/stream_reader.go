package sealed

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"sync"

	"pli/store"
)

// Reader opens a sealed stream at any place. It reads and opens whole chunks
// of 64 KiB and keeps the last one. All methods may run at once.
type Reader struct {
	r      io.ReaderAt
	aead   cipher.AEAD
	size   int64 // of the plaintext
	chunks int64

	mu     sync.Mutex
	number int64 // of the chunk in buf, -1 if none
	buf    []byte
}

// NewReader opens the sealed stream of size bytes in r. It reads the header
// and the last chunk, so a stream that was cut or is not of this key and
// associated data is refused at once, with store.ErrCorrupt; damage elsewhere
// is when the place is read. The caller closes what r reads from.
func NewReader(r io.ReaderAt, size int64, key [32]byte, ad string) (*Reader, error) {
	body := size - int64(headerSize)
	chunks := (body + sealedChunk - 1) / sealedChunk
	tail := body - (chunks-1)*sealedChunk // bytes of the last chunk as stored
	if body < tagSize || tail < tagSize || tail == tagSize && chunks > 1 {
		return nil, fmt.Errorf("%w: a stream cannot be %d bytes long", store.ErrCorrupt, size)
	}
	header := make([]byte, headerSize)
	if err := readFull(r, header, 0); err != nil {
		return nil, err
	}
	if string(header[:len(streamMagic)]) != streamMagic || header[len(streamMagic)] != streamFormat {
		return nil, fmt.Errorf("%w: not a sealed stream", store.ErrCorrupt)
	}
	s := &Reader{r: r, chunks: chunks, size: body - chunks*tagSize, number: -1}
	s.aead = streamAEAD(key, header[headerSize-saltSize:], ad)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.load(chunks - 1)
}

// Size returns the length of the opened stream in bytes.
func (s *Reader) Size() int64 { return s.size }

// ReadAt is io.ReaderAt's. Damage is store.ErrCorrupt, and no byte of a
// damaged chunk is returned.
func (s *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errors.New("sealed: read at a negative place")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 && off < s.size {
		number := off / chunkSize
		if number != s.number {
			if err := s.load(number); err != nil {
				return n, err
			}
		}
		k := copy(p, s.buf[off-number*chunkSize:])
		p, off, n = p[k:], off+int64(k), n+k
	}
	if len(p) > 0 {
		return n, io.EOF
	}
	return n, nil
}

// load opens a chunk into buf.
func (s *Reader) load(number int64) error {
	s.number = -1
	if s.buf == nil {
		s.buf = make([]byte, 0, min(sealedChunk, s.size+tagSize))
	}
	length := min(chunkSize, s.size-number*chunkSize) + tagSize
	sealed := s.buf[:length]
	if err := readFull(s.r, sealed, int64(headerSize)+number*sealedChunk); err != nil {
		return err
	}
	nonce := chunkNonce(uint64(number), number == s.chunks-1)
	plain, err := s.aead.Open(sealed[:0], nonce[:], sealed, nil)
	if err != nil {
		return fmt.Errorf("%w: chunk %d of a stream does not open", store.ErrCorrupt, number)
	}
	s.buf, s.number = plain, number
	return nil
}

// readFull fills p; a source that ends before is damaged.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: a stream ends too soon", store.ErrCorrupt)
	default:
		return err
	}
}
