package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
)

// SessionKey seals the packets of one message, each under a key of its own
// that derives from it and the packet's random salt. It never prints itself.
type SessionKey [32]byte

// NewSession returns a fresh random key.
func NewSession() (SessionKey, error) {
	var k SessionKey
	_, err := rand.Read(k[:])
	return k, err
}

// String shows nothing of the key.
func (k SessionKey) String() string { return "session key …" }

// Format shows nothing of the key, whatever the verb.
func (k SessionKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// LogValue shows nothing of the key.
func (k SessionKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON shows nothing of the key.
func (k SessionKey) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

// RFC 9580 5.13.2: the parameters of every SEIPD packet that we write.
const (
	seipdVersion = 2
	cipherAES256 = 9  // 9.3
	aeadGCM      = 3  // 9.6
	chunkOctet   = 10 // chunks of 2^(10+6) octets
	chunkSize    = 1 << (chunkOctet + 6)
	saltSize     = 32
	tagSize      = 16
	seipdHead    = 4 + saltSize // octets before the first chunk
	maxChunk     = 16           // the largest chunk octet
)

// chunks seals and opens the chunks of one SEIPD packet. Its nonces are the
// packet's IV and the chunk's number, so none repeats under one key.
type chunks struct {
	aead  cipher.AEAD
	nonce [12]byte // 4 octets of IV, 8 of the chunk's number
	ad    [13]byte // the packet's parameters; for the final tag, the total too
}

const adSize = 5

// newChunks derives the packet's key and IV from its salt. RFC 9580 5.13.2.
func (k *SessionKey) newChunks(salt []byte, octet byte) (*chunks, error) {
	c := &chunks{ad: [13]byte{tagSEIPD, seipdVersion, cipherAES256, aeadGCM, octet}}
	out, err := hkdf.Key(sha256.New, k[:], salt, string(c.ad[:adSize]), 32+4)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(out[:32])
	if err != nil {
		return nil, err
	}
	copy(c.nonce[:4], out[32:])
	clear(out)
	c.aead, err = cipher.NewGCM(block)
	return c, err
}

// seal appends chunk i, sealed, to dst. plain may be the bytes after dst's end.
func (c *chunks) seal(dst, plain []byte, i uint64) []byte {
	binary.BigEndian.PutUint64(c.nonce[4:], i)
	return c.aead.Seal(dst, c.nonce[:], plain, c.ad[:adSize])
}

// open appends the plaintext of chunk i to dst.
func (c *chunks) open(dst, sealed []byte, i uint64) ([]byte, error) {
	binary.BigEndian.PutUint64(c.nonce[4:], i)
	out, err := c.aead.Open(dst, c.nonce[:], sealed, c.ad[:adSize])
	if err != nil {
		return nil, ErrDamaged
	}
	return out, nil
}

// final sets nonce and associated data for the tag after n chunks.
func (c *chunks) final(n, total uint64) {
	binary.BigEndian.PutUint64(c.nonce[4:], n)
	binary.BigEndian.PutUint64(c.ad[adSize:], total)
}

// sealFinal appends the tag that vouches for the number of chunks and octets.
func (c *chunks) sealFinal(dst []byte, n, total uint64) []byte {
	c.final(n, total)
	return c.aead.Seal(dst, c.nonce[:], nil, c.ad[:])
}

// openFinal checks the tag that sealFinal wrote.
func (c *chunks) openFinal(tag []byte, n, total uint64) error {
	c.final(n, total)
	if _, err := c.aead.Open(nil, c.nonce[:], tag, c.ad[:]); err != nil {
		return ErrDamaged
	}
	return nil
}

// chunkCount returns how many chunks hold n octets of plaintext, n > 0.
func chunkCount(n int64) int64 { return (n + chunkSize - 1) / chunkSize }
