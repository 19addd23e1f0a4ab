package identity

import (
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"pli/internal/errs"
)

// Limits of an address, in bytes of UTF-8. RFC 5321 4.5.3.1.1 to 4.5.3.1.3;
// a path is the address and its two angle brackets.
const (
	MaxLocal  = 64
	MaxDomain = 255
	MaxPath   = 256
)

// Address is the address of a mailbox. Two that differ in the domain's case or
// form, in Unicode form, or in needless quotes, are equal; those that differ in
// the local part's case have the same Key.
type Address struct {
	local  string // as given, without quotes, in NFC
	domain string // ASCII, lower-case
}

// ParseAddress reads local@domain, the local part being a dot-string or a
// quoted string, in ASCII or UTF-8 (RFC 5321 4.1.2, RFC 6531 3.3). The domain
// is a name of letters, digits and hyphens, internationalized ones becoming
// ASCII; address literals have no place in the trusted space and are refused.
func ParseAddress(s string) (Address, error) {
	if len(s) > MaxPath-2 {
		return Address{}, errs.New(errs.TooLarge, "the address is over %d bytes", MaxPath-2)
	}
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return Address{}, errs.New(errs.Invalid, "the address has no @")
	}
	if at > MaxLocal {
		return Address{}, errs.New(errs.TooLarge, "the part before @ is over %d bytes", MaxLocal)
	}
	local, ok := parseLocal(s[:at])
	if !ok {
		return Address{}, errs.New(errs.Invalid, "the part before @ is not that of an address")
	}
	domain, ok := parseDomain(s[at+1:])
	if !ok {
		return Address{}, errs.New(errs.Invalid, "the part after @ is not a domain name")
	}
	return Address{local, domain}, nil
}

// parseLocal returns the meaning of a local part: a quoted string loses its
// quotes (RFC 5321 4.1.2).
func parseLocal(s string) (string, bool) {
	if !utf8.ValidString(s) {
		return "", false
	}
	s = norm.NFC.String(s) // RFC 6532 3.1
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return unquote(s[1 : len(s)-1])
	}
	return s, dotString(s)
}

// dotString reports whether s is atoms with dots between.
func dotString(s string) bool {
	for _, atom := range strings.Split(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !atext(r) }) {
			return false
		}
	}
	return true
}

// atext reports whether r may stand in an atom. RFC 5322 3.2.3, RFC 6532 3.2.
func atext(r rune) bool {
	switch {
	case r >= utf8.RuneSelf:
		return unicode.IsPrint(r)
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return true
	}
	return r != 0 && strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

func isControl(r rune) bool { return !unicode.IsPrint(r) }

// unquote reads the inside of a quoted string; an empty one is refused.
func unquote(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return "", false
		case s[i] == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", false
			}
		case s[i] < ' ' || s[i] == 0x7f:
			return "", false
		}
		b.WriteByte(s[i])
	}
	out := b.String()
	return out, out != "" && !strings.ContainsFunc(out, isControl)
}

// parseDomain returns a domain name's ASCII form, lower-case (RFC 5891 4).
func parseDomain(s string) (string, bool) {
	ascii := true
	for i := 0; i < len(s); i++ {
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	if ascii {
		s = strings.ToLower(s)
	} else {
		var err error
		if s, err = idna.Lookup.ToASCII(s); err != nil {
			return "", false
		}
	}
	if s == "" || len(s) > MaxDomain {
		return "", false
	}
	for _, label := range strings.Split(s, ".") {
		if !validLabel(label) {
			return "", false
		}
	}
	return s, true
}

// validLabel reports whether s is one label of a host name. RFC 1123 2.1.
func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// IsZero reports whether a holds no address.
func (a Address) IsZero() bool { return a == Address{} }

// Local returns the part before @, case kept, without quotes.
func (a Address) Local() string { return a.local }

// Domain returns the domain, lower-case, in ASCII.
func (a Address) Domain() string { return a.domain }

// String returns the address as SMTP writes it, the local part quoted where it
// must be; "" for the zero value.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return quote(a.local) + "@" + a.domain
}

func quote(local string) string {
	if dotString(local) {
		return local
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

// Key returns what two spellings of one mailbox have in common: the whole
// address with its case folded.
func (a Address) Key() string {
	if a.IsZero() {
		return ""
	}
	for i := 0; i < len(a.local); i++ {
		if a.local[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(a.local)) + "@" + a.domain
		}
	}
	return strings.ToLower(a.local) + "@" + a.domain
}

// LogValue returns the domain alone: a patient's local part is their INS.
func (a Address) LogValue() slog.Value { return slog.StringValue("…@" + a.domain) }

// MarshalText returns the address.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText parses what MarshalText wrote.
func (a *Address) UnmarshalText(b []byte) error { return decode(a, b, ParseAddress) }

// MarshalBinary returns the address, for records.
func (a Address) MarshalBinary() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalBinary parses what MarshalBinary wrote.
func (a *Address) UnmarshalBinary(b []byte) error { return decode(a, b, ParseAddress) }
