package signin

import (
	"context"

	"pli/internal/errs"
	"pli/notify"
	"pli/store"
)

// KeyFile returns an account's private keys, of every generation, as other
// OpenPGP programs read them (RFC 9580 10.2), locked with a passphrase that
// must be as good as a password. The password is asked for again. Before
// anything is handed out, trace leaves the line that the account's room asks
// for, and the account's contact is told; if either fails, nothing is.
//
// Errors: Unauthenticated for a wrong password, Invalid for an unfit
// passphrase, Unavailable, and those of trace.
func (s *Service) KeyFile(ctx context.Context, owner store.Owner, password, passphrase string, trace func() error) ([]byte, error) {
	p, err := s.Member(ctx, owner)
	if err != nil {
		return nil, err
	}
	if p.Contact == "" {
		return nil, errNoContact
	}
	keys, err := s.Unlock(ctx, owner, password)
	if err != nil {
		return nil, err
	}
	defer keys.Wipe()
	if err := s.checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	var text []byte
	err = s.pool.do(ctx, func() (err error) {
		text, err = keys.ArmoredPrivateKey(passphrase)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := trace(); err != nil {
		return nil, err
	}
	if err := s.cfg.Sender.Send(ctx, keyNotice(p.Contact)); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "the notice that goes with the key could not be sent: try again in a moment")
	}
	s.cfg.Log.Info("a key was handed out", "account", owner)
	return text, nil
}

// checkPassphrase says what is wrong with what is to lock a key: other
// programs take its bytes as they are (RFC 9580 3.7.1), so it has no character
// that cannot be typed.
func (s *Service) checkPassphrase(passphrase string) error {
	if err := s.checkPassword("", passphrase); err != nil {
		return err
	}
	if !canBePassword(passphrase) {
		return errs.New(errs.Invalid, "a passphrase has no control characters")
	}
	return nil
}

// keyNotice is the message that tells that a key was taken out.
func keyNotice(to string) notify.Notice {
	return notify.Notice{Kind: "key", To: to,
		Subject: "Votre clé a été téléchargée / Your key was downloaded",
		Body: "La clé qui ouvre vos messages a été téléchargée depuis le portail.\n" +
			"Si ce n'est pas vous, changez votre mot de passe et prévenez l'exploitant : la clé doit être remplacée.\n\n" +
			"The key that opens your messages was downloaded from the portal.\n" +
			"If it was not you, change your password and tell the operator: the key must be replaced.\n"}
}
