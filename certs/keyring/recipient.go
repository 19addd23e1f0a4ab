package keyring

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"

	"github.com/cloudflare/circl/dh/x25519"
)

// Recipient is what delivery needs of an account: the newest generation's
// encryption key. It compares with == and lies in records as it is.
type Recipient struct {
	Fingerprint [32]byte `cbor:"1,keyasint"` // of the encryption subkey, version 6 (RFC 9580 5.5.4.3)
	Public      [32]byte `cbor:"2,keyasint"` // X25519
}

// IsZero reports whether r names nobody.
func (r Recipient) IsZero() bool { return r == Recipient{} }

// A PKESK packet of version 6 to an X25519 key. RFC 9580 5.1.2, 5.1.6.
const (
	pkeskVersion = 6
	keyVersion   = 6
	algoX25519   = 25
	pkeskHead    = 2 + 3 + 32 + 1 // up to the ephemeral key
	pkeskSize    = pkeskHead + 32 + 1 + wrappedSize
)

// WrapSize is the length of what Wrap returns, in bytes.
const WrapSize = int64(pkeskSize)

// Wrap returns the session key as a PKESK packet of 111 bytes that the
// recipient's Bundle unwraps.
func (r Recipient) Wrap(k SessionKey) ([]byte, error) {
	var secret, ephemeral, shared x25519.Key
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	x25519.KeyGen(&ephemeral, &secret)
	public := x25519.Key(r.Public)
	if !x25519.Shared(&shared, &secret, &public) {
		return nil, ErrDamaged // a point of low order, which no key pair has
	}
	clear(secret[:])
	kek, err := wrappingKey(&ephemeral, &public, &shared)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, pkeskSize)
	out = append(out, tagPKESK, byte(pkeskSize-2), pkeskVersion, 1+32, keyVersion)
	out = append(out, r.Fingerprint[:]...)
	out = append(out, algoX25519)
	out = append(out, ephemeral[:]...)
	out = append(out, byte(wrappedSize))
	return wrapKey(out, kek, &k)
}

// wrappingKey derives the AES-128 key that wraps the session key. RFC 9580 5.1.6.
func wrappingKey(ephemeral, public, shared *x25519.Key) ([]byte, error) {
	var ikm [96]byte
	copy(ikm[:32], ephemeral[:])
	copy(ikm[32:64], public[:])
	copy(ikm[64:], shared[:])
	return hkdf.Key(sha256.New, ikm[:], nil, "OpenPGP X25519", 16)
}

// WrappedFor returns the fingerprint of the key that a PKESK packet of Wrap's
// is for (Recipient.Fingerprint): whose it is can be told without any key.
func WrappedFor(pkesk []byte) (fingerprint [32]byte, err error) {
	fingerprint, _, _, err = parsePKESK(pkesk)
	return fingerprint, err
}

// parsePKESK returns the parts of what Wrap wrote.
func parsePKESK(b []byte) (fingerprint [32]byte, ephemeral x25519.Key, wrapped []byte, err error) {
	if len(b) < 6 || b[0] != tagPKESK {
		return fingerprint, ephemeral, nil, ErrDamaged
	}
	if b[2] != pkeskVersion || b[3] != 1+32 || b[4] != keyVersion {
		return fingerprint, ephemeral, nil, ErrUnsupported
	}
	if len(b) != pkeskSize || b[1] != byte(pkeskSize-2) || b[pkeskHead-1] != algoX25519 || b[pkeskHead+32] != byte(wrappedSize) {
		return fingerprint, ephemeral, nil, ErrDamaged
	}
	copy(fingerprint[:], b[5:])
	copy(ephemeral[:], b[pkeskHead:])
	return fingerprint, ephemeral, b[pkeskHead+33:], nil
}
