package keyring

import (
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// record is a ring as it is stored.
type record struct {
	Version uint           `cbor:"0,keyasint"`
	User    string         `cbor:"1,keyasint"`
	Salt    [ringSalt]byte `cbor:"2,keyasint"`
	Gens    []generation   `cbor:"3,keyasint"`
	Slots   []slot         `cbor:"4,keyasint"`
}

const recordVersion = 1

// decMode refuses what a ring never holds.
var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 8, MaxArrayElements: 1024, MaxMapPairs: 64,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// MarshalCBOR returns the ring as a record holds it.
func (r Ring) MarshalCBOR() ([]byte, error) {
	return cbor.Marshal(record{recordVersion, r.user, r.salt, r.gens, r.slots})
}

// UnmarshalCBOR reads what MarshalCBOR wrote. Anything that no ring can be is
// ErrDamaged; whether the sealed keys open is seen when they are opened.
func (r *Ring) UnmarshalCBOR(b []byte) error {
	var rec record
	if len(b) > maxRecord || decMode.Unmarshal(b, &rec) != nil || !rec.valid() {
		return ErrDamaged
	}
	*r = Ring{rec.User, rec.Salt, rec.Gens, rec.Slots}
	return nil
}

func (rec *record) valid() bool {
	if rec.Version != recordVersion || len(rec.User) > MaxUser || !utf8.ValidString(rec.User) {
		return false
	}
	if len(rec.Gens) == 0 || len(rec.Gens) > MaxGenerations || len(rec.Slots) > MaxSlots {
		return false
	}
	ids, passwords := map[string]bool{}, 0
	for i := range rec.Slots {
		s := &rec.Slots[i]
		if !s.valid() || ids[s.ID] {
			return false
		}
		ids[s.ID] = true
		if s.Kind == Password {
			passwords++
		}
	}
	for i := range rec.Gens {
		g := &rec.Gens[i]
		if !g.valid(ids) || g.Number == 0 || i > 0 && g.Number <= rec.Gens[i-1].Number {
			return false
		}
	}
	return passwords <= MaxPasswordSlots
}

func (s *slot) valid() bool {
	if len(s.ID) != 16 || len(s.Label) > MaxLabel || s.Public == [32]byte{} {
		return false
	}
	if s.Kind == Password {
		return len(s.Salt) == slotSalt && s.Params.valid() && s.Member == "" && s.Escrow == nil
	}
	if len(s.Salt) != 0 || s.Params != (Params{}) || s.Kind != Account && s.Member != "" || s.Kind != Operators && s.Escrow != nil {
		return false
	}
	switch s.Kind {
	case Account:
		return s.Member != "" && len(s.Member) <= MaxLabel
	case Operators:
		return s.Escrow != nil && s.Escrow.valid()
	}
	return s.Kind == Server || s.Kind.generated()
}

// valid reports whether the generation is sealed once to each of the slots.
func (g *generation) valid(ids map[string]bool) bool {
	if len(g.Cert) == 0 || len(g.Cert) > maxCert || g.Recipient.Public == [32]byte{} || len(g.Sealed) != len(ids) {
		return false
	}
	seen := map[string]bool{}
	for _, k := range g.Sealed {
		if !ids[k.Slot] || seen[k.Slot] || len(k.Bytes) != sealedSize {
			return false
		}
		seen[k.Slot] = true
	}
	return true
}
