// Package signin knows who is at the door.
package signin

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/notify"
	"pli/store"
	"pli/store/names"
)

// Config says what a Service works on.
type Config struct {
	DB     store.DB
	Names  *names.Names
	Server [32]byte // the key of server slots
	Sender notify.Sender
	Now    func() time.Time
	Log    *slog.Logger

	CodeLife    time.Duration // default 10 minutes
	CodeTries   int           // default 5
	SessionIdle time.Duration // default 30 minutes
	SessionMax  time.Duration // default 12 hours
}

// Service signs people in.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) (*Service, error) { return &Service{cfg: cfg}, nil }

// Profile is who an account is of.
type Profile struct {
	Actor   identity.Actor
	Address identity.Address
	Contact string
}

// Challenge waits for a one-time code.
type Challenge struct {
	ID   string
	Hint string // where the code went, masked
}

// Session is a signed-in person's.
type Session struct {
	Token         string
	Actor         identity.Actor
	Account       store.Owner
	Address       identity.Address
	Keys          *keyring.Bundle
	Started, Seen time.Time
}

// Opened is a mail client's sign-in.
type Opened struct {
	Actor   identity.Actor
	Account store.Owner
	Address identity.Address
	Keys    *keyring.Bundle
	Slot    string
}

// From tells the network address that a call comes from.
func From(ctx context.Context, remote netip.Addr) context.Context { return ctx }

// Provision makes an account's keys.
func (s *Service) Provision(ctx context.Context, owner store.Owner, p Profile) error { return nil }

// SetPassword activates an account.
func (s *Service) SetPassword(ctx context.Context, owner store.Owner, login, password string) error {
	return nil
}

// Unlock opens an account's keys by its password alone.
func (s *Service) Unlock(ctx context.Context, owner store.Owner, password string) (*keyring.Bundle, error) {
	return nil, nil
}

// AddMailPassword makes a password for a mail client. keys nil: by the server slot.
func (s *Service) AddMailPassword(ctx context.Context, owner store.Owner, keys *keyring.Bundle, label string) (string, error) {
	return "", nil
}

// Begin checks a login and password, and sends a one-time code.
func (s *Service) Begin(ctx context.Context, login, password string) (Challenge, error) {
	return Challenge{}, nil
}

// Finish checks the code.
func (s *Service) Finish(ctx context.Context, challengeID, code string) (*Session, error) {
	return nil, nil
}

// Session finds a session by its token.
func (s *Service) Session(token string) (*Session, error) { return nil, nil }

// End ends a session.
func (s *Service) End(token string) {}

// Mail signs a mail client in.
func (s *Service) Mail(ctx context.Context, address, password string) (*Opened, error) {
	return nil, nil
}

// Member returns an account's profile.
func (s *Service) Member(ctx context.Context, owner store.Owner) (Profile, error) {
	return Profile{}, nil
}

// Recipient returns to whom an account's mail is sealed.
func (s *Service) Recipient(ctx context.Context, owner store.Owner) (keyring.Recipient, error) {
	return keyring.Recipient{}, nil
}
