package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"pli/internal/errs"
)

// Limits.
const (
	MaxChain    = 10              // certificates in a chain shown
	maxCached   = 4096            // chains whose trust is remembered
	cacheFor    = 5 * time.Minute // how long
	minRSA      = 2048            // bits
	minCurve    = 256             // bits
	maxAuthFile = 4 << 20         // bytes of a PEM file
)

// Trust is a set of authorities. Its methods may run at once.
type Trust struct {
	roots         *x509.CertPool
	intermediates []*x509.Certificate

	mu    sync.Mutex
	known map[[32]byte]span
}

// span is when a chain that was found good is known to stay so.
type span struct{ from, until time.Time }

// NewTrust returns the set of the authorities in PEM blocks. Those that signed
// themselves are anchors, the others help to build chains. Anything that is
// not an authority's certificate is refused, and so is a set without anchor.
func NewTrust(pems ...[]byte) (*Trust, error) {
	var all []*x509.Certificate
	for _, text := range pems {
		list, err := parsePEM(text)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return newTrust(all)
}

// LoadTrust is NewTrust of files.
func LoadTrust(files ...string) (*Trust, error) {
	var all []*x509.Certificate
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, errs.Wrap(err, errs.Invalid, "the authorities cannot be read")
		}
		list, err := parsePEM(text)
		if err != nil {
			return nil, errs.Wrap(err, errs.Invalid, "%s: %s", file, errs.Public(err))
		}
		all = append(all, list...)
	}
	return newTrust(all)
}

func newTrust(authorities []*x509.Certificate) (*Trust, error) {
	t := &Trust{roots: x509.NewCertPool(), known: map[[32]byte]span{}}
	anchors := 0
	for _, c := range authorities {
		if bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil {
			t.roots.AddCert(c)
			anchors++
		} else {
			t.intermediates = append(t.intermediates, c)
		}
	}
	if anchors == 0 {
		return nil, errs.New(errs.Invalid, "there is no root authority's certificate")
	}
	return t, nil
}

// parsePEM reads authorities' certificates and nothing else.
func parsePEM(text []byte) (list []*x509.Certificate, err error) {
	if len(text) > maxAuthFile {
		return nil, errs.New(errs.TooLarge, "over %d bytes of certificates", maxAuthFile)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, errs.New(errs.Invalid, "a PEM block of type %q among certificates", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errs.Wrap(err, errs.Invalid, "a certificate cannot be read")
		}
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, errs.New(errs.Invalid, "%q is not an authority's certificate", c.Subject)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, errs.New(errs.Invalid, "there is no certificate in PEM form")
	}
	return list, nil
}

// Pool returns the anchors, for a tls.Config of a client. The caller must not
// change it.
func (t *Trust) Pool() *x509.CertPool { return t.roots }

// Verify reports whether a chain, the leaf first, as a peer showed it, leads
// to an anchor at that time and may be used so. A chain found good is
// remembered for five minutes, never past its dates. A certificate without
// extended usages serves any use (RFC 5280 4.2.1.12). Revocation is not
// checked.
func (t *Trust) Verify(chain []*x509.Certificate, use Use, now time.Time) error {
	if len(chain) == 0 {
		return ErrNoCertificate
	}
	if len(chain) > MaxChain {
		return fmt.Errorf("%w: %d certificates", ErrChain, len(chain))
	}
	key := digest(chain, use)
	if t.remembers(key, now) {
		return nil
	}
	good, err := t.build(chain, use, now)
	if err != nil {
		return err
	}
	t.remember(key, good, now)
	return nil
}

// build returns the chain to an anchor.
func (t *Trust) build(chain []*x509.Certificate, use Use, now time.Time) ([]*x509.Certificate, error) {
	leaf := chain[0]
	opts := x509.VerifyOptions{Roots: t.roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range append(chain[1:len(chain):len(chain)], t.intermediates...) {
		opts.Intermediates.AddCert(c)
	}
	bits := x509.KeyUsageDigitalSignature
	switch use {
	case ServerAuth:
		opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		bits |= x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	case ClientAuth:
		opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case EmailProtection:
		opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		bits |= x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	default:
		return nil, fmt.Errorf("%w: unknown use %d", ErrUsage, use)
	}
	found, err := leaf.Verify(opts)
	if err != nil {
		return nil, reason(err)
	}
	if leaf.IsCA {
		return nil, fmt.Errorf("%w: it is an authority's", ErrUsage)
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&bits == 0 { // RFC 5280 4.2.1.3
		return nil, fmt.Errorf("%w: its key usage", ErrUsage)
	}
	for _, c := range found[0] {
		if weak(c) {
			return nil, fmt.Errorf("%w: a weak key", ErrChain)
		}
	}
	return found[0], nil
}

// reason turns a failure of x509 into one of ours.
func reason(err error) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w: %v", ErrExpired, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("%w: %v", ErrUsage, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: %v", ErrUnknownAuthority, err)
	}
	return fmt.Errorf("%w: %v", ErrChain, err)
}

// weak reports whether a certificate's key is of too few bits or of a kind
// that nobody should use. x509 itself refuses signatures by MD5 and SHA-1.
func weak(c *x509.Certificate) bool {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() < minRSA
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize < minCurve
	case ed25519.PublicKey:
		return false
	}
	return true
}

// digest names a chain and its use.
func digest(chain []*x509.Certificate, use Use) (out [32]byte) {
	h := sha256.New()
	h.Write([]byte{byte(use)})
	for _, c := range chain {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(c.Raw))))
		h.Write(c.Raw)
	}
	return [32]byte(h.Sum(nil))
}

func (t *Trust) remembers(key [32]byte, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.known[key]
	return ok && !now.Before(s.from) && now.Before(s.until)
}

// remember keeps that a chain is good from now on for a while, but not past
// the dates of any certificate in it.
func (t *Trust) remember(key [32]byte, chain []*x509.Certificate, now time.Time) {
	s := span{from: now, until: now.Add(cacheFor)}
	for _, c := range chain {
		if c.NotAfter.Before(s.until) {
			s.until = c.NotAfter
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxCached {
		t.forget(now)
	}
	t.known[key] = s
}

// forget makes room: what is over goes, else anything.
func (t *Trust) forget(now time.Time) {
	for key, s := range t.known {
		if !now.Before(s.until) {
			delete(t.known, key)
		}
	}
	for key := range t.known {
		if len(t.known) < maxCached {
			return
		}
		delete(t.known, key)
	}
}
