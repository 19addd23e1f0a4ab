package smtpd

import (
	"pli/internal/errs"
	"pli/store"
)

// held is what a client has signed in by: a mail password of an account, or,
// with a certificate, the account alone.
type held struct {
	account store.Owner
	slot    string
}

// settle makes the session end when what it signs in by is taken away, and
// makes sure that this has not happened yet.
func (m *member) settle(all ...held) error {
	m.held = all
	for _, h := range all {
		m.unwatch = append(m.unwatch, m.s.cfg.Signin.Watch(h.account, h.slot, m.signedOut))
	}
	for _, h := range all {
		if err := m.s.cfg.Signin.Holds(m.ctx, h.account, h.slot); err != nil {
			return err
		}
	}
	m.checked = m.s.cfg.Now()
	m.l.wire.known()
	return nil
}

// signedOut is told when something that the session signed in by is taken
// away: what runs is interrupted, and a client that waits hears it at once.
func (m *member) signedOut() {
	m.l.signedOut.Store(true)
	m.end()
	m.l.wire.kick()
}

// still asks whether the sign-in still stands, unless it was known a moment
// ago: another process may have taken it away. Whether a holder's space still
// lets them write is the gate's to say, when the message is sent.
func (s *session) still() error {
	now := s.s.cfg.Now()
	if since := now.Sub(s.checked); s.held == nil || 0 <= since && since < s.s.cfg.Limits.RecheckEvery {
		return nil
	}
	for _, h := range s.held {
		err := s.s.cfg.Signin.Holds(s.ctx, h.account, h.slot)
		if errs.Is(err, errs.Unauthenticated) || errs.Is(err, errs.NotFound) || s.ctx.Err() != nil {
			s.l.last = true
			return errSignedOut
		}
		if err != nil {
			return s.told(err)
		}
	}
	s.checked = now
	return nil
}
