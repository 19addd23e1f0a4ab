package signin

import (
	"context"

	"pli/internal/errs"
	"pli/store"
)

// Forget ends what an account has open and frees its login and its address for
// others: what comes before its keys are destroyed. Done again it changes
// nothing.
func (s *Service) Forget(ctx context.Context, owner store.Owner) error {
	s.RevokeAll(owner)
	a, err := s.load(ctx, owner)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for kind, name := range map[string]string{kindLogin: a.profile.Login, kindAddress: a.profile.Address.Key()} {
		if name == "" {
			continue
		}
		bound, err := s.cfg.Names.Find(ctx, kind, name)
		if errs.Is(err, errs.NotFound) || err == nil && bound != owner {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.cfg.Names.Unbind(ctx, kind, name); err != nil {
			return err
		}
	}
	return nil
}

// Activated reports whether an account has a sign-in of its own.
func (s *Service) Activated(ctx context.Context, owner store.Owner) (bool, error) {
	a, err := s.load(ctx, owner)
	return err == nil && a.profile.Login != "", err
}

// CheckSignIn reports whether SetPassword would take that login and password
// for an account that is not made yet. Errors: Invalid, Conflict.
func (s *Service) CheckSignIn(ctx context.Context, login, password string) error {
	login, err := normalLogin(login)
	if err != nil {
		return err
	}
	if err := s.checkPassword(login, password); err != nil {
		return err
	}
	if _, err := s.cfg.Names.Find(ctx, kindLogin, login); err == nil {
		return errs.New(errs.Conflict, "this login is taken: choose another")
	} else if !errs.Is(err, errs.NotFound) {
		return err
	}
	return nil
}
