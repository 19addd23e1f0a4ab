package keyring

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"unicode"
)

// A generated secret is 128 random bits and 12 bits of check, as 28 symbols
// of Crockford's base 32, lower-case, in seven groups of four.
const (
	secretSize    = 16
	secretSymbols = 28
	secretGroup   = 4
	symbols       = "0123456789abcdefghjkmnpqrstvwxyz"
)

// newSecret returns 128 random bits and how they are shown.
func newSecret() (bits [secretSize]byte, text string, err error) {
	if _, err = rand.Read(bits[:]); err != nil {
		return bits, "", err
	}
	return bits, showSecret(bits), nil
}

// withCheck returns the secret's 128 bits and the 12 bits that let a mistyped
// one be told from a wrong one, as 18 bytes whose last 4 bits are zero.
func withCheck(bits [secretSize]byte) (out [secretSize + 2]byte) {
	copy(out[:], bits[:])
	sum := sha256.Sum256(append([]byte("pli generated secret"), bits[:]...))
	out[secretSize], out[secretSize+1] = sum[0], sum[1]&0xF0
	return out
}

func showSecret(bits [secretSize]byte) string {
	all := withCheck(bits)
	var b strings.Builder
	for i := range secretSymbols {
		if i > 0 && i%secretGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(symbols[fiveBits(all[:], i)])
	}
	return b.String()
}

// fiveBits returns the i-th group of five bits of b.
func fiveBits(b []byte, i int) byte {
	at := i * 5
	word := uint16(b[at/8]) << 8
	if at/8+1 < len(b) {
		word |= uint16(b[at/8+1])
	}
	return byte(word>>(11-at%8)) & 31
}

// parseSecret reads what was typed: in either case, with any spaces and
// hyphens, and with the letters i, l and o for the digits they look like.
func parseSecret(s string) (bits [secretSize]byte, err error) {
	if len(s) > 4*MaxLabel {
		return bits, ErrSecretForm
	}
	var all [secretSize + 2]byte
	n := 0
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) {
			continue
		}
		v := symbolValue(unicode.ToLower(r))
		if v < 0 || n == secretSymbols {
			return bits, ErrSecretForm
		}
		at := n * 5
		word := uint16(v) << (11 - at%8)
		all[at/8] |= byte(word >> 8)
		if at/8+1 < len(all) {
			all[at/8+1] |= byte(word)
		}
		n++
	}
	copy(bits[:], all[:])
	if n != secretSymbols || withCheck(bits) != all {
		return [secretSize]byte{}, ErrSecretForm
	}
	return bits, nil
}

func symbolValue(r rune) int {
	switch r {
	case 'i', 'l':
		return 1
	case 'o':
		return 0
	}
	return strings.IndexRune(symbols, r)
}
