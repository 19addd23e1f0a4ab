package imapd

import "pli/internal/errs"

// signedOut is told when the session's mail password is removed or everything
// of its account is ended: a client that waits hears BYE at once, and what runs
// for one is interrupted.
func (s *session) signedOut() {
	s.cancel()
	s.guard.bye(signedOut)
}

// recheck asks, before a command, whether the sign-in still stands; the error
// is a farewell.
func (s *session) recheck() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.still()
}

// still asks whether the mail password and the hold on the mail still stand,
// unless it was known a moment ago: another process may have taken them away.
// The caller holds s.mu; the error is a farewell.
func (s *session) still() error {
	now := s.srv.cfg.Now()
	if since := now.Sub(s.checked); s.opened == nil || 0 <= since && since < s.srv.cfg.RecheckEvery {
		return nil
	}
	err := s.srv.cfg.Signin.Holds(s.ctx, s.opened.Account, s.opened.Slot)
	if err == nil {
		err = s.account.Allowed(s.ctx)
	}
	if err == nil {
		s.checked = now
		return nil
	}
	if s.ctx.Err() != nil || errs.Is(err, errs.Unauthenticated) || errs.Is(err, errs.Denied) || errs.Is(err, errs.NotFound) {
		return signedOut
	}
	s.srv.cfg.Log.Error("imap: a sign-in could not be checked", "account", s.owner(), "error", err)
	return cannotAsk
}
