package space

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"pli/internal/errs"
	"pli/store"
	"pli/store/names"
)

// kindINS is the kind of name under which a matricule is bound to its space.
const kindINS = "ins"

// maxMatricule bounds what is looked for as a matricule, in bytes.
const maxMatricule = 64

// Config says what a Service works on. All but Log are required.
type Config struct {
	DB    store.DB
	Names *names.Names
	Now   func() time.Time
	Log   *slog.Logger // default: discards
}

// Service keeps spaces. All methods may run at once.
type Service struct{ cfg Config }

// NewService returns a Service on the given parts.
func NewService(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg}
}

func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Millisecond) }

// Add makes a space, durable when it returns. The INS is bound to its owner
// first, then the record is written: after a crash between the two, a later
// Add of the same INS writes the record under the owner that was bound. Adds
// may run at once: in bulk, many side by side share each commit.
//
// Errors: Invalid; Conflict if there is a space for this INS.
func (s *Service) Add(ctx context.Context, n New) (Space, error) {
	n, err := n.check()
	if err != nil {
		return Space{}, err
	}
	owner, err := s.bind(ctx, n)
	if err != nil {
		return Space{}, err
	}
	now := s.now()
	made := Space{ID: owner, INS: n.INS, Traits: n.Traits, Address: n.Address, Contact: n.Contact,
		State: n.State, Created: now, Changed: now}
	err = s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		switch _, err := tx.Get(recordKey()); {
		case errors.Is(err, store.ErrNotFound):
			return save(tx, made)
		case err != nil:
			return err
		}
		return errs.New(errs.Conflict, "there is a space for this INS already")
	})
	if err != nil {
		return Space{}, err
	}
	return made, nil
}

// bind returns the owner to which n's INS is bound: a fresh one, or one left by
// an Add that got no further.
func (s *Service) bind(ctx context.Context, n New) (store.Owner, error) {
	owner, matricule := NewOwner(Prefix), n.INS.Matricule()
	err := s.cfg.Names.Bind(ctx, kindINS, matricule, owner)
	if errs.Is(err, errs.Conflict) {
		return s.cfg.Names.Find(ctx, kindINS, matricule)
	}
	return owner, err
}

// Rebind makes the space's INS lead to it again, after damage to names.
func (s *Service) Rebind(ctx context.Context, owner store.Owner) error {
	sp, err := s.ByID(ctx, owner)
	if err != nil {
		return err
	}
	return s.cfg.Names.Rebind(ctx, kindINS, sp.INS.Matricule(), owner)
}

// ByINS returns the owner of the space with this matricule, in either case, or
// an error of kind NotFound; the work is the same for both. Whether the space
// has been written, and is in a state to receive, is for Load to say.
func (s *Service) ByINS(ctx context.Context, matricule string) (store.Owner, error) {
	switch { // no number is empty or so long: not found, by the same way
	case matricule == "":
		matricule = " "
	case len(matricule) > maxMatricule:
		matricule = matricule[:maxMatricule]
	}
	return s.cfg.Names.Find(ctx, kindINS, strings.ToUpper(matricule))
}

// ByID returns the space of an owner, or an error of kind NotFound.
func (s *Service) ByID(ctx context.Context, owner store.Owner) (Space, error) {
	if !IsSpace(owner) {
		return Space{}, errs.New(errs.NotFound, "there is no such space")
	}
	var found Space
	err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) (err error) {
		found, err = Load(tx)
		return err
	})
	if err != nil {
		return Space{}, err
	}
	return found, nil
}

// State returns only the state of a space, or an error of kind NotFound.
func (s *Service) State(ctx context.Context, owner store.Owner) (state State, err error) {
	if !IsSpace(owner) {
		return 0, errs.New(errs.NotFound, "there is no such space")
	}
	err = s.cfg.DB.View(ctx, owner, func(tx store.Tx) (err error) {
		state, _, err = StateOf(tx)
		return err
	})
	return state, err
}

// SetState moves a space to another state, as Change does.
func (s *Service) SetState(ctx context.Context, owner store.Owner, to State) error {
	if !IsSpace(owner) {
		return errs.New(errs.NotFound, "there is no such space")
	}
	now := s.now()
	return s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
		_, err := Change(tx, to, now)
		return err
	})
}

// List returns at most n spaces after an owner ("" from the first), in order
// of owner; fewer than n are the last. A space whose record cannot be read is
// left out, and logged: one damaged space does not hide the others.
func (s *Service) List(ctx context.Context, after store.Owner, n int) ([]Space, error) {
	var page []Space
	after = max(after, Prefix)
	for len(page) < n {
		owners, err := s.cfg.DB.Owners(ctx, after, n-len(page))
		if err != nil {
			return nil, err
		}
		for _, owner := range owners {
			if !strings.HasPrefix(string(owner), Prefix) {
				return page, nil
			}
			switch found, err := s.ByID(ctx, owner); {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err == nil:
				page = append(page, found)
			case !errs.Is(err, errs.NotFound):
				s.cfg.Log.Error("a space cannot be read", "space", owner, "error", err)
			}
		}
		if len(owners) == 0 {
			return page, nil
		}
		after = owners[len(owners)-1]
	}
	return page, nil
}

// Forget frees a matricule for a new space: the last step of a deletion. A
// matricule that leads elsewhere, or nowhere, is left alone.
func (s *Service) Forget(ctx context.Context, matricule string, owner store.Owner) error {
	bound, err := s.ByINS(ctx, matricule)
	if errs.Is(err, errs.NotFound) || err == nil && bound != owner {
		return nil
	}
	if err != nil {
		return err
	}
	return s.cfg.Names.Unbind(ctx, kindINS, strings.ToUpper(matricule))
}
