package identity

import (
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"pli/internal/errs"
)

// Traits are the strict traits of a person's INS: the words and dates by
// which the identity was checked.
type Traits struct {
	Family     string    `cbor:"1,keyasint,omitempty"` // birth name
	Given      string    `cbor:"2,keyasint,omitempty"` // given names, the first one first
	Sex        string    `cbor:"3,keyasint,omitempty"` // M, F, U (unknown) or I (undetermined)
	Birth      time.Time `cbor:"4,keyasint,omitempty"` // date, at midnight UTC
	BirthPlace string    `cbor:"5,keyasint,omitempty"` // code of the commune or country (COG), 5 characters
}

// maxName bounds a name, in bytes.
const maxName = 200

// Validate reports, as Invalid, the first trait that no person can have. A
// birth place may be missing, which the register allows.
func (t Traits) Validate() error {
	if err := validName(t.Family); err != nil {
		return errs.Wrap(err, errs.Invalid, "the birth name is not valid")
	}
	if err := validName(t.Given); err != nil {
		return errs.Wrap(err, errs.Invalid, "the given names are not valid")
	}
	switch t.Sex {
	case "M", "F", "U", "I":
	default:
		return errs.New(errs.Invalid, "the sex is M, F, U or I")
	}
	if t.Birth.IsZero() || t.Birth.Year() < 1850 || !t.Birth.Equal(date(t.Birth)) {
		return errs.New(errs.Invalid, "the birth date is a date")
	}
	if t.BirthPlace != "" && !validCOG(t.BirthPlace) {
		return errs.New(errs.Invalid, "the birth place is a code of five characters")
	}
	return nil
}

func date(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

func validName(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errs.New(errs.Invalid, "it is empty")
	case len(s) > maxName:
		return errs.New(errs.TooLarge, "it is over %d bytes", maxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, isControl):
		return errs.New(errs.Invalid, "it has characters that no name has")
	}
	return nil
}

// validCOG reports whether s has the shape of a code officiel géographique:
// five digits, the second character being A or B in Corsica.
func validCOG(s string) bool {
	if len(s) != 5 {
		return false
	}
	corsica := s[0] == '2' && (s[1] == 'A' || s[1] == 'B')
	return digits(s[2:]) && (corsica || digits(s[:2]))
}

// String shows nothing of the traits.
func (t Traits) String() string { return "traits …" }

// LogValue shows nothing of the traits.
func (t Traits) LogValue() slog.Value { return slog.StringValue(t.String()) }
