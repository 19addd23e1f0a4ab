package certs

import (
	"crypto/x509"

	"pli/identity"
	"pli/internal/errs"
)

// RPPSOf returns the professional that a certificate names: "8" and the RPPS
// number (IDNPS), in CN or in serialNumber. It is NotFound if there is none,
// and Invalid if there are two that differ. Verify the certificate first.
func RPPSOf(cert *x509.Certificate) (identity.RPPS, error) {
	n, err := Subject(cert)
	if err != nil {
		return identity.RPPS{}, err
	}
	return only(append(append([]string(nil), n.CN...), n.SerialNumber...), identity.ParseIDNPS, "professional")
}

// StructureOf returns the body that a certificate names: its national
// identifier, in OU. It is NotFound if there is none, and Invalid if there are
// two that differ. Verify the certificate first.
func StructureOf(cert *x509.Certificate) (identity.Structure, error) {
	n, err := Subject(cert)
	if err != nil {
		return identity.Structure{}, err
	}
	return only(n.OU, identity.ParseStructure, "structure")
}

// only returns the one value among texts that parses.
func only[T comparable](texts []string, parse func(string) (T, error), what string) (T, error) {
	var found, zero T
	for _, s := range texts {
		v, err := parse(s)
		if err != nil {
			continue
		}
		if found != zero && found != v {
			return zero, errs.New(errs.Invalid, "the certificate names more than one %s", what)
		}
		found = v
	}
	if found == zero {
		return zero, errs.New(errs.NotFound, "the certificate names no %s", what)
	}
	return found, nil
}
