package signin

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/store"
)

// Session is a signed-in person's. It is a copy: it goes on being what it was
// when the session has ended.
type Session struct {
	Token         string // secret: 256 bits, 43 characters; kept by its hash alone
	Actor         identity.Actor
	Account       store.Owner
	Address       identity.Address
	Keys          *keyring.Bundle // shared by all copies; never wiped by those who use it
	Started, Seen time.Time
}

// Device is what is shown of a session to its person (mission H8).
type Device struct {
	ID            string // opaque, not the token
	Remote        netip.Addr
	Started, Seen time.Time
}

var errNoSession = errs.New(errs.Unauthenticated, "this session has ended: sign in again")

// begin makes a session of an answered challenge.
func (s *Service) begin(w *waiting, now time.Time, remote netip.Addr) (*Session, error) {
	token := newToken()
	key := hashToken(token)
	kept := &session{id: hex.EncodeToString(key[:8]), remote: remote, Session: Session{
		Actor: w.profile.Actor, Account: w.owner, Address: w.profile.Address, Keys: w.keys, Started: now, Seen: now}}
	if !s.doors.addSession(key, kept, s.cfg.MaxSessions, s.cfg.MaxWaiting) {
		w.keys.Wipe()
		return nil, errCrowd
	}
	s.waiting(w.owner, w.profile.Actor, w.keys)
	return kept.copy(token), nil
}

func (k *session) copy(token string) *Session {
	c := k.Session
	c.Token = token
	return &c
}

// over reports whether a session's time is over.
func (s *Service) over(now time.Time) func(*session) bool {
	return func(k *session) bool {
		return now.Sub(k.Seen) >= s.cfg.SessionIdle || now.Sub(k.Started) >= s.cfg.SessionMax
	}
}

// Session returns the session of a token, which counts as used now, or an
// error of kind Unauthenticated.
func (s *Service) Session(token string) (*Session, error) {
	s.sweepAtTimes()
	now, key := s.cfg.Now(), hashToken(token)
	s.doors.mu.Lock()
	defer s.doors.mu.Unlock()
	kept := s.doors.sessions[key]
	if kept == nil {
		return nil, errNoSession
	}
	if s.over(now)(kept) {
		s.doors.forgetSession(key)
		return nil, errNoSession
	}
	kept.Seen = now
	return kept.copy(token), nil
}

// End ends the session of a token, if there is one.
func (s *Service) End(token string) {
	s.doors.mu.Lock()
	defer s.doors.mu.Unlock()
	s.doors.forgetSession(hashToken(token))
}

// Sessions lists the sessions of an account, oldest first.
func (s *Service) Sessions(owner store.Owner) []Device {
	s.Sweep()
	s.doors.mu.Lock()
	defer s.doors.mu.Unlock()
	var list []Device
	for _, key := range s.doors.members[owner] {
		k := s.doors.sessions[key]
		list = append(list, Device{ID: k.id, Remote: k.remote, Started: k.Started, Seen: k.Seen})
	}
	return list
}

// Revoke ends one session of an account, by its Device.ID; kind NotFound if
// there is none.
func (s *Service) Revoke(owner store.Owner, id string) error {
	s.doors.mu.Lock()
	defer s.doors.mu.Unlock()
	for _, key := range s.doors.members[owner] {
		if s.doors.sessions[key].id == id {
			s.doors.forgetSession(key)
			return nil
		}
	}
	return errs.New(errs.NotFound, "there is no such session")
}

// RevokeAll ends every session of an account, those of its mail clients too
// (Watch), and every sign-in under way.
func (s *Service) RevokeAll(owner store.Owner) {
	s.endOthers(owner, "")
	s.watches.fire(owner, func(string) bool { return true })
}

// endOthers ends what an account has open but for the session of a token.
func (s *Service) endOthers(owner store.Owner, token string) {
	s.doors.mu.Lock()
	defer s.doors.mu.Unlock()
	keep := hashToken(token)
	for _, key := range slices.Clone(s.doors.members[owner]) {
		if key != keep {
			s.doors.forgetSession(key)
		}
	}
	for _, key := range slices.Clone(s.doors.codes[owner]) {
		s.doors.forgetChallenge(key, true)
	}
}

// Sweep ends the sessions and codes whose time is over.
func (s *Service) Sweep() {
	now := s.cfg.Now()
	s.doors.sweep(now, s.over(now))
	s.open.sweep()
}

// sweepAtTimes sweeps if the last time is a minute ago.
func (s *Service) sweepAtTimes() {
	if s.doors.due(s.cfg.Now()) {
		s.Sweep()
	}
}
