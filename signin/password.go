package signin

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/store"
)

// MaxLogin is how long a login may be, in bytes.
const MaxLogin = 254

// normalLogin returns the one form of all ways to type a login: RFC 8265 3.3
// (UsernameCaseMapped) without the spaces around it.
func normalLogin(login string) (string, error) {
	if login = strings.TrimSpace(login); len(login) <= MaxLogin {
		if normal, err := precis.UsernameCaseMapped.String(login); err == nil && normal != "" && len(normal) <= MaxLogin {
			return normal, nil
		}
	}
	return "", errs.New(errs.Invalid, "a login has letters, digits and signs without spaces, at most %d bytes", MaxLogin)
}

// checkPassword says what is wrong with a new password.
func (s *Service) checkPassword(login, password string) error {
	n := utf8.RuneCountInString(password)
	different := make(map[rune]bool)
	for _, r := range password {
		different[r] = true
	}
	folded := strings.ToLower(password)
	switch {
	case len(password) > keyring.MaxPassword:
		return errs.New(errs.Invalid, "a password has at most %d bytes", keyring.MaxPassword)
	case n < s.cfg.MinPassword:
		return errs.New(errs.Invalid, "a password has at least %d characters: a few words are easy to keep in mind", s.cfg.MinPassword)
	case len(different) < 5:
		return errs.New(errs.Invalid, "this password repeats a few characters: choose one with more different ones")
	case len(login) >= 4 && strings.Contains(folded, login):
		return errs.New(errs.Invalid, "this password contains the login: choose another")
	}
	return nil
}

// SetPassword activates an account: it binds the login, adds the password, and
// takes the server's own access away; mail that comes later is sealed to keys
// that the server never could open. Done again with the same login and
// password it changes nothing.
//
// Errors: NotFound; Invalid for an unfit login or password; Conflict if the
// login is another account's, or the account was activated otherwise;
// Unavailable if too many sign in just now.
func (s *Service) SetPassword(ctx context.Context, owner store.Owner, login, password string) error {
	login, err := normalLogin(login)
	if err != nil {
		return err
	}
	if err := s.checkPassword(login, password); err != nil {
		return err
	}
	a, err := s.load(ctx, owner)
	if err != nil {
		return err
	}
	switch keys, err := a.ring.OpenServer(s.cfg.Server); {
	case errors.Is(err, keyring.ErrNoSlot):
		return s.activated(ctx, a, login, password)
	case err != nil:
		return err
	default:
		keys.Wipe()
	}
	if err := s.cfg.Names.Bind(ctx, kindLogin, login, owner); errs.Is(err, errs.Conflict) {
		return errs.Wrap(err, errs.Conflict, "this login is taken")
	} else if err != nil {
		return err
	}
	var left string
	err = s.change(ctx, owner, func(a *account) error {
		left, a.profile.Login = a.profile.Login, login
		return s.activate(ctx, a, password)
	})
	if err != nil || left == "" || left == login {
		return err
	}
	return s.cfg.Names.Unbind(ctx, kindLogin, left)
}

// activate gives a ring its password in place of the server's slot, then a new
// generation.
func (s *Service) activate(ctx context.Context, a *account, password string) error {
	keys, err := a.ring.OpenServer(s.cfg.Server)
	if err != nil {
		return err
	}
	defer keys.Wipe()
	err = s.pool.do(ctx, func() (err error) {
		_, err = a.ring.AddPasswordWith(s.cfg.Argon, keys, password, "", s.cfg.Now())
		return err
	})
	if err != nil {
		return err
	}
	for _, slot := range a.ring.Slots() {
		if slot.Kind == keyring.Server {
			if err := a.ring.RemoveSlot(slot.ID); err != nil {
				return err
			}
		}
	}
	return a.ring.Rotate(keys, s.cfg.Now())
}

// activated answers SetPassword for an account without a server slot.
func (s *Service) activated(ctx context.Context, a *account, login, password string) error {
	keys, err := s.openPassword(ctx, a, password)
	if err == nil {
		keys.Wipe()
	}
	if err == nil && a.profile.Login == login {
		return nil
	}
	if errs.Is(err, errs.Unavailable) {
		return err
	}
	return errs.New(errs.Conflict, "this account is activated: only its holder changes the password")
}

// Unlock opens an account's keys by its password alone, without a session: for
// the operator's verbs and for asking again in the midst of a session. The
// caller wipes the keys. A wrong password is an error of kind Unauthenticated,
// and counts as one for the sign-in too.
func (s *Service) Unlock(ctx context.Context, owner store.Owner, password string) (*keyring.Bundle, error) {
	a, err := s.load(ctx, owner)
	if err != nil {
		return nil, err
	}
	turn, err := s.throttle.take(s.cfg.Now(), s.throttle.login(ctx, cmp.Or(a.profile.Login, string(owner)))...)
	if err != nil {
		return nil, err
	}
	keys, err := s.openPassword(ctx, a, password)
	if err == nil || !errs.Is(err, errs.Unauthenticated) {
		turn.giveBack()
	}
	return keys, err
}

// openPassword opens an account's keys by a password, in the pool. It takes as
// long where the account is nobody's, has no password, or this cannot be one.
func (s *Service) openPassword(ctx context.Context, a *account, password string) (*keyring.Bundle, error) {
	var keys *keyring.Bundle
	err := s.pool.do(ctx, func() (err error) {
		if a.owner == decoy || !hasPassword(a.ring) || !canBePassword(password) {
			keyring.SpendPassword(s.cfg.Argon, password)
			return errWrong
		}
		if keys, _, err = a.ring.OpenPassword(password); errors.Is(err, keyring.ErrNoSlot) {
			return errWrong
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// canBePassword reports whether the ring would try a password at all. RFC 8265 4.2
func canBePassword(password string) bool {
	if len(password) > keyring.MaxPassword {
		return false
	}
	_, err := precis.OpaqueString.String(password)
	return err == nil
}

func hasPassword(r *keyring.Ring) bool {
	for _, slot := range r.Slots() {
		if slot.Kind == keyring.Password {
			return true
		}
	}
	return false
}

// ChangePassword gives the account of a session a new password, and ends its
// other sessions. The present password is asked for again.
//
// Errors: Unauthenticated for an unknown session or a wrong present password,
// Invalid for an unfit new one, Unavailable.
func (s *Service) ChangePassword(ctx context.Context, token, present, password string) error {
	session, err := s.Session(token)
	if err != nil {
		return err
	}
	keys, err := s.Unlock(ctx, session.Account, present)
	if err != nil {
		return err
	}
	defer keys.Wipe()
	with := keys
	if session.Keys.Slot() == keys.Slot() {
		with = session.Keys // the session goes on by the new password
	}
	err = s.change(ctx, session.Account, func(a *account) error {
		if err := s.checkPassword(a.profile.Login, password); err != nil {
			return err
		}
		if err := with.Refresh(a.ring); err != nil {
			return err
		}
		return s.pool.do(ctx, func() error {
			return a.ring.ChangePassword(s.cfg.Argon, with, keys.Slot(), password)
		})
	})
	if err != nil {
		return err
	}
	s.endOthers(session.Account, token)
	return nil
}
