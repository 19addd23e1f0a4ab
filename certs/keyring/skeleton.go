// Package keyring keeps an account's private keys so that only its holder's
// slots open them, and seals mail to its public key.
package keyring

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

var (
	ErrNoSlot   = errors.New("keyring: no slot opens with this")
	ErrDamaged  = errors.New("keyring: sealed bytes do not open")
	ErrWrongKey = errors.New("keyring: sealed to another key")
	ErrTooLarge = errors.New("keyring: over a limit")
	ErrLastSlot = errors.New("keyring: the last slot cannot be removed")
	errSkeleton = errors.New("keyring: not built yet")
)

type SessionKey [32]byte

func NewSession() (SessionKey, error)                                  { return SessionKey{}, errSkeleton }
func (k SessionKey) String() string                                    { return "session key …" }
func (k SessionKey) Format(f fmt.State, _ rune)                        { fmt.Fprint(f, k.String()) }
func (k SessionKey) LogValue() slog.Value                              { return slog.StringValue(k.String()) }
func (k SessionKey) Seal(plaintext []byte) ([]byte, error)             { return nil, errSkeleton }
func (k SessionKey) Open(packet []byte) ([]byte, error)                { return nil, errSkeleton }
func (k SessionKey) Writer(w io.Writer) io.WriteCloser                 { return nil }
func (k SessionKey) Reader(r io.ReaderAt, size int64) (*Reader, error) { return nil, errSkeleton }

// StreamSize returns how long the sealed form of size bytes is, as Writer makes it.
func StreamSize(size int64) int64 { return 0 }

type Reader struct{}

func (r *Reader) ReadAt(p []byte, off int64) (int, error) { return 0, errSkeleton }
func (r *Reader) Size() int64                             { return 0 }

type Recipient struct {
	Fingerprint [32]byte `cbor:"1,keyasint"`
	Public      [32]byte `cbor:"2,keyasint"`
}

func (r Recipient) IsZero() bool                      { return r == Recipient{} }
func (r Recipient) Wrap(k SessionKey) ([]byte, error) { return nil, errSkeleton }

type Kind uint8

const (
	Password Kind = iota + 1
	MailPassword
	Server
	Recovery
)

func (k Kind) String() string { return "" }

// SlotInfo is what the holder may see of a slot.
type SlotInfo struct {
	ID      string
	Kind    Kind
	Label   string
	Created time.Time
}

// Params is the cost of argon2id: Memory in KiB, Passes, Threads.
type Params struct {
	Memory  uint32
	Passes  uint32
	Threads uint8
}

func DefaultParams() Params                   { return Params{} }
func SpendPassword(p Params, password string) {}

type Ring struct{}

func New(user string, now time.Time) (*Ring, *Bundle, error) { return nil, nil, errSkeleton }
func (r *Ring) MarshalCBOR() ([]byte, error)                 { return nil, errSkeleton }
func (r *Ring) UnmarshalCBOR(b []byte) error                 { return errSkeleton }
func (r *Ring) Recipient() Recipient                         { return Recipient{} }
func (r *Ring) Slots() []SlotInfo                            { return nil }
func (r *Ring) Slot(id string) (SlotInfo, bool)              { return SlotInfo{}, false }
func (r *Ring) Rotate(b *Bundle, now time.Time) error        { return errSkeleton } // b may be nil; else it learns the new generation
func (r *Ring) AddPassword(b *Bundle, password, label string, now time.Time) (string, error) {
	return "", errSkeleton
}
func (r *Ring) AddPasswordWith(p Params, b *Bundle, password, label string, now time.Time) (string, error) {
	return "", errSkeleton
}
func (r *Ring) ChangePassword(p Params, b *Bundle, id, password string) error { return errSkeleton }
func (r *Ring) AddGenerated(b *Bundle, kind Kind, label string, now time.Time) (id, secret string, err error) {
	return "", "", errSkeleton
}
func (r *Ring) AddServer(b *Bundle, key [32]byte) (string, error) { return "", errSkeleton }
func (r *Ring) RemoveSlot(id string) error                        { return errSkeleton }
func (r *Ring) OpenPassword(password string) (*Bundle, string, error) {
	return nil, "", errSkeleton
}

// OpenGenerated tries the slots of the given kinds, MailPassword and Recovery if none is given.
func (r *Ring) OpenGenerated(secret string, kinds ...Kind) (*Bundle, string, error) {
	return nil, "", errSkeleton
}
func (r *Ring) OpenServer(key [32]byte) (*Bundle, error) { return nil, errSkeleton }

type Bundle struct{}

func (b *Bundle) Wipe()                                               {}
func (b *Bundle) Recipient() Recipient                                { return Recipient{} }
func (b *Bundle) Unwrap(pkesk []byte) (SessionKey, error)             { return SessionKey{}, errSkeleton }
func (b *Bundle) IndexKey() [32]byte                                  { return [32]byte{} } // the newest generation's
func (b *Bundle) ArmoredPrivateKey(passphrase string) ([]byte, error) { return nil, errSkeleton }
