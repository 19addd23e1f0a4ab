package keyring

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"time"
)

// OperatorPublic is the public half of an operator's offline recovery key
// (X25519).
type OperatorPublic [32]byte

// Escrow is the open part of an Operators slot. The slot's private half
// derives from two Diffie-Hellman secrets, of Ephemeral with each of the two
// keys, and is stored nowhere; so is Ephemeral's own. Who has one of the keys
// has nothing of it.
type Escrow struct {
	Ephemeral [32]byte          `cbor:"1,keyasint"` // X25519
	Keys      [2]OperatorPublic `cbor:"2,keyasint"` // ascending, different
}

func (e *Escrow) valid() bool {
	return e.Ephemeral != [32]byte{} && e.Keys[0] != OperatorPublic{} && bytes.Compare(e.Keys[0][:], e.Keys[1][:]) < 0
}

// ordered returns the keys as an Escrow has them.
func ordered(keys [2]OperatorPublic) [2]OperatorPublic {
	if bytes.Compare(keys[0][:], keys[1][:]) > 0 {
		keys[0], keys[1] = keys[1], keys[0]
	}
	return keys
}

// Share is one operator's half of what opens one account's slot, and no other.
// It is a secret until the slot is made anew.
type Share struct {
	Of     OperatorPublic
	Secret [32]byte
}

// share derives a Share from a Diffie-Hellman secret.
func share(dh []byte, ephemeral [32]byte, of OperatorPublic) (Share, error) {
	out, err := hkdf.Key(sha256.New, dh, append(ephemeral[:], of[:]...), "pli keyring 1 operator share", 32)
	if err != nil {
		return Share{}, err
	}
	return Share{of, [32]byte(out)}, nil
}

// key returns the slot's private key, from the shares in the order of Keys.
func (e *Escrow) key(shares [2]Share) (*ecdh.PrivateKey, error) {
	both := append(shares[0].Secret[:], shares[1].Secret[:]...)
	defer clear(both)
	salt := append(append(e.Ephemeral[:], e.Keys[0][:]...), e.Keys[1][:]...)
	return slotKey(Operators, both, salt)
}

// newEscrow makes the open part of a slot, and the slot's private key.
func newEscrow(keys [2]OperatorPublic) (*Escrow, *ecdh.PrivateKey, error) {
	e := &Escrow{Keys: ordered(keys)}
	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	e.Ephemeral = [32]byte(ephemeral.PublicKey().Bytes())
	if !e.valid() {
		return nil, nil, ErrSameKey
	}
	var shares [2]Share
	for i, of := range e.Keys {
		public, err := ecdh.X25519().NewPublicKey(of[:])
		if err != nil {
			return nil, nil, err
		}
		dh, err := ephemeral.ECDH(public)
		if err != nil {
			return nil, nil, ErrDamaged // a point of low order
		}
		if shares[i], err = share(dh, e.Ephemeral, of); err != nil {
			return nil, nil, err
		}
		clear(dh)
	}
	key, err := e.key(shares)
	return e, key, err
}

// AddOperators makes the slot that two operators' offline keys open together,
// in the place of the one there is: shares of that one are useless from then
// on. ErrSameKey unless the two differ.
func (r *Ring) AddOperators(b *Bundle, keys [2]OperatorPublic, now time.Time) (id string, err error) {
	e, key, err := newEscrow(keys)
	if err != nil {
		return "", err
	}
	var replaced string
	if old := r.operators(); old != nil {
		replaced = old.ID
	}
	id, err = r.add(b, slot{Kind: Operators, Created: now.Unix(), Public: [32]byte(key.PublicKey().Bytes()), Escrow: e})
	if err == nil && replaced != "" {
		r.drop(replaced)
	}
	return id, err
}

// HasOperators reports whether those two keys, in either order, open the ring.
func (r *Ring) HasOperators(keys [2]OperatorPublic) bool {
	s := r.operators()
	return s != nil && s.Escrow.Keys == ordered(keys)
}

// Escrow returns what operators make their shares for, if there is a slot of
// theirs.
func (r *Ring) Escrow() (Escrow, bool) {
	if s := r.operators(); s != nil {
		return *s.Escrow, true
	}
	return Escrow{}, false
}

func (r *Ring) operators() *slot {
	for i := range r.slots {
		if r.slots[i].Kind == Operators {
			return &r.slots[i]
		}
	}
	return nil
}

// OpenOperators opens the account by the shares of both operators, in any
// order; ErrNoSlot for any others.
func (r *Ring) OpenOperators(a, b Share) (*Bundle, error) {
	s := r.operators()
	if s == nil {
		return nil, ErrNoSlot
	}
	shares := [2]Share{a, b}
	if a.Of == s.Escrow.Keys[1] {
		shares = [2]Share{b, a}
	}
	if shares[0].Of != s.Escrow.Keys[0] || shares[1].Of != s.Escrow.Keys[1] {
		return nil, ErrNoSlot
	}
	key, err := s.Escrow.key(shares)
	if err != nil {
		return nil, err
	}
	if !s.matches(Operators, key.PublicKey().Bytes()) {
		return nil, ErrNoSlot
	}
	bundle, _, err := r.open(s, key)
	return bundle, err
}
