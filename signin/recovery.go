package signin

import (
	"context"
	"fmt"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/notify"
	"pli/store"
)

// errWrongCode is what whoever recovers is told: the same for an unknown login
// and a wrong recovery code.
var errWrongCode = errs.New(errs.Unauthenticated, "the login or the recovery code is not right")

// AddRecoveryCode makes the recovery code of an account, in place of the one
// there is, and returns it, to be shown once. keys are the account's, opened.
// It is a part of activation; RenewRecoveryCode is the holder's own act.
func (s *Service) AddRecoveryCode(ctx context.Context, owner store.Owner, keys *keyring.Bundle) (code string, err error) {
	err = s.change(ctx, owner, func(a *account) (err error) {
		code, err = s.newCode(a, keys)
		return err
	})
	return code, err
}

// newCode puts a new recovery code in place of the ones there are.
func (s *Service) newCode(a *account, keys *keyring.Bundle) (string, error) {
	if err := keys.Refresh(a.ring); err != nil {
		return "", err
	}
	before := a.ring.Slots()
	_, code, err := a.ring.AddGenerated(keys, keyring.Recovery, "", s.cfg.Now())
	if err != nil {
		return "", err
	}
	for _, slot := range before {
		if slot.Kind != keyring.Recovery {
			continue
		}
		if err := a.ring.RemoveSlot(slot.ID); err != nil {
			return "", err
		}
	}
	return code, nil
}

// RenewRecoveryCode makes a new recovery code for the account of a session, in
// place of the one there is. The password is asked for again: the code is as
// good as it.
//
// Errors: Unauthenticated for an unknown session or a wrong password,
// Unavailable.
func (s *Service) RenewRecoveryCode(ctx context.Context, token, password string) (code string, err error) {
	session, err := s.Session(token)
	if err != nil {
		return "", err
	}
	keys, err := s.Unlock(ctx, session.Account, password)
	if err != nil {
		return "", err
	}
	defer keys.Wipe()
	err = s.witnessed(ctx, session.Account, CodeRenewed, session.Actor, func(a *account) (err error) {
		code, err = s.newCode(a, keys)
		return err
	})
	return code, err
}

// Recover checks a login and its recovery code, and sends a one-time code to
// the account's contact, for FinishRecovery. Tries count, and slow down, as
// those of passwords do; errors are those of Begin.
func (s *Service) Recover(ctx context.Context, login, code string) (Challenge, error) {
	return s.enter(ctx, login, true, func(a *account) (*keyring.Bundle, error) {
		keys, _, err := a.ring.OpenGenerated(code, keyring.Recovery)
		if err == nil && a.owner == decoy {
			keys.Wipe()
			err = errWrongCode
		}
		if errs.Is(err, errs.Unauthenticated) {
			err = errWrongCode
		}
		if err != nil {
			return nil, err
		}
		return keys, nil
	})
}

// FinishRecovery checks the one-time code of Recover, gives the account a new
// password, and begins a session. The passwords of before, the recovery code
// used, and the sessions that were open are gone; passwords of mail clients
// stay. It returns the next recovery code, to be shown once.
//
// Errors: Invalid for an unfit password, after which the same challenge may be
// answered again; those of Finish; Denied where the account may not be opened.
func (s *Service) FinishRecovery(ctx context.Context, challengeID, code, password string) (session *Session, next string, err error) {
	login, ok := s.doors.login(hashToken(challengeID))
	if !ok {
		return nil, "", ErrOver
	}
	if err := s.checkPassword(login, password); err != nil {
		return nil, "", err
	}
	w, err := s.answer(ctx, challengeID, code, true)
	if err != nil {
		return nil, "", err
	}
	err = s.witnessed(ctx, w.owner, Recovered, w.profile.Actor, func(a *account) error {
		if next, err = s.newCode(a, w.keys); err != nil {
			return err
		}
		return s.pool.do(ctx, func() error {
			_, err := a.ring.ResetPassword(s.cfg.Argon, w.keys, password, s.cfg.Now())
			return err
		})
	})
	if err != nil {
		w.keys.Wipe()
		return nil, "", err
	}
	s.complete(ctx, w.owner, w.keys)
	s.endOthers(w.owner, "")
	s.cfg.Log.Info("recovered", "account", w.owner)
	session, err = s.begin(w, s.cfg.Now(), remoteOf(ctx))
	return session, next, err
}

// recoveryNotice is the message that carries the code of a recovery.
func (s *Service) recoveryNotice(to, code string) notify.Notice {
	minutes := int(s.cfg.CodeLife / time.Minute)
	return notify.Notice{Kind: "code", To: to,
		Subject: "Votre code pour retrouver l'accès / Your code to get back in",
		Body: fmt.Sprintf("Votre code pour choisir un nouveau mot de passe : %s\nIl est valable %d minutes. Ne le donnez à personne.\n"+
			"Si vous n'avez rien demandé, quelqu'un a votre code de secours : connectez-vous et faites-en un autre.\n\n"+
			"Your code to choose a new password: %s\nIt is good for %d minutes. Give it to nobody.\n"+
			"If you did not ask for it, somebody has your recovery code: sign in and make another.\n", code, minutes, code, minutes)}
}

// Escrow is what two operators need to know of an account to recover it.
type Escrow struct {
	keyring.Escrow
	Login string // "" before activation
}

// Escrow returns what the operators make their shares for. Errors: NotFound;
// Conflict if the account has no slot of theirs, or no sign-in.
func (s *Service) Escrow(ctx context.Context, owner store.Owner) (Escrow, error) {
	a, err := s.load(ctx, owner)
	if err != nil {
		return Escrow{}, err
	}
	e, ok := a.ring.Escrow()
	if !ok {
		return Escrow{}, errs.New(errs.Conflict, "this account has no slot of the operators: it gets one when its holder next signs in")
	}
	if a.profile.Login == "" {
		return Escrow{}, errs.New(errs.Conflict, "this account has no sign-in that could be lost: activate it")
	}
	return Escrow{e, a.profile.Login}, nil
}

// RecoverByOperators makes a recovery code for the holder of an account by the
// shares of both operators, and returns it. The shares are spent: the slot is
// made anew. Nothing else changes until the holder uses the code, with a
// one-time code that goes to their contact.
//
// Errors: NotFound; Unauthenticated for any other shares.
func (s *Service) RecoverByOperators(ctx context.Context, owner store.Owner, one, two keyring.Share) (code string, err error) {
	err = s.witnessed(ctx, owner, CodeIssued, identity.Actor{}, func(a *account) error {
		keys, err := a.ring.OpenOperators(one, two)
		if err != nil {
			return err
		}
		defer keys.Wipe()
		e, _ := a.ring.Escrow()
		with := e.Keys
		if s.cfg.Operators != nil {
			with = *s.cfg.Operators
		}
		if _, err := a.ring.AddOperators(keys, with, s.cfg.Now()); err != nil {
			return err
		}
		code, err = s.newCode(a, keys)
		return err
	})
	return code, err
}
