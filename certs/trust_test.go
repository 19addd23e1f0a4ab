package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pli/certs"
	"pli/internal/errs"
)

var now = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// node is a certificate with its key, as a test chain needs it.
type node struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (n node) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.cert.Raw})
}

// make issues a certificate under parent, itself if nil, after change.
func issue(t testing.TB, name string, parent *node, key crypto.Signer, change func(c *x509.Certificate)) node {
	t.Helper()
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		key = k
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		BasicConstraintsValid: true,
	}
	change(c)
	by := node{c, key}
	if parent != nil {
		by = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by.cert, key.Public(), by.key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	return node{parsed, key}
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
}

func client(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}

// with is client, changed further.
func with(change func(c *x509.Certificate)) func(c *x509.Certificate) {
	return func(c *x509.Certificate) { client(c); change(c) }
}

// Mission G1, pitfalls "trust chains": each bad chain is refused, and for its
// own reason.
func TestBadChains(t *testing.T) {
	t.Parallel()
	root := issue(t, "root", nil, nil, authority)
	middle := issue(t, "middle", &root, nil, authority)
	other := issue(t, "root", nil, nil, authority) // same name, another key
	otherMiddle := issue(t, "middle", &other, nil, authority)
	oldMiddle := issue(t, "old middle", &root, nil, func(c *x509.Certificate) { authority(c); c.NotAfter = now.Add(-time.Minute) })
	noCA := issue(t, "no authority", &root, nil, client)
	short := issue(t, "no further", &root, nil, func(c *x509.Certificate) { authority(c); c.MaxPathLenZero = true })
	under := issue(t, "under", &short, nil, authority)
	onlyMail := issue(t, "mail only", &root, nil, func(c *x509.Certificate) {
		authority(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	})
	weakRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	trust, err := certs.NewTrust(root.pem())
	must(t, err)

	leaf := func(by *node, change func(c *x509.Certificate)) node { return issue(t, "leaf", by, nil, change) }
	long := []node{leaf(&middle, client)}
	for range certs.MaxChain {
		long = append(long, middle)
	}
	for what, c := range map[string]struct {
		chain []node
		use   certs.Use
		want  error
	}{
		"direct":               {[]node{leaf(&root, client)}, certs.ClientAuth, nil},
		"through intermediate": {[]node{leaf(&middle, client), middle}, certs.ClientAuth, nil},
		"root sent along":      {[]node{leaf(&middle, client), middle, root}, certs.ClientAuth, nil},
		"longest":              {long[:certs.MaxChain], certs.ClientAuth, nil},
		"any usage":            {[]node{leaf(&root, func(c *x509.Certificate) {})}, certs.ClientAuth, nil},

		"none":                 {nil, certs.ClientAuth, certs.ErrNoCertificate},
		"expired":              {[]node{leaf(&root, with(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }))}, certs.ClientAuth, certs.ErrExpired},
		"not yet valid":        {[]node{leaf(&root, with(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }))}, certs.ClientAuth, certs.ErrExpired},
		"expired intermediate": {[]node{leaf(&oldMiddle, client), oldMiddle}, certs.ClientAuth, certs.ErrExpired},
		"client as server":     {[]node{leaf(&root, client)}, certs.ServerAuth, certs.ErrUsage},
		"client as signer":     {[]node{leaf(&root, client)}, certs.EmailProtection, certs.ErrUsage},
		"server as client": {[]node{leaf(&root, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})}, certs.ClientAuth, certs.ErrUsage},
		"key usage":       {[]node{leaf(&root, with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDataEncipherment }))}, certs.ClientAuth, certs.ErrUsage},
		"an authority":    {[]node{root}, certs.ClientAuth, certs.ErrUsage},
		"an intermediate": {[]node{middle}, certs.ClientAuth, certs.ErrUsage},
		"an authority that signs too": {[]node{issue(t, "x", &root, nil, func(c *x509.Certificate) {
			authority(c)
			c.KeyUsage |= x509.KeyUsageDigitalSignature
		})}, certs.ClientAuth, certs.ErrUsage},
		"usage of the issuer":  {[]node{leaf(&onlyMail, client), onlyMail}, certs.ClientAuth, certs.ErrUsage},
		"unknown use":          {[]node{leaf(&root, client)}, 0, certs.ErrUsage},
		"self-made":            {[]node{leaf(nil, client)}, certs.ClientAuth, certs.ErrUnknownAuthority},
		"missing intermediate": {[]node{leaf(&middle, client)}, certs.ClientAuth, certs.ErrUnknownAuthority},
		"unknown authority":    {[]node{leaf(&other, client)}, certs.ClientAuth, certs.ErrUnknownAuthority},
		"foreign root along":   {[]node{leaf(&other, client), other}, certs.ClientAuth, certs.ErrUnknownAuthority},
		"namesake in between":  {[]node{leaf(&otherMiddle, client), middle}, certs.ClientAuth, certs.ErrUnknownAuthority},
		"issued by a leaf":     {[]node{leaf(&noCA, client), noCA}, certs.ClientAuth, certs.ErrUnknownAuthority},
		"path too long":        {[]node{leaf(&under, client), under, short}, certs.ClientAuth, certs.ErrChain},
		"weak RSA":             {[]node{issue(t, "leaf", &root, weakRSA, client)}, certs.ClientAuth, certs.ErrChain},
		"weak curve":           {[]node{issue(t, "leaf", &root, p224, client)}, certs.ClientAuth, certs.ErrChain},
		"critical extension": {[]node{leaf(&root, with(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}))}, certs.ClientAuth, certs.ErrChain},
		"one too many": {long, certs.ClientAuth, certs.ErrChain},
	} {
		var chain []*x509.Certificate
		for _, n := range c.chain {
			chain = append(chain, n.cert)
		}
		for range 2 { // the second time, perhaps, from memory
			if err := trust.Verify(chain, c.use, now); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", what, err, c.want)
			}
		}
	}
}

