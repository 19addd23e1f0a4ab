package keyring

import "crypto/ecdh"

// OpenPassword opens the account by a password and says by which slot. It
// costs one argon2id for each password slot, and never less than one; a wrong
// password is ErrNoSlot.
func (r *Ring) OpenPassword(password string) (*Bundle, string, error) {
	prepared, err := preparePassword(password)
	var found *slot
	var with *ecdh.PrivateKey
	tried := false
	for i := range r.slots {
		s := &r.slots[i]
		if s.Kind != Password || err != nil {
			continue
		}
		tried = true
		key, err := slotKey(Password, stretch(s.Params, prepared, s.Salt), s.Salt)
		if err != nil {
			return nil, "", err
		}
		if s.matches(Password, key.PublicKey().Bytes()) {
			found, with = s, key
		}
	}
	if !tried {
		SpendPassword(Params{}, password)
	}
	return r.open(found, with)
}

// OpenGenerated opens the account by a generated secret, typed in either case
// and with any spaces and hyphens, and says by which slot. It tries the slots
// of the given kinds, of both if none is given, all at the cost of one
// derivation for each kind. A wrong secret is ErrNoSlot; what cannot be one is
// ErrSecretForm, at no cost.
func (r *Ring) OpenGenerated(secret string, kinds ...Kind) (*Bundle, string, error) {
	bits, err := parseSecret(secret)
	if err != nil {
		return nil, "", err
	}
	defer clear(bits[:])
	if len(kinds) == 0 {
		kinds = []Kind{MailPassword, Recovery}
	}
	for _, kind := range kinds {
		if !kind.generated() {
			continue
		}
		key, err := slotKey(kind, bits[:], r.salt[:])
		if err != nil {
			return nil, "", err
		}
		if s := r.match(kind, key.PublicKey().Bytes()); s != nil {
			return r.open(s, key)
		}
	}
	return nil, "", ErrNoSlot
}

// OpenServer opens the account by the server's key; ErrNoSlot if it has no
// slot of that key.
func (r *Ring) OpenServer(key [32]byte) (*Bundle, error) {
	private, err := slotKey(Server, key[:], r.salt[:])
	if err != nil {
		return nil, err
	}
	b, _, err := r.open(r.match(Server, private.PublicKey().Bytes()), private)
	return b, err
}

// match returns the slot of that kind and public key, looking at all.
func (r *Ring) match(kind Kind, public []byte) (found *slot) {
	for i := range r.slots {
		if r.slots[i].matches(kind, public) {
			found = &r.slots[i]
		}
	}
	return found
}

// open opens every generation by a slot; a nil slot is ErrNoSlot.
func (r *Ring) open(s *slot, key *ecdh.PrivateKey) (*Bundle, string, error) {
	if s == nil {
		return nil, "", ErrNoSlot
	}
	b := &Bundle{slot: s.ID, with: key}
	for i := range r.gens {
		private, err := r.gens[i].openWith(s, key)
		if err != nil {
			b.Wipe()
			return nil, "", err
		}
		b.learn(&r.gens[i], private)
	}
	return b, s.ID, nil
}
