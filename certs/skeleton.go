// Package certs decides which X.509 certificates to trust.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"time"

	"pli/identity"
)

var (
	ErrNoCertificate    = errors.New("certs: no certificate")
	ErrUnknownAuthority = errors.New("certs: no trusted authority issued it")
	ErrExpired          = errors.New("certs: outside its validity")
	ErrUsage            = errors.New("certs: not made for this use")
	ErrChain            = errors.New("certs: the chain breaks a rule")
	errSkeleton         = errors.New("certs: not built yet")
	_                   = url.Parse
)

type Use uint8

const (
	ServerAuth Use = iota + 1
	ClientAuth
	EmailProtection
)

type Trust struct{}

func NewTrust(pem ...[]byte) (*Trust, error)    { return nil, errSkeleton }
func LoadTrust(files ...string) (*Trust, error) { return nil, errSkeleton }
func (t *Trust) Pool() *x509.CertPool           { return nil }
func (t *Trust) Verify(chain []*x509.Certificate, use Use, now time.Time) error {
	return errSkeleton
}

// Name is a distinguished name, compared structurally.
type Name struct {
	CN, OU, O, L, ST, C, SerialNumber []string
	Other                             []string // "OID=value"
}

func Subject(cert *x509.Certificate) (Name, error) { return Name{}, errSkeleton }
func ParseDN(s string) (Name, error)               { return Name{}, errSkeleton }
func (n Name) Equal(m Name) bool                   { return false }
func (n Name) Key() string                         { return "" } // equal names have equal keys
func (n Name) String() string                      { return "" }

// Issued is a certificate with its private key.
type Issued struct {
	Cert    *x509.Certificate
	CertPEM []byte // the certificate
	KeyPEM  []byte // PKCS #8
}

func (i Issued) TLS() (tls.Certificate, error) { return tls.Certificate{}, errSkeleton }

// Person is the subject of a professional's certificate.
type Person struct {
	RPPS          identity.RPPS
	Family, Given string
	Title         string // profession, such as "Médecin"
	Email         string // SAN
}

type Authority struct{}

func NewAuthority(name string, now time.Time) (*Authority, error) { return nil, errSkeleton }
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error)    { return nil, errSkeleton }
func (a *Authority) CertPEM() []byte                              { return nil }
func (a *Authority) KeyPEM() ([]byte, error)                      { return nil, errSkeleton }
func (a *Authority) IssueServer(now time.Time, hosts ...string) (Issued, error) {
	return Issued{}, errSkeleton
}
func (a *Authority) IssueOperator(now time.Time, cn, domain string) (Issued, error) {
	return Issued{}, errSkeleton
}
func (a *Authority) IssueOrganisation(now time.Time, id identity.Structure, name, email string) (Issued, error) {
	return Issued{}, errSkeleton
}
func (a *Authority) IssueProfessional(now time.Time, p Person) (Issued, error) {
	return Issued{}, errSkeleton
}

// RPPSOf returns the professional that a certificate names; an errs.NotFound failure if none.
func RPPSOf(cert *x509.Certificate) (identity.RPPS, error) { return identity.RPPS{}, errSkeleton }

// StructureOf returns the body that a certificate names in its OU; an errs.NotFound failure if none.
func StructureOf(cert *x509.Certificate) (identity.Structure, error) {
	return identity.Structure{}, errSkeleton
}

// ServerTLS returns the house's TLS policy; the caller adds ClientAuth and ALPN.
func ServerTLS(cert tls.Certificate) *tls.Config { return nil }
