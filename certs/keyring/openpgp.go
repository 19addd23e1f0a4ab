package keyring

import (
	"bytes"
	"crypto"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/ed25519"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/ProtonMail/go-crypto/openpgp/x25519"
)

// config is the profile of our keys: version 6, Ed25519 and X25519, SEIPD
// version 2 with AES-256-GCM preferred, and no compression.
func config(now time.Time) *packet.Config {
	return &packet.Config{
		V6Keys:        true,
		Algorithm:     packet.PubKeyAlgoEd25519,
		DefaultHash:   crypto.SHA512,
		DefaultCipher: packet.CipherAES256,
		AEADConfig:    &packet.AEADConfig{DefaultMode: packet.AEADModeGCM},
		Time:          func() time.Time { return now },
	}
}

// newGeneration makes the key pairs of a generation, sealed to nobody yet.
func newGeneration(number uint32, user string, now time.Time) (generation, *[privateSize]byte, error) {
	var e *openpgp.Entity
	var err error
	if user == "" {
		e, err = openpgp.NewEntityWithoutId(config(now))
	} else if strings.Contains(user, "@") {
		e, err = openpgp.NewEntity("", "", user, config(now))
	} else {
		e, err = openpgp.NewEntity(user, "", "", config(now))
	}
	if err != nil {
		return generation{}, nil, err
	}
	var cert bytes.Buffer
	if err := e.Serialize(&cert); err != nil {
		return generation{}, nil, err
	}
	g := generation{Number: number, Created: now.Unix(), Cert: cert.Bytes()}
	private := new([privateSize]byte)
	sub := e.Subkeys[0]
	copy(private[:32], e.PrivateKey.PrivateKey.(*ed25519.PrivateKey).Seed())
	copy(private[32:], sub.PrivateKey.PrivateKey.(*x25519.PrivateKey).Secret)
	copy(g.Recipient.Fingerprint[:], sub.PublicKey.Fingerprint)
	copy(g.Recipient.Public[:], sub.PublicKey.PublicKey.(*x25519.PublicKey).Point)
	return g, private, nil
}

// userID returns s as an OpenPGP user id may hold it.
func userID(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if strings.ContainsRune("()<>", r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

// entity rebuilds a generation's OpenPGP key from its certificate and private
// keys.
func (k *opened) entity() (*openpgp.Entity, error) {
	e, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(k.cert)))
	if err != nil || len(e.Subkeys) != 1 {
		return nil, ErrDamaged
	}
	created := time.Unix(k.created, 0)
	sign := &ed25519.PrivateKey{}
	if err := sign.UnmarshalByteSecret(k.private[:32]); err != nil {
		return nil, err
	}
	sign.Point = sign.Key[32:]
	e.PrivateKey = packet.NewEd25519PrivateKey(created, sign)
	sub := packet.NewX25519PrivateKey(created, &x25519.PrivateKey{
		PublicKey: x25519.PublicKey{Point: append([]byte(nil), k.recipient.Public[:]...)},
		Secret:    append([]byte(nil), k.private[32:]...),
	})
	sub.IsSubkey = true
	if err := e.PrivateKey.UpgradeToV6(); err != nil {
		return nil, err
	}
	if err := sub.UpgradeToV6(); err != nil {
		return nil, err
	}
	e.Subkeys[0].PrivateKey = sub
	if !bytes.Equal(e.PrivateKey.Fingerprint, e.PrimaryKey.Fingerprint) ||
		!bytes.Equal(sub.Fingerprint, e.Subkeys[0].PublicKey.Fingerprint) ||
		!bytes.Equal(sub.Fingerprint, k.recipient.Fingerprint[:]) {
		return nil, ErrDamaged
	}
	return e, nil
}

// ArmoredPrivateKey returns the private keys of every generation as one
// armored block of transferable secret keys (RFC 9580 10.2), newest first,
// locked with a passphrase (argon2id and AEAD, 3.7.1.4 and 5.5.3) unless it is
// empty. With it, other programs open what was sealed to the account.
func (b *Bundle) ArmoredPrivateKey(passphrase string) ([]byte, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.wiped {
		return nil, ErrWiped
	}
	return armored("PGP PRIVATE KEY BLOCK", func(w io.Writer) error {
		for i := len(b.keys) - 1; i >= 0; i-- {
			k := &b.keys[i]
			e, err := k.entity()
			if err != nil {
				return err
			}
			cfg := config(time.Unix(k.created, 0))
			cfg.S2KConfig = &s2k.Config{S2KMode: s2k.Argon2S2K}
			if passphrase != "" {
				if err := e.EncryptPrivateKeys([]byte(passphrase), cfg); err != nil {
					return err
				}
			}
			if err := e.SerializePrivateWithoutSigning(w, cfg); err != nil {
				return err
			}
		}
		return nil
	})
}

// ArmoredPublicKey returns the newest generation's public key, armored
// (RFC 9580 10.1), so that people outside can encrypt to the account.
func (r *Ring) ArmoredPublicKey() ([]byte, error) {
	return armored("PGP PUBLIC KEY BLOCK", func(w io.Writer) error {
		_, err := w.Write(r.newest().Cert)
		return err
	})
}

func armored(kind string, write func(io.Writer) error) ([]byte, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		return nil, err
	}
	if err := write(w); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
