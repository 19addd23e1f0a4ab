package keyring

import (
	"crypto/rand"
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
	if err := s.setPassword(p, password); err != nil {
		return "", err
	}
	return r.add(b, s)
}

// setPassword gives the slot the key that a password and a fresh salt make.
func (s *slot) setPassword(p Params, password string) error {
	if p = p.orDefault(); !p.valid() {
		return ErrPassword
	}
	prepared, err := preparePassword(password)
	if err != nil {
		return err
	}
	salt := make([]byte, slotSalt)
	if _, err := rand.Read(salt); err != nil {
		return err
	}
	key, err := slotKey(Password, stretch(p, prepared, salt), salt)
	if err != nil {
		return err
	}
	s.Params, s.Salt, s.Public = p, salt, [32]byte(key.PublicKey().Bytes())
	return nil
}

// ChangePassword gives a password slot a new password. One slot is sealed
// again, whatever the account holds; sessions that the old one opened keep
// their bundles.
func (r *Ring) ChangePassword(p Params, b *Bundle, id, password string) error {
	old := r.find(id)
	if old == nil || old.Kind != Password {
		return ErrUnknownSlot
	}
	if err := r.holdsAll(b); err != nil {
		return err
	}
	fresh := *old
	if err := fresh.setPassword(p, password); err != nil {
		return err
	}
	if err := r.sealAll(b, &fresh); err != nil {
		return err
	}
	*old = fresh
	return nil
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
	kept := make([]slot, 0, len(r.slots))
	for _, s := range r.slots {
		if s.ID != id {
			kept = append(kept, s)
		}
	}
	r.slots = kept
	for i := range r.gens {
		r.gens[i].drop(id)
	}
	return nil
}
