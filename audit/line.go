package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"pli/identity"
	"pli/store"
)

// lineVersion is the first byte of every stored line. A line's hash is taken
// over its stored bytes, so lines of an older form stay verifiable as they are.
const lineVersion = 1

// What goes into a hash before its bytes, so that one never passes for the
// other.
const (
	chainTag = "pli audit chain 1\n"
	lineTag  = "pli audit line 1\n"
)

// line is the stored form of an Entry: deterministic CBOR (RFC 8949 4.2.1) of
// a map with whole-number keys. A number, once given, keeps its meaning.
type line struct {
	Seq        uint64            `cbor:"1,keyasint"`
	At         int64             `cbor:"2,keyasint"` // milliseconds since 1970, UTC
	Prev       []byte            `cbor:"3,keyasint"`
	Act        string            `cbor:"4,keyasint"`
	Outcome    string            `cbor:"5,keyasint"`
	Rule       string            `cbor:"6,keyasint,omitempty"`
	Reason     string            `cbor:"7,keyasint,omitempty"`
	Object     string            `cbor:"8,keyasint,omitempty"`
	Title      string            `cbor:"9,keyasint,omitempty"`
	Detail     map[string]string `cbor:"10,keyasint,omitempty"`
	Kind       string            `cbor:"11,keyasint,omitempty"` // of the actor, and so on
	ID         string            `cbor:"12,keyasint,omitempty"`
	Name       string            `cbor:"13,keyasint,omitempty"`
	Profession string            `cbor:"14,keyasint,omitempty"`
	Structure  string            `cbor:"15,keyasint,omitempty"`
	Address    string            `cbor:"16,keyasint,omitempty"`
	Account    string            `cbor:"17,keyasint,omitempty"`
}

// encode returns the stored bytes of an entry.
func encode(e Entry) ([]byte, error) {
	b, err := store.Encode(line{
		Seq: e.Seq, At: e.At.UnixMilli(), Prev: e.Prev[:],
		Act: e.Act, Outcome: string(e.Outcome), Rule: e.Rule, Reason: e.Reason,
		Object: e.Object, Title: e.Title, Detail: e.Detail,
		Kind: e.Actor.Kind.String(), ID: e.Actor.ID, Name: e.Actor.Name,
		Profession: e.Actor.Profession, Structure: e.Actor.Structure,
		Address: e.Actor.Address, Account: e.Actor.Account,
	})
	if err != nil {
		return nil, err
	}
	return append([]byte{lineVersion}, b...), nil
}

// decode reads stored bytes. Seq, Prev and Hash are as the bytes say: whether
// they fit the chain is for the caller to check.
func decode(b []byte) (Entry, error) {
	if len(b) == 0 || b[0] != lineVersion {
		return Entry{}, fmt.Errorf("%w: a line of an unknown form", ErrBroken)
	}
	var l line
	if err := store.Decode(b[1:], &l); err != nil {
		return Entry{}, fmt.Errorf("%w: a line that does not decode: %w", ErrBroken, err)
	}
	if len(l.Prev) != sha256.Size {
		return Entry{}, fmt.Errorf("%w: a line without the hash of the one before", ErrBroken)
	}
	return Entry{
		Seq: l.Seq, At: time.UnixMilli(l.At).UTC(), Act: l.Act, Outcome: Outcome(l.Outcome),
		Rule: l.Rule, Reason: l.Reason, Object: l.Object, Title: l.Title, Detail: l.Detail,
		Actor: identity.Actor{
			Kind: identity.ParseActorKind(l.Kind), ID: l.ID, Name: l.Name, Profession: l.Profession,
			Structure: l.Structure, Address: l.Address, Account: l.Account,
		},
		Prev: [32]byte(l.Prev), Hash: lineHash(b),
	}, nil
}

// tidy returns e as it will be stored: bounded, in valid UTF-8, at a UTC
// millisecond.
func tidy(e Entry) Entry {
	e.At = e.At.UTC().Truncate(time.Millisecond)
	e.Act, e.Rule = clip(e.Act, MaxWord), clip(e.Rule, MaxWord)
	a := &e.Actor
	for _, s := range []*string{&e.Reason, &e.Object, &e.Title,
		&a.ID, &a.Name, &a.Profession, &a.Structure, &a.Address, &a.Account} {
		*s = clip(*s, MaxText)
	}
	e.Detail = tidyDetail(e.Detail)
	return e
}

// tidyDetail returns the first MaxDetail details in order of their names.
func tidyDetail(detail map[string]string) map[string]string {
	if len(detail) == 0 {
		return nil
	}
	kept := make(map[string]string, min(len(detail), MaxDetail))
	for _, name := range slices.Sorted(maps.Keys(detail)) {
		if len(kept) == MaxDetail {
			break
		}
		kept[clip(name, MaxWord)] = clip(detail[name], MaxText)
	}
	return kept
}

// clip returns s in valid UTF-8 and at most n bytes, cut between runes.
func clip(s string, n int) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// lineHash returns the hash of a stored line.
func lineHash(b []byte) (sum [32]byte) {
	h := sha256.New()
	h.Write([]byte(lineTag))
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// rootHash returns what the first line of an owner's chain is chained to: a
// chain moved to another owner does not verify there.
func rootHash(owner store.Owner) [32]byte {
	return sha256.Sum256([]byte(chainTag + string(owner)))
}

// lineKey returns where a line lies.
func lineKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix+"line/"), seq)
}
