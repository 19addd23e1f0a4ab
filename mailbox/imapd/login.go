package imapd

import (
	"errors"
	"time"

	"github.com/emersion/go-imap/v2"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/signin"
)

// Login answers LOGIN (RFC 9051 6.2.3) and AUTHENTICATE PLAIN (RFC 4616).
func (s *session) Login(username, password string) error {
	s.enter()
	defer s.leave()
	key := s.srv.throttle.key(s.guard.addr, username)
	opened, err := s.srv.cfg.Signin.Mail(signin.From(s.ctx, s.guard.addr), username, password)
	if err != nil {
		if errs.Is(err, errs.Unauthenticated) {
			s.refused(key)
			if err := s.waitTurn(key); err != nil {
				return err
			}
		}
		return s.reply(err)
	}
	s.srv.throttle.succeeded(key)
	if err := s.open(opened); err != nil {
		opened.Keys.Wipe()
		return s.reply(err)
	}
	s.guard.signedIn, s.guard.recheck, s.guard.utf8, s.guard.quota = true, s.recheck, s.utf8, s.quotaAnswer
	return nil
}

// waitTurn holds the answer to a failure back for as long as the failures
// before it ask for. Who has the right password never waits.
func (s *session) waitTurn(key throttleKey) error {
	wait, ok := s.srv.throttle.reserve(key)
	if !ok {
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, "Too many attempts; try again later")
	}
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.srv.admitCtx.Done():
	case <-s.ctx.Done():
	}
	return answer(imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, string(goingDown))
}

// refused notes a failed sign-in; the connection does not outlive many.
func (s *session) refused(key throttleKey) {
	s.srv.throttle.failed(key)
	if s.failures++; s.failures >= s.srv.cfg.MaxFailures {
		s.guard.hangUp = "Too many failed sign-ins"
	}
	s.srv.cfg.Log.Info("imap: sign-in refused", "addr", s.guard.addr)
}

// open opens the mail of the account that was signed in to.
func (s *session) open(opened *signin.Opened) error {
	if !s.srv.limits.signIn(opened.Account, s.guard.addr) {
		return errTooManySessions
	}
	// What is taken away before the watch begins, the two that follow see.
	unwatch := s.srv.cfg.Signin.Watch(opened.Account, opened.Slot, s.signedOut)
	err := s.srv.cfg.Signin.Holds(s.ctx, opened.Account, opened.Slot)
	var account *mailbox.Account
	if err == nil {
		account, err = s.srv.cfg.Mail.Open(s.ctx, opened.Actor, opened.Account, opened.Keys)
	}
	if err != nil {
		unwatch()
		s.srv.limits.signOut(opened.Account, s.guard.addr)
		return err
	}
	s.opened, s.account, s.unwatch, s.checked = opened, account, unwatch, s.srv.cfg.Now()
	return nil
}

var errTooManySessions = errors.New("imapd: too many sessions of one account")
