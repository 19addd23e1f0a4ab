package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"pli/identity"
	"pli/internal/errs"
)

// Authority issues certificates for development and tests, with keys on
// P-256. It is no national authority: its certificates have the forms of
// IGC-Santé's subjects, as the MSSanté white list shows them, and nothing more.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issued is a certificate with its private key.
type Issued struct {
	Cert    *x509.Certificate
	CertPEM []byte // the certificate alone: an anchor of the Trust issued it
	KeyPEM  []byte // PKCS #8
}

// TLS returns the pair as crypto/tls takes it.
func (i Issued) TLS() (tls.Certificate, error) { return tls.X509KeyPair(i.CertPEM, i.KeyPEM) }

// How long certificates last, and how long ago they begin, for clocks that
// are behind.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	issuedLife    = 2 * 365 * 24 * time.Hour
	backdate      = time.Hour
)

// NewAuthority makes an authority with a key of its own.
func NewAuthority(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name, Organization: []string{"Pli"}, Country: []string{"FR"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key}, nil
}

// sign issues a certificate with a random serial number.
func sign(t, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := rand.Read(serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7F | 0x40 // positive, always 16 octets (RFC 5280 4.1.2.2)
	t.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// LoadAuthority reads what CertPEM and KeyPEM wrote.
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "the authority's certificate and key cannot be read")
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errs.New(errs.Invalid, "the certificate is not that of an authority with an ECDSA key")
	}
	return &Authority{pair.Leaf, key}, nil
}

// CertPEM returns the authority's certificate.
func (a *Authority) CertPEM() []byte { return pemOf("CERTIFICATE", a.cert.Raw) }

// KeyPEM returns the authority's private key (PKCS #8).
func (a *Authority) KeyPEM() ([]byte, error) { return keyPEM(a.key) }

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pemOf("PRIVATE KEY", der), nil
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// issue makes a key and a certificate of it, valid from now on.
func (a *Authority) issue(now time.Time, t *x509.Certificate) (Issued, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(issuedLife)
	if t.NotBefore.Before(a.cert.NotBefore) {
		t.NotBefore = a.cert.NotBefore
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	t.KeyUsage |= x509.KeyUsageDigitalSignature
	t.BasicConstraintsValid = true
	cert, err := sign(t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return Issued{}, errs.Wrap(err, errs.Invalid, "the certificate cannot be issued")
	}
	text, err := keyPEM(key)
	if err != nil {
		return Issued{}, err
	}
	return Issued{cert, pemOf("CERTIFICATE", cert.Raw), text}, nil
}

// IssueServer makes a TLS server's certificate for host names and IP
// addresses, the first of which is its CN. An address stands among the DNS
// names too, as text: some mail clients (mbsync) compare nothing else, and a
// development authority serves them all.
func (a *Authority) IssueServer(now time.Time, hosts ...string) (Issued, error) {
	if len(hosts) == 0 {
		return Issued{}, errs.New(errs.Invalid, "a server's certificate needs a name")
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0], Organization: []string{"Pli"}, Country: []string{"FR"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		}
		t.DNSNames = append(t.DNSNames, h)
	}
	return a.issue(now, t)
}

// IssueOperator makes the certificate of a peer operator's mail server, for
// both ends of a connection: "CN=cn,OU=3 and a SIRET,O=domain,C=FR". The SIRET
// number is invented from the domain, the same each time.
func (a *Authority) IssueOperator(now time.Time, cn, domain string) (Issued, error) {
	return a.issue(now, &x509.Certificate{
		Subject: pkix.Name{
			CommonName: cn, OrganizationalUnit: []string{inventedSIRET(domain).Structure().String()},
			Organization: []string{domain}, Country: []string{"FR"},
		},
		DNSNames:    []string{cn},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// inventedSIRET returns a number of the right form for a name.
func inventedSIRET(name string) identity.SIRET {
	sum := sha256.Sum256([]byte("pli " + name))
	n := new(big.Int).SetBytes(sum[:8])
	base := fmt.Sprintf("9%012d", n.Mod(n, big.NewInt(1e12)))
	for check := range 10 {
		if s, err := identity.ParseSIRET(base + string(rune('0'+check))); err == nil {
			return s
		}
	}
	return identity.SIRET{} // one of ten check digits always passes
}

// IssueOrganisation makes the certificate of an establishment:
// "CN=name,OU=1 and FINESS or 3 and SIRET,O=name,C=FR", with an e-mail address
// unless it is empty.
func (a *Authority) IssueOrganisation(now time.Time, id identity.Structure, name, email string) (Issued, error) {
	if id.IsZero() {
		return Issued{}, errs.New(errs.Invalid, "an organisation's certificate needs a FINESS or SIRET number")
	}
	t := &x509.Certificate{
		Subject: pkix.Name{
			CommonName: name, OrganizationalUnit: []string{id.String()}, Organization: []string{name}, Country: []string{"FR"},
		},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection},
	}
	if email != "" {
		t.EmailAddresses = []string{email}
	}
	return a.issue(now, t)
}

// Person is whom a professional's certificate names.
type Person struct {
	RPPS   identity.RPPS
	Family string
	Given  string
	Title  string // profession, such as "Médecin"; may be empty
	Email  string // may be empty
}

// IssueProfessional makes a professional's certificate, for signing in and for
// S/MIME: "CN=8 and RPPS,SN=family,GN=given,T=title,C=FR".
func (a *Authority) IssueProfessional(now time.Time, p Person) (Issued, error) {
	if p.RPPS.IsZero() {
		return Issued{}, errs.New(errs.Invalid, "a professional's certificate needs an RPPS number")
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: p.RPPS.IDNPS(), Country: []string{"FR"}},
		KeyUsage:    x509.KeyUsageContentCommitment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection},
	}
	for _, extra := range []struct {
		last  int
		value string
	}{{4, p.Family}, {42, p.Given}, {12, p.Title}} {
		if v := strings.TrimSpace(extra.value); v != "" {
			t.Subject.ExtraNames = append(t.Subject.ExtraNames,
				pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, extra.last}, Value: v})
		}
	}
	if p.Email != "" {
		t.EmailAddresses = []string{p.Email}
	}
	return a.issue(now, t)
}
