package mailbox

import (
	"slices"
	"strings"

	"pli/internal/errs"
	"pli/store"
)

// Flag is a system flag, which begins with a backslash, or a keyword. Flags
// compare without regard to case (RFC 9051 2.3.2).
type Flag string

// The system flags that are kept (RFC 9051 2.3.2).
const (
	Seen     Flag = `\Seen`
	Answered Flag = `\Answered`
	Flagged  Flag = `\Flagged`
	Deleted  Flag = `\Deleted`
	Draft    Flag = `\Draft`
)

// FlagOp says what Store does with flags.
type FlagOp uint8

// The operations of Store.
const (
	FlagsSet FlagOp = iota
	FlagsAdd
	FlagsRemove
)

// systemFlags in the order of their bits. The order stands in records.
var systemFlags = [...]Flag{Seen, Answered, Flagged, Deleted, Draft}

// maxKeywordBits is how many keywords a bits has room for.
const maxKeywordBits = 128 - len(systemFlags)

// bits is a set of flags: the system flags, then the account's keywords in the
// order of the directory.
type bits struct{ lo, hi uint64 }

var bitSeen, bitDeleted = bitAt(0), bitAt(3)

func bitAt(i int) bits {
	if i < 64 {
		return bits{lo: 1 << i}
	}
	return bits{hi: 1 << (i - 64)}
}

func (b bits) or(o bits) bits    { return bits{b.lo | o.lo, b.hi | o.hi} }
func (b bits) minus(o bits) bits { return bits{b.lo &^ o.lo, b.hi &^ o.hi} }
func (b bits) has(o bits) bool   { return b.lo&o.lo == o.lo && b.hi&o.hi == o.hi }
func (b bits) meets(o bits) bool { return b.lo&o.lo != 0 || b.hi&o.hi != 0 }

// apply returns b after op with f.
func (b bits) apply(op FlagOp, f bits) bits {
	switch op {
	case FlagsAdd:
		return b.or(f)
	case FlagsRemove:
		return b.minus(f)
	}
	return f
}

// names returns the flags of b, the keywords spelled as in keywords.
func (b bits) names(keywords []string) []Flag {
	var out []Flag
	for i, f := range systemFlags {
		if b.has(bitAt(i)) {
			out = append(out, f)
		}
	}
	for i, k := range keywords {
		if b.has(bitAt(len(systemFlags) + i)) {
			out = append(out, Flag(k))
		}
	}
	return out
}

// systemBit returns the bit of a system flag.
func systemBit(f Flag) (bits, bool) {
	i := slices.IndexFunc(systemFlags[:], func(s Flag) bool { return strings.EqualFold(string(s), string(f)) })
	if i < 0 {
		return bits{}, false
	}
	return bitAt(i), true
}

// keywordIndex returns the place of a keyword among an account's, or -1.
func keywordIndex(keywords []string, f Flag) int {
	return slices.IndexFunc(keywords, func(k string) bool { return strings.EqualFold(k, string(f)) })
}

// knownBits returns the bits of flags; ok is false if one of them is a keyword
// that the account does not have.
func knownBits(keywords []string, flags []Flag) (b bits, ok bool) {
	ok = true
	for _, f := range flags {
		if bit, sys := systemBit(f); sys {
			b = b.or(bit)
		} else if i := keywordIndex(keywords, f); i >= 0 {
			b = b.or(bitAt(len(systemFlags) + i))
		} else {
			ok = false
		}
	}
	return b, ok
}

// checkFlags refuses what is neither a kept system flag nor a keyword
// (RFC 9051 9: flag-keyword is an atom).
func (s *Service) checkFlags(flags []Flag) error {
	for _, f := range flags {
		if _, ok := systemBit(f); ok {
			continue
		}
		if len(f) == 0 || strings.ContainsFunc(string(f), notAtom) {
			return errs.New(errs.Invalid, "%.40q is not a flag", string(f))
		}
		if len(f) > s.cfg.MaxKeyword {
			return errs.New(errs.TooLarge, "a keyword has at most %d characters", s.cfg.MaxKeyword)
		}
	}
	return nil
}

func notAtom(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
}

// flagBits returns the bits of flags inside a transaction, and gives new
// keywords their place. known is what the caller believes the keywords to be;
// the directory is read only if that does not suffice. now is the account's
// list if it was read, else nil.
func (s *Service) flagBits(tx store.Tx, known []string, flags []Flag) (b bits, now []string, err error) {
	if b, ok := knownBits(known, flags); ok {
		return b, nil, nil
	}
	d, err := loadDirectory(tx)
	if err != nil {
		return b, nil, err
	}
	added := false
	for _, f := range flags {
		if _, ok := systemBit(f); ok || keywordIndex(d.Keywords, f) >= 0 {
			continue
		}
		if len(d.Keywords) >= s.cfg.MaxKeywords {
			return b, nil, errs.New(errs.TooLarge, "an account has at most %d keywords", s.cfg.MaxKeywords)
		}
		d.Keywords, added = append(d.Keywords, string(f)), true
	}
	if added {
		if err := d.save(tx); err != nil {
			return b, nil, err
		}
	}
	b, _ = knownBits(d.Keywords, flags)
	return b, d.Keywords, nil
}

// system returns the system flags of b alone.
func (b bits) system() bits { return bits{lo: b.lo & (1<<len(systemFlags) - 1)} }
