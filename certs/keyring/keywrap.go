package keyring

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
)

// wrapIV is the initial value of AES key wrap. RFC 3394 2.2.3.1.
const wrapIV = 0xA6A6A6A6A6A6A6A6

// wrappedSize is the length of a wrapped session key.
const wrappedSize = len(SessionKey{}) + 8

// wrapKey appends k, wrapped under kek, to dst. RFC 3394 2.2.1.
func wrapKey(dst []byte, kek []byte, k *SessionKey) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, err
	}
	var b [16]byte
	var r SessionKey
	copy(r[:], k[:])
	binary.BigEndian.PutUint64(b[:8], wrapIV)
	for t := uint64(1); t <= 6*uint64(len(r)/8); t++ {
		reg := r[(t-1)%uint64(len(r)/8)*8:][:8]
		copy(b[8:], reg)
		block.Encrypt(b[:], b[:])
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^t)
		copy(reg, b[8:])
	}
	return append(append(dst, b[:8]...), r[:]...), nil
}

// unwrapKey returns what wrapKey wrapped, or ErrDamaged. RFC 3394 2.2.2.
func unwrapKey(kek, wrapped []byte) (SessionKey, error) {
	if len(wrapped) != wrappedSize {
		return SessionKey{}, ErrDamaged
	}
	block, err := aes.NewCipher(kek)
	if err != nil {
		return SessionKey{}, err
	}
	var b [16]byte
	var r SessionKey
	copy(b[:8], wrapped)
	copy(r[:], wrapped[8:])
	for t := 6 * uint64(len(r)/8); t > 0; t-- {
		reg := r[(t-1)%uint64(len(r)/8)*8:][:8]
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])^t)
		copy(b[8:], reg)
		block.Decrypt(b[:], b[:])
		copy(reg, b[8:])
	}
	var iv [8]byte
	binary.BigEndian.PutUint64(iv[:], wrapIV)
	if subtle.ConstantTimeCompare(b[:8], iv[:]) != 1 {
		return SessionKey{}, ErrDamaged
	}
	return r, nil
}
