package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"testing"
	"time"

	"pli/certs"
	"pli/identity"
	"pli/internal/errs"
)

func dev(t testing.TB) (*certs.Authority, *certs.Trust) {
	t.Helper()
	a, err := certs.NewAuthority("Pli development authority", now)
	must(t, err)
	key, err := a.KeyPEM()
	must(t, err)
	a, err = certs.LoadAuthority(a.CertPEM(), key)
	must(t, err)
	trust, err := certs.NewTrust(a.CertPEM())
	must(t, err)
	return a, trust
}

// What the development authority issues serves its uses and no other, and
// names whom it must.
func TestIssuedCertificates(t *testing.T) {
	t.Parallel()
	a, trust := dev(t)
	rpps, err := identity.ParseRPPS("10002422979")
	must(t, err)
	finess, err := identity.ParseFINESS("770816478")
	must(t, err)
	server, err := a.IssueServer(now, "localhost", "127.0.0.1", "::1")
	must(t, err)
	operator, err := a.IssueOperator(now, "smtp.mss.autre.test", "mss.autre.test")
	must(t, err)
	hospital, err := a.IssueOrganisation(now, finess.Structure(), "Centre hospitalier", "labo@ch.pli.test")
	must(t, err)
	doctor, err := a.IssueProfessional(now, certs.Person{RPPS: rpps, Family: "Durand", Given: "Anaïs", Title: "Médecin", Email: "a.durand@medecin.pli.test"})
	must(t, err)

	for _, c := range []struct {
		name                  string
		is                    certs.Issued
		server, client, email bool
	}{
		{"server", server, true, false, false},
		{"operator", operator, true, true, false},
		{"organisation", hospital, false, true, true},
		{"professional", doctor, false, true, true},
	} {
		for use, want := range map[certs.Use]bool{certs.ServerAuth: c.server, certs.ClientAuth: c.client, certs.EmailProtection: c.email} {
			err := trust.Verify([]*x509.Certificate{c.is.Cert}, use, now)
			if (err == nil) != want || err != nil && !errors.Is(err, certs.ErrUsage) {
				t.Errorf("%s for use %d: %v", c.name, use, err)
			}
		}
		if err := trust.Verify([]*x509.Certificate{c.is.Cert}, certs.ClientAuth, now.AddDate(3, 0, 0)); !errors.Is(err, certs.ErrExpired) {
			t.Errorf("%s in three years: %v", c.name, err)
		}
	}
	must(t, server.Cert.VerifyHostname("127.0.0.1"))
	must(t, server.Cert.VerifyHostname("localhost"))
	if got, err := certs.RPPSOf(doctor.Cert); err != nil || got != rpps || doctor.Cert.EmailAddresses[0] != "a.durand@medecin.pli.test" {
		t.Errorf("the doctor is %v, %v", got, err)
	}
	if got, err := certs.StructureOf(hospital.Cert); err != nil || got != finess.Structure() {
		t.Errorf("the hospital is %v, %v", got, err)
	}
	if s, err := certs.StructureOf(operator.Cert); err != nil || s.String()[0] != '3' {
		t.Errorf("the operator is %v, %v", s, err)
	}
	n, err := certs.Subject(operator.Cert)
	must(t, err)
	again, err := a.IssueOperator(now, "smtp.mss.autre.test", "mss.autre.test")
	must(t, err)
	if m, _ := certs.Subject(again.Cert); !m.Equal(n) {
		t.Error("an operator's second certificate has another name")
	}
	for _, c := range []*x509.Certificate{server.Cert, operator.Cert, hospital.Cert} {
		if _, err := certs.RPPSOf(c); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s is a professional's: %v", c.Subject, err)
		}
	}
	if _, err := certs.StructureOf(doctor.Cert); !errs.Is(err, errs.NotFound) {
		t.Errorf("the doctor is a structure: %v", err)
	}
}

// A certificate that names two is nobody's.
func TestAmbiguousSubjects(t *testing.T) {
	t.Parallel()
	root := issue(t, "root", nil, nil, authority)
	for what, c := range map[string]struct {
		subject         pkix.Name
		rpps, structure errs.Kind // Internal: found
	}{
		"one in serialNumber": {pkix.Name{CommonName: "Anaïs Durand", SerialNumber: "810002422979"}, errs.Internal, errs.NotFound},
		"the same twice":      {pkix.Name{CommonName: "810002422979", SerialNumber: "810002422979"}, errs.Internal, errs.NotFound},
		"two professionals":   {pkix.Name{CommonName: "810002422979", SerialNumber: "810101343233"}, errs.Invalid, errs.NotFound},
		"a wrong digit":       {pkix.Name{CommonName: "810002422978"}, errs.NotFound, errs.NotFound},
		"one structure":       {pkix.Name{CommonName: "x", OrganizationalUnit: []string{"Service", "1770816478"}}, errs.NotFound, errs.Internal},
		"two structures":      {pkix.Name{CommonName: "x", OrganizationalUnit: []string{"1750712184", "1770816478"}}, errs.NotFound, errs.Invalid},
	} {
		cert := issue(t, "", &root, nil, func(x *x509.Certificate) { x.Subject = c.subject }).cert
		_, rerr := certs.RPPSOf(cert)
		_, serr := certs.StructureOf(cert)
		for kind, err := range map[*errs.Kind]error{&c.rpps: rerr, &c.structure: serr} {
			if want := *kind; (err == nil) != (want == errs.Internal) || err != nil && !errs.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
	}
}

func TestAuthorityRefuses(t *testing.T) {
	t.Parallel()
	a, _ := dev(t)
	if _, err := a.IssueServer(now); !errs.Is(err, errs.Invalid) {
		t.Error("a server without name:", err)
	}
	if _, err := a.IssueProfessional(now, certs.Person{}); !errs.Is(err, errs.Invalid) {
		t.Error("a professional without number:", err)
	}
	if _, err := a.IssueOrganisation(now, identity.Structure{}, "x", ""); !errs.Is(err, errs.Invalid) {
		t.Error("an organisation without number:", err)
	}
	is, err := a.IssueServer(now, "a.test")
	must(t, err)
	if _, err := certs.LoadAuthority(is.CertPEM, is.KeyPEM); !errs.Is(err, errs.Invalid) {
		t.Error("a server's certificate makes an authority:", err)
	}
	if _, err := certs.LoadAuthority([]byte("x"), nil); !errs.Is(err, errs.Invalid) {
		t.Error("no certificate makes an authority:", err)
	}
}

// MSSanté #2 ECO.1.1.2, ECO.1.1.3: TLS 1.2 at least, C030 or C02F or their
// ECDSA forms.
func TestServerTLS(t *testing.T) {
	t.Parallel()
	a, trust := dev(t)
	is, err := a.IssueServer(time.Now(), "localhost")
	must(t, err)
	pair, err := is.TLS()
	must(t, err)
	cfg := certs.ServerTLS(pair)
	for what, c := range map[string]struct {
		client *tls.Config
		ok     bool
	}{
		"1.3":          {&tls.Config{}, true},
		"1.2":          {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"1.1":          {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"1.2 with CBC": {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		"C02F's form":  {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, true},
	} {
		near, far := net.Pipe()
		go func() {
			s := tls.Server(far, cfg)
			_ = s.Handshake()
			far.Close()
		}()
		client := c.client.Clone()
		client.ServerName, client.RootCAs = "localhost", trust.Pool()
		err := tls.Client(near, client).Handshake()
		near.Close()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}
