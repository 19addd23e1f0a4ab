package certs

import (
	"crypto/x509"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"pli/internal/errs"
)

// Name is a distinguished name as the set of its attributes. Names are
// compared with Equal, or by Key; never as text.
type Name struct {
	CN           []string `cbor:"1,keyasint,omitempty"` // common name
	OU           []string `cbor:"2,keyasint,omitempty"` // organisational unit: a structure's national identifier
	O            []string `cbor:"3,keyasint,omitempty"` // organisation
	L            []string `cbor:"4,keyasint,omitempty"` // locality
	ST           []string `cbor:"5,keyasint,omitempty"` // state: département
	C            []string `cbor:"6,keyasint,omitempty"` // country
	SerialNumber []string `cbor:"7,keyasint,omitempty"`
	Other        []string `cbor:"8,keyasint,omitempty"` // "OID=value"
}

// Limits of a name.
const (
	maxDN    = 8 << 10 // bytes of its text
	maxAttrs = 64
)

// oids are the attribute types that DNs name by a word (RFC 4514 3, and those
// that OpenSSL and the national list use).
var oids = map[string]string{
	"CN": "2.5.4.3", "SN": "2.5.4.4", "SURNAME": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7",
	"ST": "2.5.4.8", "S": "2.5.4.8", "STREET": "2.5.4.9", "O": "2.5.4.10", "OU": "2.5.4.11", "T": "2.5.4.12", "TITLE": "2.5.4.12",
	"POSTALCODE": "2.5.4.17", "GN": "2.5.4.42", "GIVENNAME": "2.5.4.42", "ORGANIZATIONIDENTIFIER": "2.5.4.97",
	"UID": "0.9.2342.19200300.100.1.1", "DC": "0.9.2342.19200300.100.1.25",
	"E": "1.2.840.113549.1.9.1", "EMAILADDRESS": "1.2.840.113549.1.9.1",
}

// field returns where the values of a type lie, nil for Other.
func (n *Name) field(oid string) *[]string {
	switch oid {
	case "2.5.4.3":
		return &n.CN
	case "2.5.4.5":
		return &n.SerialNumber
	case "2.5.4.6":
		return &n.C
	case "2.5.4.7":
		return &n.L
	case "2.5.4.8":
		return &n.ST
	case "2.5.4.10":
		return &n.O
	case "2.5.4.11":
		return &n.OU
	}
	return nil
}

func (n *Name) add(oid, value string) {
	if f := n.field(oid); f != nil {
		*f = append(*f, value)
		return
	}
	n.Other = append(n.Other, oid+"="+value)
}

// Subject returns whom a certificate names. A subject that is empty, or has a
// value that is not text, is Invalid.
func Subject(cert *x509.Certificate) (Name, error) {
	var n Name
	if len(cert.Subject.Names) == 0 || len(cert.Subject.Names) > maxAttrs {
		return Name{}, errs.New(errs.Invalid, "the certificate's subject is empty, or has over %d attributes", maxAttrs)
	}
	for _, a := range cert.Subject.Names {
		value, ok := a.Value.(string)
		if !ok || value == "" {
			return Name{}, errs.New(errs.Invalid, "the certificate's subject has a value that is not text")
		}
		n.add(a.Type.String(), value)
	}
	return n, nil
}

// attrs returns each attribute's OID and value.
func (n Name) attrs(each func(oid, value string)) {
	for _, f := range []struct {
		oid    string
		values []string
	}{
		{"2.5.4.3", n.CN}, {"2.5.4.11", n.OU}, {"2.5.4.10", n.O}, {"2.5.4.7", n.L},
		{"2.5.4.8", n.ST}, {"2.5.4.6", n.C}, {"2.5.4.5", n.SerialNumber},
	} {
		for _, v := range f.values {
			each(f.oid, v)
		}
	}
	for _, o := range n.Other {
		oid, value, _ := strings.Cut(o, "=")
		each(oid, value)
	}
}

// IsZero reports whether n has no attribute.
func (n Name) IsZero() bool {
	zero := true
	n.attrs(func(_, _ string) { zero = false })
	return zero
}

// Equal reports whether both are the same set of attributes, values being
// compared without regard to case and spacing (RFC 5280 7.1). Two names
// without an attribute are not equal.
func (n Name) Equal(m Name) bool { return !n.IsZero() && n.Key() == m.Key() }

// Key returns a text that equal names, and they alone, share; "" for none.
func (n Name) Key() string {
	set := map[string]bool{}
	n.attrs(func(oid, value string) { set[oid+"="+strconv.Quote(fold(value))] = true })
	lines := make([]string, 0, len(set))
	for line := range set {
		lines = append(lines, line)
	}
	sort.Strings(lines)
	return strings.Join(lines, ",")
}

// fold prepares a value to be compared. RFC 4518 2, as far as names need it.
func fold(s string) string {
	return strings.Join(strings.Fields(cases.Fold().String(norm.NFKC.String(s))), " ")
}

// String returns the name as RFC 4514 writes it, in a fixed order of types.
func (n Name) String() string {
	words := map[string]string{
		"2.5.4.3": "CN", "2.5.4.11": "OU", "2.5.4.10": "O", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.6": "C", "2.5.4.5": "SERIALNUMBER",
	}
	var b strings.Builder
	n.attrs(func(oid, value string) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		if word := words[oid]; word != "" {
			oid = word
		}
		b.WriteString(oid + "=" + escape(value))
	})
	return b.String()
}

// escape writes a value as RFC 4514 2.4 asks.
func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		end := i+len(string(r)) == len(s)
		switch {
		case r == 0 || unicode.IsControl(r):
			for _, c := range []byte(string(r)) {
				b.WriteString(`\` + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1])
			}
			continue
		case strings.ContainsRune(`"+,;<>\=`, r), r == ' ' && (i == 0 || end), r == '#' && i == 0:
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

const hexDigits = "0123456789ABCDEF"
