package identity

import (
	"fmt"
	"log/slog"
	"strings"
	"unique"

	"pli/internal/errs"
)

// NIR is a French social-security number (numéro d'inscription au
// répertoire): 13 characters and a key of two digits.
type NIR struct {
	// Behind a handle, so that even a struct with an unexported field of this
	// type does not print the digits; handles of equal strings are equal.
	h unique.Handle[string]
}

// ParseNIR reads a NIR of 15 characters, in either case, without spaces. Its
// key must be right. The error never shows the number.
func ParseNIR(s string) (NIR, error) {
	m, err := parseMatricule(s, true)
	if err != nil {
		return NIR{}, errs.Wrap(err, errs.Invalid, "not a NIR")
	}
	return NIR{unique.Make(m)}, nil
}

// IsZero reports whether n holds no number.
func (n NIR) IsZero() bool { return n == NIR{} }

// Digits returns the 15 characters, upper-case; "" for the zero value.
func (n NIR) Digits() string {
	if n.IsZero() {
		return ""
	}
	return n.h.Value()
}

// String returns the number masked: "NIR 2…".
func (n NIR) String() string { return mask("NIR", n.Digits()) }

// Format prints the masked number, whatever the verb.
func (n NIR) Format(f fmt.State, _ rune) { fmt.Fprint(f, n.String()) }

// LogValue returns the number masked.
func (n NIR) LogValue() slog.Value { return slog.StringValue(n.String()) }

// MarshalJSON returns the number masked: JSON leaves the house.
func (n NIR) MarshalJSON() ([]byte, error) { return []byte(`"` + n.String() + `"`), nil }

// MarshalBinary returns the 15 characters, for records.
func (n NIR) MarshalBinary() ([]byte, error) { return []byte(n.Digits()), nil }

// UnmarshalBinary parses what MarshalBinary wrote.
func (n *NIR) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		*n = NIR{}
		return nil
	}
	v, err := ParseNIR(string(b))
	if err == nil {
		*n = v
	}
	return err
}

// mask shows of a person's number its first character alone, which says no
// more than a civil title does.
func mask(kind, s string) string {
	if s == "" {
		return kind + " -"
	}
	return kind + " " + s[:1] + "…"
}

// parseMatricule reads 13 characters and a key of two digits and returns them
// upper-case. Months above 12 and first digits up to 8 are real: incomplete
// birth data and provisional numbers have them, so only the shape is checked.
func parseMatricule(s string, key bool) (string, error) {
	s = strings.ToUpper(s)
	if len(s) != matriculeSize {
		return "", errs.New(errs.Invalid, "it has 15 characters: 13 and a key of two digits")
	}
	corsica := s[5] == '2' && (s[6] == 'A' || s[6] == 'B') // départements 2A and 2B
	if !digits(s[:6]) || !digits(s[7:]) || !corsica && !digits(s[6:7]) {
		return "", errs.New(errs.Invalid, "it is made of digits, but for départements 2A and 2B")
	}
	if s[0] < '1' || s[0] > '8' {
		return "", errs.New(errs.Invalid, "its first digit is between 1 and 8")
	}
	if key && matriculeKey(s[:13]) != s[13:] {
		return "", errs.New(errs.Invalid, "its key does not match its digits")
	}
	return s, nil
}

// matriculeKey computes the key of 13 characters: 97 less the number modulo
// 97, départements 2A and 2B counting as 19 and 18.
func matriculeKey(s string) string {
	switch s[5:7] {
	case "2A":
		s = s[:5] + "19" + s[7:]
	case "2B":
		s = s[:5] + "18" + s[7:]
	}
	n := 0
	for i := 0; i < len(s); i++ {
		n = (n*10 + int(s[i]-'0')) % 97
	}
	return fmt.Sprintf("%02d", 97-n)
}
