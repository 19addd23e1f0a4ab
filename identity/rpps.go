package identity

import (
	"log/slog"

	"pli/internal/errs"
)

// RPPS is a health professional's number in the shared register (répertoire
// partagé des professionnels de santé): 11 digits, the last a check digit. It
// is public, but names a person: logs show its end alone.
type RPPS struct{ s string }

// ParseRPPS reads 11 digits that pass the Luhn check.
func ParseRPPS(s string) (RPPS, error) {
	if len(s) != 11 || !digits(s) {
		return RPPS{}, errs.New(errs.Invalid, "not an RPPS number: it has 11 digits")
	}
	if !luhn(s) {
		return RPPS{}, errs.New(errs.Invalid, "not an RPPS number: its check digit does not match")
	}
	return RPPS{s}, nil
}

// ParseIDNPS reads the national identifier of a professional as certificates
// and directories show it: "8" and the RPPS number.
func ParseIDNPS(s string) (RPPS, error) {
	if len(s) != 12 || s[0] != '8' {
		return RPPS{}, errs.New(errs.Invalid, "not a professional's national identifier: it is 8 and an RPPS number")
	}
	return ParseRPPS(s[1:])
}

// IsZero reports whether r holds no number.
func (r RPPS) IsZero() bool { return r == RPPS{} }

// String returns the 11 digits; "" for the zero value.
func (r RPPS) String() string { return r.s }

// IDNPS returns "8" and the 11 digits; "" for the zero value.
func (r RPPS) IDNPS() string {
	if r.IsZero() {
		return ""
	}
	return "8" + r.s
}

// LogValue returns the last three digits.
func (r RPPS) LogValue() slog.Value {
	if r.IsZero() {
		return slog.StringValue("RPPS -")
	}
	return slog.StringValue("RPPS …" + r.s[8:])
}

// MarshalText returns the 11 digits.
func (r RPPS) MarshalText() ([]byte, error) { return []byte(r.s), nil }

// UnmarshalText parses what MarshalText wrote.
func (r *RPPS) UnmarshalText(b []byte) error { return decode(r, b, ParseRPPS) }

// MarshalBinary returns the 11 digits, for records.
func (r RPPS) MarshalBinary() ([]byte, error) { return []byte(r.s), nil }

// UnmarshalBinary parses what MarshalBinary wrote.
func (r *RPPS) UnmarshalBinary(b []byte) error { return decode(r, b, ParseRPPS) }

// decode parses b into v; no bytes are the zero value.
func decode[T any](v *T, b []byte, parse func(string) (T, error)) error {
	var parsed T
	if len(b) > 0 {
		var err error
		if parsed, err = parse(string(b)); err != nil {
			return err
		}
	}
	*v = parsed
	return nil
}
