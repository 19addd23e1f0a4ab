package keyring_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"

	"pli/certs/keyring"
)

// sealRaw seals up to one chunk of any plaintext as RFC 9580 5.13.2 says,
// written apart from the code that it tests.
func sealRaw(k keyring.SessionKey, inside []byte) []byte {
	salt := make([]byte, 32)
	ad := []byte{0xD2, 2, 9, 3, 10}
	key, err := hkdf.Key(sha256.New, k[:], salt, string(ad), 36)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	body := append(append([]byte(nil), ad[1:]...), salt...)
	body = gcm.Seal(body, append(key[32:36:36], 0, 0, 0, 0, 0, 0, 0, 0), inside, ad)
	body = gcm.Seal(body, append(key[32:36:36], 0, 0, 0, 0, 0, 0, 0, 1), nil, binary.BigEndian.AppendUint64(ad, uint64(len(inside))))
	return append(binary.BigEndian.AppendUint32([]byte{0xD2, 0xFF}, uint32(len(body))), body...)
}
