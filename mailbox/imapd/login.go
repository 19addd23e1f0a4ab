package imapd

import (
	"errors"
	"time"

	"github.com/emersion/go-imap/v2"

	"pli/internal/errs"
	"pli/signin"
)

// Login answers LOGIN (RFC 9051 6.2.3) and AUTHENTICATE PLAIN (RFC 4616).
func (s *session) Login(username, password string) error {
	s.enter()
	defer s.leave()
	key := s.srv.throttle.key(s.guard.addr, username)
	if err := s.waitTurn(key); err != nil {
		return err
	}
	opened, err := s.srv.cfg.Signin.Mail(signin.From(s.ctx, s.guard.addr), username, password)
	if err != nil {
		if errs.Is(err, errs.Unauthenticated) {
			s.refused(key)
		}
		return s.reply(err)
	}
	s.srv.throttle.succeeded(key)
	if err := s.open(opened); err != nil {
		opened.Keys.Wipe()
		return s.reply(err)
	}
	s.guard.signedIn = true
	return nil
}

// waitTurn waits as long as earlier failures ask for.
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
	return answer(imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, goingDown)
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
	if !s.srv.limits.signIn(opened.Account) {
		return errTooManySessions
	}
	account, err := s.srv.cfg.Mail.Open(s.ctx, opened.Actor, opened.Account, opened.Keys)
	if err != nil {
		s.srv.limits.signOut(opened.Account)
		return err
	}
	s.opened, s.account = opened, account
	return nil
}

var errTooManySessions = errors.New("imapd: too many sessions of one account")
