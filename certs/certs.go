// Package certs decides which X.509 certificates to trust, and whom they name.
//
// Trust is an explicit set of authorities from PEM files, never the machine's
// own. A certificate's subject is read structurally: as a set of attributes,
// whose order, case and spacing do not count. Authority is a small issuer for
// development and tests.
package certs

import (
	"crypto/tls"
	"errors"
)

// Why a chain is not trusted; told apart with errors.Is.
var (
	// ErrNoCertificate: none was shown.
	ErrNoCertificate = errors.New("certs: no certificate")
	// ErrUnknownAuthority: no authority of the set issued it, or an
	// intermediate is missing.
	ErrUnknownAuthority = errors.New("certs: not issued by a trusted authority")
	// ErrExpired: now is before or after the validity of one of the chain.
	ErrExpired = errors.New("certs: outside its dates of validity")
	// ErrUsage: made for another use, or itself an authority's.
	ErrUsage = errors.New("certs: not made for this use")
	// ErrChain: the chain breaks another rule: constraints, a weak key, an
	// extension that is critical and unknown, too many certificates.
	ErrChain = errors.New("certs: breaks a rule of certification")
)

// Use is what a certificate is shown for.
type Use uint8

// The uses.
const (
	ServerAuth      Use = iota + 1 // a TLS server
	ClientAuth                     // a TLS client
	EmailProtection                // S/MIME
)

// ServerTLS returns the TLS policy of every listener: TLS 1.2 at least, with
// forward secrecy and AES-GCM (MSSanté #2 ECO.1.1.3: C030 and C02F, and their
// ECDSA forms; C028 and C027 are CBC, which Go has not or should not offer).
// The caller sets ClientAuth: with tls.RequestClientCert, a bad certificate is
// refused in the protocol, with words, instead of by a TLS alert.
func ServerTLS(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		CipherSuites: []uint16{ // of TLS 1.2; those of 1.3 are not configurable
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, // C030
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, // C02F
		},
	}
}
