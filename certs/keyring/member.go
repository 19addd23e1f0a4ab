package keyring

import (
	"crypto/ecdh"
	"crypto/subtle"
	"time"
)

// AddAccount adds a slot that another account's own keys open: member is that
// account's opaque id, to its Recipient. One slot serves a member: if there is
// one already, it is replaced, as after a rotation of the member's keys.
func (r *Ring) AddAccount(b *Bundle, member string, to Recipient, label string, now time.Time) (id string, err error) {
	if member == "" || len(member) > MaxLabel {
		return "", ErrTooLarge
	}
	if _, err := ecdh.X25519().NewPublicKey(to.Public[:]); err != nil || to.IsZero() {
		return "", ErrDamaged
	}
	old, replaces := r.MemberSlot(member)
	id, err = r.add(b, slot{Kind: Account, Label: label, Member: member, Created: now.Unix(), Public: to.Public})
	if err == nil && replaces {
		r.drop(old.ID)
	}
	return id, err
}

// MemberSlot returns the slot of another account.
func (r *Ring) MemberSlot(member string) (SlotInfo, bool) {
	for i := range r.slots {
		if r.slots[i].Kind == Account && r.slots[i].Member == member {
			return r.slots[i].info(), true
		}
	}
	return SlotInfo{}, false
}

// OpenAccount opens the account by another one's opened keys, of any of its
// generations, and says by which slot; ErrNoSlot if none of them opens it.
func (r *Ring) OpenAccount(member *Bundle) (*Bundle, string, error) {
	for i := range r.slots {
		s := &r.slots[i]
		if s.Kind != Account {
			continue
		}
		key, err := member.privateOf(s.Public)
		if err != nil {
			return nil, "", err
		}
		if key != nil {
			return r.open(s, key)
		}
	}
	return nil, "", ErrNoSlot
}

// privateOf returns the private half of a public key, nil if the bundle has it
// not.
func (b *Bundle) privateOf(public [32]byte) (*ecdh.PrivateKey, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.wiped {
		return nil, ErrWiped
	}
	for i := range b.keys {
		if k := &b.keys[i]; subtle.ConstantTimeCompare(k.recipient.Public[:], public[:]) == 1 {
			return ecdh.X25519().NewPrivateKey(secret(k.private)[:])
		}
	}
	return nil, nil
}