// Intermediates may also come from the trust store (MSSanté peers send none).
func TestStoredIntermediate(t *testing.T) {
	t.Parallel()
	root := issue(t, "root", nil, nil, authority)
	middle := issue(t, "middle", &root, nil, authority)
	leaf := issue(t, "leaf", &middle, nil, client)
	trust, err := certs.NewTrust(append(root.pem(), middle.pem()...))
	must(t, err)
	must(t, trust.Verify([]*x509.Certificate{leaf.cert}, certs.ClientAuth, now))
}

// What was found good is not good for longer than its dates, nor for another
// use.
func TestMemoryEndsWithTheDates(t *testing.T) {
	t.Parallel()
	root := issue(t, "root", nil, nil, authority)
	leaf := issue(t, "leaf", &root, nil, with(func(c *x509.Certificate) { c.NotAfter = now.Add(time.Minute) }))
	trust, err := certs.NewTrust(root.pem())
	must(t, err)
	chain := []*x509.Certificate{leaf.cert}
	must(t, trust.Verify(chain, certs.ClientAuth, now))
	must(t, trust.Verify(chain, certs.ClientAuth, now.Add(59*time.Second)))
	for _, at := range []time.Time{now.Add(61 * time.Second), now.Add(-2 * time.Hour)} {
		if err := trust.Verify(chain, certs.ClientAuth, at); !errors.Is(err, certs.ErrExpired) {
			t.Errorf("at %v: %v", at, err)
		}
	}
	if err := trust.Verify(chain, certs.ServerAuth, now); !errors.Is(err, certs.ErrUsage) {
		t.Errorf("for another use: %v", err)
	}
	root2 := issue(t, "root", nil, nil, func(c *x509.Certificate) { authority(c); c.NotAfter = now.Add(2 * time.Minute) })
	leaf2 := issue(t, "leaf", &root2, nil, client)
	trust, err = certs.NewTrust(root2.pem())
	must(t, err)
	must(t, trust.Verify([]*x509.Certificate{leaf2.cert}, certs.ClientAuth, now))
	if err := trust.Verify([]*x509.Certificate{leaf2.cert}, certs.ClientAuth, now.Add(3*time.Minute)); err == nil {
		t.Error("good after its authority's end")
	}
}

func TestTrustFilesAreChecked(t *testing.T) {
	t.Parallel()
	root := issue(t, "root", nil, nil, authority)
	middle := issue(t, "middle", &root, nil, authority)
	leaf := issue(t, "leaf", &root, nil, client)
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	dir := t.TempDir()
	for what, c := range map[string]struct {
		text []byte
		ok   bool
	}{
		"root": {root.pem(), true}, "chain": {append(middle.pem(), root.pem()...), true},
		"nothing": {nil, false}, "no root": {middle.pem(), false}, "leaf": {append(root.pem(), leaf.pem()...), false},
		"key": {append(root.pem(), key...), false}, "broken": {append(root.pem(), broken...), false},
		"too large": {append(root.pem(), make([]byte, 4<<20)...), false},
	} {
		file := filepath.Join(dir, what)
		must(t, os.WriteFile(file, c.text, 0o600))
		_, err := certs.LoadTrust(file)
		if (err == nil) != c.ok || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := certs.LoadTrust(filepath.Join(dir, "missing")); !errs.Is(err, errs.Invalid) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := certs.LoadTrust(); !errs.Is(err, errs.Invalid) {
		t.Errorf("no file: %v", err)
	}
}

func BenchmarkVerifyRemembered(b *testing.B) {
	root := issue(b, "root", nil, nil, authority)
	leaf := issue(b, "leaf", &root, nil, client)
	trust, err := certs.NewTrust(root.pem())
	must(b, err)
	chain := []*x509.Certificate{leaf.cert}
	b.ReportAllocs()
	for b.Loop() {
		if err := trust.Verify(chain, certs.ClientAuth, now); err != nil {
			b.Fatal(err)
		}
	}
}
