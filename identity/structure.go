package identity

import (
	"strings"

	"pli/internal/errs"
)

// FINESS is the number of a health or social establishment (fichier national
// des établissements sanitaires et sociaux): 9 characters, the last a check
// digit.
type FINESS struct{ s string }

// ParseFINESS reads 9 digits that pass the Luhn check, or, in Corsica, 2A or
// 2B and 7 digits, which no known rule checks.
func ParseFINESS(s string) (FINESS, error) {
	s = strings.ToUpper(s)
	if len(s) != 9 {
		return FINESS{}, errs.New(errs.Invalid, "not a FINESS number: it has 9 characters")
	}
	if corsica := s[0] == '2' && (s[1] == 'A' || s[1] == 'B'); corsica && digits(s[2:]) {
		return FINESS{s}, nil
	}
	if !digits(s) || !luhn(s) {
		return FINESS{}, errs.New(errs.Invalid, "not a FINESS number: its digits do not match its check digit")
	}
	return FINESS{s}, nil
}

// IsZero reports whether f holds no number.
func (f FINESS) IsZero() bool { return f == FINESS{} }

// String returns the 9 characters; "" for the zero value.
func (f FINESS) String() string { return f.s }

// MarshalText returns the 9 characters.
func (f FINESS) MarshalText() ([]byte, error) { return []byte(f.s), nil }

// UnmarshalText parses what MarshalText wrote.
func (f *FINESS) UnmarshalText(b []byte) error { return decode(f, b, ParseFINESS) }

// MarshalBinary returns the 9 characters, for records.
func (f FINESS) MarshalBinary() ([]byte, error) { return []byte(f.s), nil }

// UnmarshalBinary parses what MarshalBinary wrote.
func (f *FINESS) UnmarshalBinary(b []byte) error { return decode(f, b, ParseFINESS) }

// SIRET is the number of an establishment of any enterprise: 14 digits, the
// last a check digit.
type SIRET struct{ s string }

// laPoste begins the SIRET numbers of La Poste, whose digits sum to a multiple
// of five instead of passing the Luhn check.
const laPoste = "356000000"

// ParseSIRET reads 14 digits that pass the Luhn check, or La Poste's own.
func ParseSIRET(s string) (SIRET, error) {
	if len(s) != 14 || !digits(s) {
		return SIRET{}, errs.New(errs.Invalid, "not a SIRET number: it has 14 digits")
	}
	if !luhn(s) && !(strings.HasPrefix(s, laPoste) && digitSum(s)%5 == 0) {
		return SIRET{}, errs.New(errs.Invalid, "not a SIRET number: its check digit does not match")
	}
	return SIRET{s}, nil
}

func digitSum(s string) (n int) {
	for i := 0; i < len(s); i++ {
		n += int(s[i] - '0')
	}
	return n
}

// IsZero reports whether s holds no number.
func (s SIRET) IsZero() bool { return s == SIRET{} }

// String returns the 14 digits; "" for the zero value.
func (s SIRET) String() string { return s.s }

// MarshalText returns the 14 digits.
func (s SIRET) MarshalText() ([]byte, error) { return []byte(s.s), nil }

// UnmarshalText parses what MarshalText wrote.
func (s *SIRET) UnmarshalText(b []byte) error { return decode(s, b, ParseSIRET) }

// MarshalBinary returns the 14 digits, for records.
func (s SIRET) MarshalBinary() ([]byte, error) { return []byte(s.s), nil }

// UnmarshalBinary parses what MarshalBinary wrote.
func (s *SIRET) UnmarshalBinary(b []byte) error { return decode(s, b, ParseSIRET) }

// Structure is a body's national identifier (identifiant national de
// structure), as certificates carry it in OU: "1" and a FINESS number, or "3"
// and a SIRET number.
type Structure struct{ s string }

// ParseStructure reads "1" and a FINESS number, or "3" and a SIRET number.
func ParseStructure(s string) (Structure, error) {
	s = strings.ToUpper(s)
	err := errs.New(errs.Invalid, "not a structure's national identifier: it is 1 and a FINESS number, or 3 and a SIRET number")
	switch {
	case len(s) == 10 && s[0] == '1':
		_, err = ParseFINESS(s[1:])
	case len(s) == 15 && s[0] == '3':
		_, err = ParseSIRET(s[1:])
	}
	if err != nil {
		return Structure{}, err
	}
	return Structure{s}, nil
}

// Structure returns the national identifier of the establishment.
func (f FINESS) Structure() Structure {
	if f.IsZero() {
		return Structure{}
	}
	return Structure{"1" + f.s}
}

// Structure returns the national identifier of the establishment.
func (s SIRET) Structure() Structure {
	if s.IsZero() {
		return Structure{}
	}
	return Structure{"3" + s.s}
}

// IsZero reports whether s holds no identifier.
func (s Structure) IsZero() bool { return s == Structure{} }

// String returns the identifier with its leading 1 or 3; "" for the zero value.
func (s Structure) String() string { return s.s }

// FINESS returns the FINESS number, if the identifier is one.
func (s Structure) FINESS() (FINESS, bool) {
	if len(s.s) != 10 {
		return FINESS{}, false
	}
	return FINESS{s.s[1:]}, true
}

// SIRET returns the SIRET number, if the identifier is one.
func (s Structure) SIRET() (SIRET, bool) {
	if len(s.s) != 15 {
		return SIRET{}, false
	}
	return SIRET{s.s[1:]}, true
}

// MarshalText returns the identifier.
func (s Structure) MarshalText() ([]byte, error) { return []byte(s.s), nil }

// UnmarshalText parses what MarshalText wrote.
func (s *Structure) UnmarshalText(b []byte) error { return decode(s, b, ParseStructure) }

// MarshalBinary returns the identifier, for records.
func (s Structure) MarshalBinary() ([]byte, error) { return []byte(s.s), nil }

// UnmarshalBinary parses what MarshalBinary wrote.
func (s *Structure) UnmarshalBinary(b []byte) error { return decode(s, b, ParseStructure) }
