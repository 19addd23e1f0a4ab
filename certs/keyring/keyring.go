// Package keyring keeps an account's private keys so that only its slots open
// them, and seals what is delivered to the account.
//
// An account has OpenPGP key pairs (RFC 9580, version 6: Ed25519 to certify,
// X25519 to encrypt), one for each generation. A Ring is what the server keeps
// of them: public keys, and each private key sealed by HPKE (RFC 9180) to each
// slot. A slot is an X25519 public key whose private half derives from a
// password, a generated secret, a key of the server's or two operators' keys
// together, or is another account's own key; it is stored nowhere. So a new generation is sealed to every slot without a credential at
// hand, and changing a password seals one slot again whatever the mailbox
// holds. An opened Ring is a Bundle.
//
// Delivery needs a Recipient alone: one SessionKey is wrapped to it (PKESK
// version 6), and seals as many packets as the message needs (SEIPD version 2,
// AES-256-GCM). A PKESK followed by one of these packets is an OpenPGP message
// that other programs open with the exported key.
//
// Layout of what SessionKey.Writer writes, so that any place can be read:
//
//   - The SEIPD packet is octet 0xD2, then partial lengths of 64 KiB (octet
//     0xF0 before each), then one five-octet length (0xFF) with the rest, which
//     is shorter than 64 KiB. Its body is 36 octets of header, chunks of 64 KiB
//     of plaintext with 16 octets of tag (the last may be shorter, never
//     empty), and the final tag of 16 octets.
//   - The plaintext of the chunks is one literal data packet framed the same
//     way: octet 0xCB, partial lengths of 8 KiB (0xED), one five-octet length
//     with the rest, which is shorter than 8 KiB. Its body is six octets ("b",
//     no name, no date) and the content.
//
// SessionKey.Seal writes the same with one five-octet length for each of the
// two packets. SessionKey.Open and SessionKey.Reader read both.
package keyring

import (
	"errors"

	"pli/internal/errs"
)

// The failures that callers tell apart.
var (
	// ErrNoSlot: nothing opens with that password, secret or key.
	ErrNoSlot = errs.New(errs.Unauthenticated, "this password opens nothing")
	// ErrSecretForm: what was typed cannot be a generated secret.
	ErrSecretForm = errs.New(errs.Unauthenticated, "this is not a generated password: it has 28 letters and digits, and one of them is mistyped")
	// ErrPassword: the password cannot be one (RFC 8265 4.2: empty, or with
	// control characters), or is over MaxPassword.
	ErrPassword = errs.New(errs.Invalid, "a password has characters, none of them a control character, and at most 1024 bytes")
	// ErrLastSlot: without its last slot an account could never be opened again.
	ErrLastSlot = errs.New(errs.Conflict, "this is the last way to open the account: add another before removing it")
	// ErrUnknownSlot: the ring has no slot of that id, or none of the kind asked.
	ErrUnknownSlot = errs.New(errs.NotFound, "there is no such access")
	// ErrFull: the ring has as many slots or generations as it may.
	ErrFull = errs.New(errs.TooLarge, "the account has as many keys as it may")
	// ErrSameKey: two operators' keys that are one.
	ErrSameKey = errs.New(errs.Invalid, "the two operators' keys must differ")
	// ErrKeyFile: a text that is no file of an operator's key.
	ErrKeyFile = errs.New(errs.Invalid, "this is not the file of an operator's key")
	// ErrStale: the bundle lacks a generation of the ring's; Refresh it.
	ErrStale = errors.New("keyring: the bundle lacks a generation of the ring's")
	// ErrWiped: the bundle was wiped, its session being over.
	ErrWiped = errors.New("keyring: the bundle was wiped")
	// ErrWrongKey: the session key is wrapped to a key that is not the bundle's.
	ErrWrongKey = errors.New("keyring: wrapped to another key")
	// ErrDamaged: sealed bytes, or a ring's record, are not what was written.
	ErrDamaged = errors.New("keyring: damaged")
	// ErrUnsupported: an OpenPGP packet of a sort that this package never
	// writes and does not read.
	ErrUnsupported = errors.New("keyring: a form of OpenPGP that is not read here")
	// ErrTooLarge: a plaintext over MaxSeal.
	ErrTooLarge = errs.New(errs.TooLarge, "too large to be sealed in one piece")
)

// Limits.
const (
	MaxSlots         = 64       // of one ring
	MaxPasswordSlots = 4        // of these, those that cost an argon2id to try
	MaxGenerations   = 64       // of one ring
	MaxLabel         = 200      // bytes of a slot's label
	MaxUser          = 400      // bytes of a ring's user
	MaxPassword      = 1024     // bytes
	MaxSeal          = 64 << 20 // bytes that Seal takes; Writer takes any number
	maxCert          = 4 << 10  // bytes of a generation's public key block
	maxRecord        = 1 << 20  // bytes of a ring's record
)
