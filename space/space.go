// Package space keeps a person's space: who they are and where it stands in
// its life.
package space

import (
	"context"
	"log/slog"
	"time"

	"pli/identity"
	"pli/store"
	"pli/store/names"
)

// State is where a space stands in its life.
type State uint8

// The states of a space.
const (
	Announced State = iota + 1
	Opposed
	Open
	Active
	Closed
	Archived
	Deleted
)

// String returns the state's word.
func (s State) String() string { return "" }

// ParseState reads a state's word.
func ParseState(s string) (State, error) { return 0, nil }

// AcceptsMail reports whether letters are delivered in this state.
func (s State) AcceptsMail() bool { return s == Open || s == Active }

// Space is a person's space.
type Space struct {
	ID               store.Owner
	INS              identity.INS
	Traits           identity.Traits
	Address          identity.Address
	Contact          string
	State            State
	Created, Changed time.Time
}

// New says what a new space is made of.
type New struct {
	INS     identity.INS
	Traits  identity.Traits
	Address identity.Address
	Contact string
	State   State // 0: Announced
}

// Config says what a Service works on.
type Config struct {
	DB    store.DB
	Names *names.Names
	Now   func() time.Time
	Log   *slog.Logger
}

// Service keeps spaces.
type Service struct{ cfg Config }

// NewService returns a Service.
func NewService(cfg Config) *Service { return &Service{cfg: cfg} }

// NewOwner returns a fresh owner with a prefix such as "s/" or "m/".
func NewOwner(prefix string) store.Owner { return "" }

// Add makes a space.
func (s *Service) Add(ctx context.Context, n New) (Space, error) { return Space{}, nil }

// ByINS finds a space's owner by matricule.
func (s *Service) ByINS(ctx context.Context, matricule string) (store.Owner, error) { return "", nil }

// ByID returns a space.
func (s *Service) ByID(ctx context.Context, owner store.Owner) (Space, error) { return Space{}, nil }

// Load returns the space that tx is about.
func Load(tx store.Tx) (Space, error) { return Space{}, nil }

// SetState moves a space to another state.
func (s *Service) SetState(ctx context.Context, owner store.Owner, to State) error { return nil }

// List returns at most n spaces after an owner.
func (s *Service) List(ctx context.Context, after store.Owner, n int) ([]Space, error) {
	return nil, nil
}
