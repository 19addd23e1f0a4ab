package keyring

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync"
	"time"

	"github.com/cloudflare/circl/dh/x25519"
)

// Bundle is an account's opened private keys, for the life of a session. Its
// methods may run at once.
type Bundle struct {
	mu    sync.RWMutex
	keys  []opened         // oldest generation first
	slot  string           // which slot opened it, "" for New's
	with  *ecdh.PrivateKey // that slot's key, to learn later generations
	wiped bool
}

// opened is one generation's private keys.
type opened struct {
	number    uint32
	created   int64
	recipient Recipient
	cert      []byte
	private   *[privateSize]byte // Ed25519 seed, X25519 private key
}

// secret returns the X25519 private key.
func secret(private *[privateSize]byte) *x25519.Key { return (*x25519.Key)(private[32:]) }

// pairs reports whether the private keys are those of the recipient.
func (r Recipient) pairs(private *[privateSize]byte) bool {
	var public x25519.Key
	x25519.KeyGen(&public, secret(private))
	return subtle.ConstantTimeCompare(public[:], r.Public[:]) == 1
}

// learn adds a generation. The bundle takes the private keys over.
func (b *Bundle) learn(g *generation, private *[privateSize]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wiped {
		return
	}
	b.keys = append(b.keys, opened{g.Number, g.Created, g.Recipient, g.Cert, private})
}

// goOnBy says which slot, and which key of it, opens later generations.
func (b *Bundle) goOnBy(id string, key *ecdh.PrivateKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.wiped {
		b.slot, b.with = id, key
	}
}

// Refresh learns the generations that the ring has had since the bundle was
// opened, and forgets those that were retired. It is ErrNoSlot if there are new
// ones and the slot that opened it is gone, or changed.
func (b *Bundle) Refresh(r *Ring) error {
	b.forget(r)
	if r.holdsAll(b) == nil {
		return nil
	}
	b.mu.RLock()
	id, with, wiped := b.slot, b.with, b.wiped
	b.mu.RUnlock()
	if wiped {
		return ErrWiped
	}
	s := r.find(id)
	if s == nil || with == nil || !s.matches(s.Kind, with.PublicKey().Bytes()) {
		return ErrNoSlot
	}
	for i := range r.gens {
		g := &r.gens[i]
		if b.key(g.Recipient.Fingerprint) != nil {
			continue
		}
		private, err := g.openWith(s, with)
		if err != nil {
			return err
		}
		b.learn(g, private)
	}
	return nil
}

// forget lets go of the generations older than all of the ring's.
func (b *Bundle) forget(r *Ring) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys = slices.DeleteFunc(b.keys, func(k opened) bool {
		gone := len(r.gens) > 0 && k.number < r.gens[0].Number
		if gone {
			clear(k.private[:])
		}
		return gone
	})
}

// holdsAll returns ErrStale unless the bundle holds every generation.
func (r *Ring) holdsAll(b *Bundle) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.wiped {
		return ErrWiped
	}
	for i := range r.gens {
		if b.find(r.gens[i].Recipient.Fingerprint) == nil {
			return ErrStale
		}
	}
	return nil
}

// sealAll seals every generation to a slot. It changes nothing if it fails.
func (r *Ring) sealAll(b *Bundle, s *slot) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	gens := append([]generation(nil), r.gens...)
	for i := range gens {
		k := b.find(gens[i].Recipient.Fingerprint)
		if k == nil {
			return ErrStale
		}
		if err := gens[i].sealTo(s, k.private); err != nil {
			return err
		}
	}
	r.gens = gens
	return nil
}

// find returns the generation of a fingerprint; the caller holds the lock.
func (b *Bundle) find(fingerprint [32]byte) *opened {
	for i := range b.keys {
		if b.keys[i].recipient.Fingerprint == fingerprint {
			return &b.keys[i]
		}
	}
	return nil
}

func (b *Bundle) key(fingerprint [32]byte) *opened {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.find(fingerprint)
}

// Slot returns the id of the slot that opens the bundle, "" for New's.
func (b *Bundle) Slot() string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.slot
}

// Generations returns how many generations the bundle knows: more than one
// means that mail under an older one may still lie there.
func (b *Bundle) Generations() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.keys)
}

// Rotated returns when the newest generation that the bundle knows was made.
func (b *Bundle) Rotated() time.Time {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.keys) == 0 {
		return time.Time{}
	}
	return time.Unix(b.keys[len(b.keys)-1].created, 0).UTC()
}

// Recipient returns what new mail is sealed to: the newest generation that the
// bundle knows. After Wipe it is zero.
func (b *Bundle) Recipient() Recipient {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.keys) == 0 {
		return Recipient{}
	}
	return b.keys[len(b.keys)-1].recipient
}

// Unwrap returns the session key of a PKESK packet that Wrap wrote, for any
// generation of the account: ErrWrongKey if it is for none, ErrWiped after Wipe.
func (b *Bundle) Unwrap(pkesk []byte) (SessionKey, error) {
	fingerprint, ephemeral, wrapped, err := parsePKESK(pkesk)
	if err != nil {
		return SessionKey{}, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.wiped {
		return SessionKey{}, ErrWiped
	}
	k := b.find(fingerprint)
	if k == nil {
		return SessionKey{}, ErrWrongKey
	}
	var shared x25519.Key
	if !x25519.Shared(&shared, secret(k.private), &ephemeral) {
		return SessionKey{}, ErrDamaged // a point of low order
	}
	public := x25519.Key(k.recipient.Public)
	kek, err := wrappingKey(&ephemeral, &public, &shared)
	if err != nil {
		return SessionKey{}, err
	}
	return unwrapKey(kek, wrapped)
}

// IndexKey returns the symmetric key of the newest generation, under which a
// session seals what it derives from the mail; zero after Wipe. What was
// sealed under an older one opens with IndexKeyOf.
func (b *Bundle) IndexKey() [32]byte {
	k, _ := b.IndexKeyOf(b.Generation())
	return k
}

// Generation returns the number of the newest generation that the bundle
// knows, from 1; 0 after Wipe.
func (b *Bundle) Generation() uint32 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.keys) == 0 {
		return 0
	}
	return b.keys[len(b.keys)-1].number
}

// IndexKeyOf returns the symmetric key of a generation, if the bundle has it.
// It derives from the generation's private keys, so a server slot removed with
// a rotation knows none of the new one.
func (b *Bundle) IndexKeyOf(generation uint32) ([32]byte, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, k := range b.keys {
		if k.number != generation {
			continue
		}
		out, err := hkdf.Key(sha256.New, k.private[:], k.recipient.Fingerprint[:], "pli keyring 1 index", 32)
		if err != nil {
			return [32]byte{}, false
		}
		return [32]byte(out), true
	}
	return [32]byte{}, false
}

// Wipe zeroes the private keys: the session is over. Copies that Go's runtime
// or a library made may remain until the memory is used again.
func (b *Bundle) Wipe() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.keys {
		clear(k.private[:])
	}
	b.keys, b.with, b.wiped = nil, nil, true
}

// String shows nothing of the keys.
func (b *Bundle) String() string { return "key bundle …" }
