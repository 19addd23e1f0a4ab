package keyring_test

import (
	"testing"

	"github.com/fxamacker/cbor/v2"

	"pli/certs/keyring"
)

// fields is a CBOR map with integer keys, as rings are stored.
type fields = map[int]cbor.RawMessage

func read[T any](t *testing.T, b []byte) T {
	t.Helper()
	var v T
	must(t, cbor.Unmarshal(b, &v))
	return v
}

func write(t *testing.T, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	must(t, err)
	return b
}

// The places that these tests change. Their numbers stand in records.
const (
	inRingGens     = 3
	inRingSlots    = 4
	inGenNumber    = 1
	inGenRecipient = 3
	inGenSealed    = 5
	inRecipientKey = 2
	inSealedBytes  = 2
	inSlotParams   = 7
	inParamsMemory = 1
)

// tampered returns a ring whose generations were changed in its record.
func tampered(t *testing.T, r *keyring.Ring, change func(gens []fields)) (*keyring.Ring, error) {
	t.Helper()
	ring := read[fields](t, write(t, r))
	gens := read[[]fields](t, ring[inRingGens])
	change(gens)
	ring[inRingGens] = write(t, gens)
	out := new(keyring.Ring)
	return out, out.UnmarshalCBOR(write(t, ring))
}

// Whoever can write records can neither pass one generation's keys for
// another's nor put a public key of their own before keys that open.
func TestRecordOfMixedKeysDoesNotOpen(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, secret, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(t, err)
	must(t, r.Rotate(b, now))
	foreign, _ := newRing(t)
	for what, change := range map[string]func(gens []fields){
		"sealed keys exchanged": func(g []fields) { g[0][inGenSealed], g[1][inGenSealed] = g[1][inGenSealed], g[0][inGenSealed] },
		"another public key": func(g []fields) {
			to := read[fields](t, g[1][inGenRecipient])
			to[inRecipientKey] = write(t, foreign.Recipient().Public)
			g[1][inGenRecipient] = write(t, to)
		},
		"another recipient": func(g []fields) { g[1][inGenRecipient] = write(t, foreign.Recipient()) },
	} {
		bad, err := tampered(t, r, change)
		must(t, err)
		if _, _, err := bad.OpenGenerated(secret); err != keyring.ErrDamaged {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A record that no ring can have is refused when read.
func TestImpossibleRecordIsRefused(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	_, err := r.AddPasswordWith(cheap, b, "pw", "", now)
	must(t, err)
	_, err = r.AddServer(b, [32]byte{1})
	must(t, err)
	must(t, r.Rotate(b, now))
	for what, change := range map[string]func(gens []fields){
		"a slot sealed to twice": func(g []fields) {
			sealed := read[[]fields](t, g[0][inGenSealed])
			g[0][inGenSealed] = write(t, []fields{sealed[0], sealed[0]})
		},
		"a slot not sealed to": func(g []fields) {
			g[0][inGenSealed] = write(t, read[[]fields](t, g[0][inGenSealed])[:1])
		},
		"a sealed key cut": func(g []fields) {
			sealed := read[[]fields](t, g[0][inGenSealed])
			sealed[0][inSealedBytes] = write(t, make([]byte, 100))
			g[0][inGenSealed] = write(t, sealed)
		},
		"numbers that fall": func(g []fields) { g[0][inGenNumber] = write(t, 9) },
		"no public key":     func(g []fields) { g[0][inGenRecipient] = write(t, keyring.Recipient{}) },
	} {
		if _, err := tampered(t, r, change); err != keyring.ErrDamaged {
			t.Errorf("%s: %v", what, err)
		}
	}
	for memory, want := range map[uint32]error{1 << 20: nil, 1<<20 + 1: keyring.ErrDamaged, 7: keyring.ErrDamaged} {
		ring := read[fields](t, write(t, r))
		slots := read[[]fields](t, ring[inRingSlots])
		params := read[fields](t, slots[0][inSlotParams])
		params[inParamsMemory] = write(t, memory)
		slots[0][inSlotParams] = write(t, params)
		ring[inRingSlots] = write(t, slots)
		if err := new(keyring.Ring).UnmarshalCBOR(write(t, ring)); err != want {
			t.Errorf("argon2id of %d KiB: %v, want %v", memory, err, want)
		}
	}
}
