package keyring

import (
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// Params are the cost of argon2id for one password slot (RFC 9106 3.1), kept
// with the slot.
type Params struct {
	Memory  uint32 `cbor:"1,keyasint"` // KiB
	Passes  uint32 `cbor:"2,keyasint"`
	Threads uint8  `cbor:"3,keyasint"`
}

// DefaultParams returns what a new password slot costs: the memory and passes
// of RFC 9106 4's second recommendation, on one thread, so that one opening
// takes one core for 100 to 150 ms and openings share the machine fairly.
func DefaultParams() Params { return Params{Memory: 64 << 10, Passes: 3, Threads: 1} }

// Bounds of what a record may ask for: 1 GiB, 16 passes.
const (
	maxMemory  = 1 << 20
	maxPasses  = 16
	maxThreads = 16
)

func (p Params) valid() bool {
	return p.Memory >= 8*uint32(p.Threads) && p.Memory <= maxMemory &&
		p.Passes >= 1 && p.Passes <= maxPasses && p.Threads >= 1 && p.Threads <= maxThreads
}

// orDefault returns p, or the default cost for the zero value.
func (p Params) orDefault() Params {
	if p == (Params{}) {
		return DefaultParams()
	}
	return p
}

// preparePassword gives the same bytes for all ways to type one password.
// RFC 8265 4.2, OpaqueString.
func preparePassword(password string) ([]byte, error) {
	if len(password) > MaxPassword {
		return nil, ErrPassword
	}
	b, err := precis.OpaqueString.Bytes([]byte(password))
	if err != nil {
		return nil, ErrPassword
	}
	return b, nil
}

// stretch is argon2id of a prepared password. RFC 9106.
func stretch(p Params, password, salt []byte) []byte {
	return argon2.IDKey(password, salt, p.Passes, p.Memory, p.Threads, 32)
}

// SpendPassword takes the time that OpenPassword takes to refuse a password,
// for a sign-in whose account does not exist. The zero Params are the default.
func SpendPassword(p Params, password string) {
	prepared, err := preparePassword(password)
	if err != nil {
		prepared = nil
	}
	var salt [slotSalt]byte
	if k, err := slotKey(Password, stretch(p.orDefault(), prepared, salt[:]), salt[:]); err == nil {
		_ = k.PublicKey()
	}
}
