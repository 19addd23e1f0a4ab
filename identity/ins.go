package identity

import (
	"fmt"
	"log/slog"
	"strings"
	"unique"

	"pli/internal/errs"
)

// OID names the authority that assigned an INS.
type OID string

// The assigning authorities of an INS. The test authorities' numbers are
// sample data, whose keys are often wrong on purpose.
const (
	OIDNIR     OID = "1.2.250.1.213.1.4.8"  // a NIR
	OIDNIA     OID = "1.2.250.1.213.1.4.9"  // a waiting number (numéro identifiant d'attente)
	OIDTestNIR OID = "1.2.250.1.213.1.4.10" // a test NIR
	OIDTestNIA OID = "1.2.250.1.213.1.4.11" // a test waiting number
)

// Test reports whether the authority assigns test numbers alone.
func (o OID) Test() bool { return o == OIDTestNIR || o == OIDTestNIA }

// INS is a person's national health identity (identité nationale de santé):
// the matricule, which is 13 characters and a key, with the authority that
// assigned it. It is how a person's space is found, and secret.
type INS struct {
	h unique.Handle[string] // "matricule^OID"; why a handle, NIR says
}

// matriculeSize is 13 characters and the key.
const matriculeSize = 15

// INSOptions says what ParseINS accepts.
type INSOptions struct {
	// AllowTest accepts numbers of the test authorities. Never in production.
	AllowTest bool
}

// ParseINS reads a matricule of 15 characters, in either case, without
// spaces, of the given authority. The key must be right, except for a test
// authority, which must be allowed. The error never shows the number.
func ParseINS(s string, oid OID, opts INSOptions) (INS, error) {
	switch {
	case oid == OIDNIR || oid == OIDNIA:
	case oid.Test() && opts.AllowTest:
	case oid.Test():
		return INS{}, errs.New(errs.Invalid, "not an INS: this instance takes no test numbers")
	default:
		return INS{}, errs.New(errs.Invalid, "not an INS: its OID is none of the four that assign one")
	}
	m, err := parseMatricule(s, !oid.Test())
	if err != nil {
		return INS{}, errs.Wrap(err, errs.Invalid, "not an INS")
	}
	return INS{unique.Make(m + "^" + string(oid))}, nil
}

// IsZero reports whether i holds no identity.
func (i INS) IsZero() bool { return i == INS{} }

// Matricule returns the 15 characters, upper-case; "" for the zero value.
func (i INS) Matricule() string {
	if i.IsZero() {
		return ""
	}
	return i.h.Value()[:matriculeSize]
}

// OID returns the assigning authority; "" for the zero value.
func (i INS) OID() OID {
	if i.IsZero() {
		return ""
	}
	return OID(i.h.Value()[matriculeSize+1:])
}

// String returns the identity masked: "INS 2…".
func (i INS) String() string { return mask("INS", i.Matricule()) }

// Format prints the masked identity, whatever the verb.
func (i INS) Format(f fmt.State, _ rune) { fmt.Fprint(f, i.String()) }

// LogValue returns the identity masked.
func (i INS) LogValue() slog.Value { return slog.StringValue(i.String()) }

// MarshalJSON returns the identity masked: JSON leaves the house.
func (i INS) MarshalJSON() ([]byte, error) { return []byte(`"` + i.String() + `"`), nil }

// MarshalBinary returns "matricule^OID", for records.
func (i INS) MarshalBinary() ([]byte, error) {
	if i.IsZero() {
		return nil, nil
	}
	return []byte(i.h.Value()), nil
}

// UnmarshalBinary parses what MarshalBinary wrote. It takes test numbers:
// whether they may enter was decided when they did.
func (i *INS) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		*i = INS{}
		return nil
	}
	m, oid, _ := strings.Cut(string(b), "^")
	v, err := ParseINS(m, OID(oid), INSOptions{AllowTest: true})
	if err == nil {
		*i = v
	}
	return err
}
