package mss

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"pli/certs"
	"pli/identity"
	"pli/internal/errs"
	"pli/mss/directory"
)

// Peer is a peer operator whose certificate was checked: chain, validity, use
// and name.
type Peer struct {
	key     string // of the subject: equal names have equal keys
	domains []string
	actor   identity.Actor
}

// Domains returns the domains that the operator speaks for.
func (p *Peer) Domains() []string { return slices.Clone(p.domains) }

// owns reports whether a domain is one of the operator's.
func (p *Peer) owns(domain string) bool {
	_, found := slices.BinarySearch(p.domains, domain)
	return found
}

// maxPeers bounds the certificates whose check is remembered.
const maxPeers = 1024

// peerCache remembers, for a short while, whom a certificate belongs to: a
// peer opens many connections.
type peerCache struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]knownPeer
}

type knownPeer struct {
	peer    *Peer
	until   time.Time
	version any // of the directory's domains
}

func (c *peerCache) get(key [sha256.Size]byte, now time.Time, version any) *Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.known[key]
	if !ok || k.version != version || !now.Before(k.until) {
		return nil
	}
	return k.peer
}

func (c *peerCache) put(key [sha256.Size]byte, k knownPeer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxPeers {
		c.known = make(map[[sha256.Size]byte]knownPeer)
	}
	c.known[key] = k
}

// Peer says which operator calls over a connection whose handshake is done.
// The Refusal says which of these failed: NoCertificate, UnknownAuthority,
// BadCertificate, NotOnAllowList.
func (s *Service) Peer(state tls.ConnectionState) (*Peer, error) {
	p, err := s.peer(state.PeerCertificates)
	return p, s.stats.count(err)
}

func (s *Service) peer(chain []*x509.Certificate) (*Peer, error) {
	if len(chain) == 0 {
		return nil, refuse(NoCertificate)
	}
	leaf, now, version := chain[0], s.cfg.Now(), s.cfg.Directory.Version()
	print := sha256.Sum256(leaf.Raw)
	if p := s.peers.get(print, now, version); p != nil {
		return p, nil
	}
	if err := s.cfg.Trust.Verify(chain, certs.ClientAuth, now); err != nil {
		return nil, certificateRefusal(err)
	}
	subject, err := certs.Subject(leaf)
	if err != nil {
		return nil, refuse(BadCertificate, "the subject of your certificate cannot be read")
	}
	domains := s.cfg.Directory.PeersOf(subject)
	if len(domains) == 0 {
		return nil, refuse(NotOnAllowList)
	}
	p := &Peer{key: subject.Key(), domains: domains, actor: identity.Actor{
		Kind: identity.Operator, ID: first(subject.OU), Name: first(subject.CN), Structure: first(subject.OU)}}
	until := now.Add(s.cfg.Limits.PeerLife)
	if leaf.NotAfter.Before(until) {
		until = leaf.NotAfter
	}
	s.peers.put(print, knownPeer{p, until, version})
	return p, nil
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// certificateRefusal says why a certificate was not trusted.
func certificateRefusal(err error) error {
	switch {
	case errors.Is(err, certs.ErrNoCertificate):
		return refuse(NoCertificate)
	case errors.Is(err, certs.ErrUnknownAuthority):
		return refuse(UnknownAuthority)
	case errors.Is(err, certs.ErrExpired):
		return refuse(BadCertificate, "your certificate, or one in its chain, is outside its validity")
	case errors.Is(err, certs.ErrUsage):
		return refuse(BadCertificate, "your certificate was not made for signing in to a server")
	}
	return refuse(BadCertificate)
}

// Certificate returns the mailboxes of the member whose certificate the client
// showed, for a sign-in without password (SASL EXTERNAL, RFC 4422 A). address,
// if not empty, asks for one of them. Errors: a Refusal as from Peer, or
// errs.Unauthenticated where no mailbox is this certificate's.
func (s *Service) Certificate(ctx context.Context, state tls.ConnectionState, address string) ([]directory.Mailbox, error) {
	chain := state.PeerCertificates
	if len(chain) == 0 {
		return nil, s.stats.count(refuse(NoCertificate))
	}
	if err := s.cfg.Trust.Verify(chain, certs.ClientAuth, s.cfg.Now()); err != nil {
		return nil, s.stats.count(certificateRefusal(err))
	}
	boxes, err := s.cfg.Directory.ByCertificate(ctx, chain[0])
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	if address != "" {
		boxes = slices.DeleteFunc(boxes, func(m directory.Mailbox) bool {
			return !strings.EqualFold(m.Address.String(), address)
		})
	}
	if len(boxes) == 0 {
		return nil, errs.New(errs.Unauthenticated, "this certificate opens no such mailbox")
	}
	return boxes, nil
}
