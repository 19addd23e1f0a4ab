package signin

import (
	"context"

	"pli/internal/errs"
	"pli/store"
)

// KeyTaken is no change of an account's keys, but as much its holder's business:
// they were taken out.
const KeyTaken What = "take"

// KeyFile returns the private keys, of every generation, of the account of a
// session as other OpenPGP programs read them (RFC 9580 10.2), locked with a
// passphrase that must be as good as a password. The password is asked for
// again. What is left for the holder is durable before anything is handed out.
//
// Errors: Unauthenticated for an unknown session or a wrong password, Invalid
// for an unfit passphrase, Unavailable, and those of Config.Witness.
func (s *Service) KeyFile(ctx context.Context, token, password, passphrase string) ([]byte, error) {
	session, err := s.Session(token)
	if err != nil {
		return nil, err
	}
	p, err := s.Member(ctx, session.Account)
	if err != nil {
		return nil, err
	}
	keys, err := s.Unlock(ctx, session.Account, password)
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
	err = s.cfg.Witness(ctx, KeyChange{session.Account, KeyTaken, session.Actor, p.Contact}, func(store.Tx) error { return nil })
	if err != nil {
		return nil, err
	}
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
