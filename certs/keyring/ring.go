package keyring

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"
)

// Ring is what the server keeps of an account's keys. Nothing in it opens
// mail by itself, but it lies in sealed records all the same: it holds the
// user's name, and whoever could replace its public keys would be sealed to.
// It is not for use by several goroutines.
type Ring struct {
	user  string
	salt  [ringSalt]byte // of generated and server slots: one derivation tries them all
	gens  []generation   // oldest first, at least one
	slots []slot
}

const ringSalt = 16

// generation is one key pair of the account.
type generation struct {
	Number    uint32      `cbor:"1,keyasint"` // from 1, ascending
	Created   int64       `cbor:"2,keyasint"` // Unix seconds
	Recipient Recipient   `cbor:"3,keyasint"`
	Cert      []byte      `cbor:"4,keyasint"` // transferable public key, RFC 9580 10.1
	Sealed    []sealedKey `cbor:"5,keyasint"` // one for each slot
}

// sealedKey is a generation's private keys, sealed to a slot.
type sealedKey struct {
	Slot  string `cbor:"1,keyasint"`
	Bytes []byte `cbor:"2,keyasint"`
}

// New makes an account's first generation. user is the user id of the exported
// keys: an address or a name, or "" for none. The ring has no slot yet: until
// one is added, the returned bundle is all that opens it.
func New(user string, now time.Time) (*Ring, *Bundle, error) {
	if len(user) > MaxUser {
		user = user[:MaxUser]
	}
	r := &Ring{user: userID(user)}
	if _, err := rand.Read(r.salt[:]); err != nil {
		return nil, nil, err
	}
	b := &Bundle{}
	if err := r.Rotate(b, now); err != nil {
		return nil, nil, err
	}
	return r, b, nil
}

// Rotate adds a generation, sealed to every slot; no credential is needed.
// What was sealed before still opens. A bundle given along learns the new
// generation; other bundles of the ring learn it by Refresh. b may be nil.
func (r *Ring) Rotate(b *Bundle, now time.Time) error {
	if len(r.gens) == MaxGenerations {
		return ErrFull
	}
	g, private, err := newGeneration(r.Generation()+1, r.user, now)
	if err != nil {
		return err
	}
	for i := range r.slots {
		if err := g.sealTo(&r.slots[i], private); err != nil {
			return err
		}
	}
	r.gens = append(r.gens, g)
	if b == nil {
		clear(private[:])
		return nil
	}
	b.learn(&g, private)
	return nil
}

// Retire forgets every generation but the newest: what is still sealed under
// an older one can never be opened again. It returns how many it forgot.
func (r *Ring) Retire() int {
	n := max(0, len(r.gens)-1)
	r.gens = r.gens[n:]
	return n
}

// Generations returns how many generations the ring has.
func (r *Ring) Generations() int { return len(r.gens) }

// Rotated returns when the newest generation was made, to the second.
func (r *Ring) Rotated() time.Time { return time.Unix(r.newest().Created, 0).UTC() }

// newest returns the generation that new mail is sealed to; a zero one for a
// ring that New did not make.
func (r *Ring) newest() generation {
	if len(r.gens) == 0 {
		return generation{}
	}
	return r.gens[len(r.gens)-1]
}

// Recipient returns what new mail is sealed to: the newest generation.
func (r *Ring) Recipient() Recipient { return r.newest().Recipient }

// Fingerprints returns those of every generation's encryption key, oldest
// first: what WrappedFor tells of mail that the ring opens.
func (r *Ring) Fingerprints() [][32]byte {
	out := make([][32]byte, len(r.gens))
	for i := range r.gens {
		out[i] = r.gens[i].Recipient.Fingerprint
	}
	return out
}

// Generation returns the number of the newest generation, from 1.
func (r *Ring) Generation() uint32 { return r.newest().Number }

// String shows nothing of the ring but its sizes: its user may be a patient.
func (r Ring) String() string {
	return fmt.Sprintf("key ring of %d generations and %d slots", len(r.gens), len(r.slots))
}

// LogValue is String.
func (r Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// newID returns a fresh opaque slot id: 16 lower-case hexadecimal digits.
func newID() (string, error) {
	var b [8]byte
	_, err := rand.Read(b[:])
	return hex.EncodeToString(b[:]), err
}
