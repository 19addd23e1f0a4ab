package keyring

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"
)

// Kind says what a slot's private half derives from.
type Kind uint8

// The kinds of slot. Their numbers stand in records and derivations: add,
// never change.
const (
	Password     Kind = iota + 1 // chosen by the holder: argon2id
	MailPassword                 // generated, for one mail client
	Server                       // a key of the server's: who else could not open the account
	Recovery                     // generated, kept by the holder for the day a password is lost
	Account                      // another account's own key: a representative, a member of an organisation
	Operators                    // two operators' offline keys, both of them
)

var kindNames = [...]string{"unknown", "password", "mail password", "server", "recovery", "account", "operators"}

// String returns the kind's word.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

func (k Kind) generated() bool { return k == MailPassword || k == Recovery }

// SlotInfo is what the holder may see of a slot.
type SlotInfo struct {
	ID      string
	Kind    Kind
	Label   string
	Created time.Time // to the second, UTC
	Member  string    // of an Account slot: whose key opens it
}

// slot is a public key that every generation's private keys are sealed to.
type slot struct {
	ID      string   `cbor:"1,keyasint"`
	Kind    Kind     `cbor:"2,keyasint"`
	Label   string   `cbor:"3,keyasint,omitempty"`
	Created int64    `cbor:"4,keyasint"`           // Unix seconds
	Public  [32]byte `cbor:"5,keyasint"`           // X25519
	Salt    []byte   `cbor:"6,keyasint,omitempty"` // of a password
	Params  Params   `cbor:"7,keyasint,omitzero"`  // of a password
	Member  string   `cbor:"8,keyasint,omitempty"` // of an account: whose
	Escrow  *Escrow  `cbor:"9,keyasint,omitempty"` // of the operators
}

const slotSalt = 16

func (s *slot) info() SlotInfo {
	return SlotInfo{s.ID, s.Kind, s.Label, time.Unix(s.Created, 0).UTC(), s.Member}
}

// slotKey derives a slot's private key.
func slotKey(kind Kind, secret, salt []byte) (*ecdh.PrivateKey, error) {
	scalar, err := hkdf.Key(sha256.New, secret, salt, "pli keyring 1 slot "+kind.String(), 32)
	if err != nil {
		return nil, err
	}
	defer clear(scalar)
	return ecdh.X25519().NewPrivateKey(scalar)
}

// matches reports, in constant time, whether the slot is of that kind and key.
func (s *slot) matches(kind Kind, public []byte) bool {
	return s.Kind == kind && subtle.ConstantTimeCompare(s.Public[:], public) == 1
}

// privateSize is the length of what is sealed to a slot: the Ed25519 seed and
// the X25519 private key of a generation.
const privateSize = 64

// sealedSize is its length sealed: the encapsulated key and the tag besides.
const sealedSize = privateSize + 32 + 16

// context binds a sealed key to its place. RFC 9180 5.1 info.
func (g *generation) context(s *slot) []byte {
	return fmt.Appendf(nil, "pli keyring 1 %d %s %d %x", s.Kind, s.ID, g.Number, g.Recipient.Fingerprint)
}

// sealTo adds the generation's private keys, sealed to a slot, in place of
// what the slot held. RFC 9180 5.1.1, 6.1; DHKEM(X25519), HKDF-SHA256, AES-256-GCM.
func (g *generation) sealTo(s *slot, private *[privateSize]byte) error {
	public, err := ecdh.X25519().NewPublicKey(s.Public[:])
	if err != nil {
		return err
	}
	pk, err := hpke.NewDHKEMPublicKey(public)
	if err != nil {
		return err
	}
	sealed, err := hpke.Seal(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), g.context(s), private[:])
	if err != nil {
		return err
	}
	g.drop(s.ID)
	g.Sealed = append(g.Sealed, sealedKey{s.ID, sealed})
	return nil
}

// drop forgets what is sealed to a slot.
func (g *generation) drop(id string) {
	kept := make([]sealedKey, 0, len(g.Sealed)+1)
	for _, k := range g.Sealed {
		if k.Slot != id {
			kept = append(kept, k)
		}
	}
	g.Sealed = kept
}

// openWith returns the generation's private keys by a slot's private key.
func (g *generation) openWith(s *slot, key *ecdh.PrivateKey) (*[privateSize]byte, error) {
	sk, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, err
	}
	for _, k := range g.Sealed {
		if k.Slot != s.ID {
			continue
		}
		plain, err := hpke.Open(sk, hpke.HKDFSHA256(), hpke.AES256GCM(), g.context(s), k.Bytes)
		if err != nil || len(plain) != privateSize {
			return nil, ErrDamaged
		}
		defer clear(plain)
		private := [privateSize]byte(plain)
		if !g.Recipient.pairs(&private) {
			return nil, ErrDamaged
		}
		return &private, nil
	}
	return nil, ErrDamaged
}
