package keyring

import (
	"crypto/ecdh"
	"crypto/rand"
	"slices"
	"time"
)

// Slots returns the ways to open the account, oldest first.
func (r *Ring) Slots() []SlotInfo {
	out := make([]SlotInfo, len(r.slots))
	for i := range r.slots {
		out[i] = r.slots[i].info()
	}
	return out
}

// Slot returns one way to open the account.
func (r *Ring) Slot(id string) (SlotInfo, bool) {
	if s := r.find(id); s != nil {
		return s.info(), true
	}
	return SlotInfo{}, false
}

func (r *Ring) find(id string) *slot {
	for i := range r.slots {
		if r.slots[i].ID == id {
			return &r.slots[i]
		}
	}
	return nil
}

// AddPassword adds a password at the default cost. See AddPasswordWith.
func (r *Ring) AddPassword(b *Bundle, password, label string, now time.Time) (id string, err error) {
	return r.AddPasswordWith(Params{}, b, password, label, now)
}

// AddPasswordWith adds a slot that a password opens, at a cost (the zero
// Params are the default) that is kept with it. The bundle must hold every
// generation, else ErrStale. It says nothing of how good the password is.
func (r *Ring) AddPasswordWith(p Params, b *Bundle, password, label string, now time.Time) (id string, err error) {
	count := 0
	for i := range r.slots {
		if r.slots[i].Kind == Password {
			count++
		}
	}
	if count >= MaxPasswordSlots {
		return "", ErrFull
	}
	s := slot{Kind: Password, Label: label, Created: now.Unix()}
	if _, err := s.setPassword(p, password); err != nil {
		return "", err
	}
	return r.add(b, s)
}

// setPassword gives the slot the key that a password and a fresh salt make,
// and returns it.
func (s *slot) setPassword(p Params, password string) (*ecdh.PrivateKey, error) {
	if p = p.orDefault(); !p.valid() {
		return nil, ErrPassword
	}
	prepared, err := preparePassword(password)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, slotSalt)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	key, err := slotKey(Password, stretch(p, prepared, salt), salt)
	if err != nil {
		return nil, err
	}
	s.Params, s.Salt, s.Public = p, salt, [32]byte(key.PublicKey().Bytes())
	return key, nil
}

// ChangePassword gives a password slot a new password. One slot is sealed
// again, whatever the account holds. If the slot is the one that opened b, b
// goes on by the new password; other sessions that the old one opened keep
// their bundles, and learn no later generation.
func (r *Ring) ChangePassword(p Params, b *Bundle, id, password string) error {
	old := r.find(id)
	if old == nil || old.Kind != Password {
		return ErrUnknownSlot
	}
	if err := r.holdsAll(b); err != nil {
		return err
	}
	fresh := *old
	key, err := fresh.setPassword(p, password)
	if err != nil {
		return err
	}
	if err := r.sealAll(b, &fresh); err != nil {
		return err
	}
	*old = fresh
	if b.Slot() == id {
		b.goOnBy(id, key)
	}
	return nil
}

// ResetPassword puts one new password in the place of all that there are, for
// a holder who came by another slot. b goes on by the new password.
func (r *Ring) ResetPassword(p Params, b *Bundle, password string, now time.Time) (id string, err error) {
	s := slot{Kind: Password, Created: now.Unix()}
	key, err := s.setPassword(p, password)
	if err != nil {
		return "", err
	}
	before := r.Slots()
	if id, err = r.add(b, s); err != nil {
		return "", err
	}
	for _, old := range before {
		if old.Kind == Password {
			r.drop(old.ID)
		}
	}
	b.goOnBy(id, key)
	return id, nil
}

// AddGenerated adds a slot of kind MailPassword or Recovery and returns the
// secret of 128 random bits that opens it, to be shown once.
func (r *Ring) AddGenerated(b *Bundle, kind Kind, label string, now time.Time) (id, secret string, err error) {
	if !kind.generated() {
		return "", "", ErrUnknownSlot
	}
	bits, text, err := newSecret()
	if err != nil {
		return "", "", err
	}
	defer clear(bits[:])
	key, err := slotKey(kind, bits[:], r.salt[:])
	if err != nil {
		return "", "", err
	}
	id, err = r.add(b, slot{Kind: kind, Label: label, Created: now.Unix(), Public: [32]byte(key.PublicKey().Bytes())})
	if err != nil {
		return "", "", err
	}
	return id, text, nil
}

// AddServer adds a slot that a key of the server's opens, dated as the newest
// generation. If there is one of that key already, it is returned.
func (r *Ring) AddServer(b *Bundle, key [32]byte) (id string, err error) {
	private, err := slotKey(Server, key[:], r.salt[:])
	if err != nil {
		return "", err
	}
	public := private.PublicKey().Bytes()
	if s := r.match(Server, public); s != nil {
		return s.ID, nil
	}
	return r.add(b, slot{Kind: Server, Created: r.newest().Created, Public: [32]byte(public)})
}

// add seals every generation to a new slot.
func (r *Ring) add(b *Bundle, s slot) (id string, err error) {
	if len(r.slots) >= MaxSlots {
		return "", ErrFull
	}
	if len(s.Label) > MaxLabel {
		return "", ErrTooLarge
	}
	if err := r.holdsAll(b); err != nil {
		return "", err
	}
	if s.ID, err = newID(); err != nil {
		return "", err
	}
	if err := r.sealAll(b, &s); err != nil {
		return "", err
	}
	r.slots = append(r.slots, s)
	return s.ID, nil
}

// RemoveSlot takes a way to open the account away. Sessions that it opened
// keep their bundles; Rotate makes them useless for what comes.
func (r *Ring) RemoveSlot(id string) error {
	if r.find(id) == nil {
		return ErrUnknownSlot
	}
	if len(r.slots) == 1 {
		return ErrLastSlot
	}
	r.drop(id)
	return nil
}

// drop forgets a slot, whether or not it is the last.
func (r *Ring) drop(id string) {
	r.slots = slices.DeleteFunc(slices.Clone(r.slots), func(s slot) bool { return s.ID == id })
	for i := range r.gens {
		r.gens[i].drop(id)
	}
}
