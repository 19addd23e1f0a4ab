// Package signin knows who is at the door.
//
// People sign in with a login, a password and a one-time code, and have a
// session; mail clients sign in with an address and a generated mail password.
// Either opens the account's keys. Sessions and codes are kept in memory
// alone, by their hashes; the password is kept nowhere.
package signin

import (
	"context"
	"crypto/rand"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/internal/errs"
	"pli/notify"
	"pli/store"
	"pli/store/names"
)

// Config says what a Service works on. DB, Names, Sender and Now are required.
type Config struct {
	DB     store.DB
	Names  *names.Names
	Server [32]byte // opens the server slots; sealed.Master derives it
	Sender notify.Sender
	Now    func() time.Time
	Log    *slog.Logger // default: discards

	CodeLife    time.Duration // of a one-time code; default 10 minutes
	CodeTries   int           // of one code; default 5
	MaxCodes    int           // that wait at once for one account; default 5
	SessionIdle time.Duration // after which an unused session ends; default 30 minutes
	SessionMax  time.Duration // after which every session ends; default 12 hours
	MaxSessions int           // of one account, beyond which the longest unused ends; default 20
	MaxWaiting  int           // sessions, and codes, of all accounts; default 100 000

	MailFloor time.Duration // every refusal of a mail client takes a multiple of this; default 5 ms

	MinPassword int            // characters of a password; default 12
	Argon       keyring.Params // the cost of a new password; default keyring.DefaultParams
	Derivations int            // of a password at once; default the number of processors, at most 4
	MaxQueue    int            // derivations that wait; default 64

	Throttle ThrottleConfig

	// Operators are the two keys that open every account together, on the day
	// its holder has lost all; nil: nobody can.
	Operators *[2]keyring.OperatorPublic
	// Witness runs fn, which writes a change of an account's keys, in a
	// transaction of the account's, together with what the change leaves for
	// the holder: a trace line, a notice. Default: a bare transaction.
	Witness func(ctx context.Context, c KeyChange, fn func(tx store.Tx) error) error
	// Waiting is told of an account with several generations of keys, under the
	// older of which mail may lie: when somebody signs in to it, and when its
	// keys are renewed while somebody is. keys are theirs, good at least until
	// InUse says no. It must not block. May be nil.
	Waiting func(account store.Owner, actor identity.Actor, keys *keyring.Bundle)
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Argon == (keyring.Params{}) {
		c.Argon = keyring.DefaultParams()
	}
	or(&c.CodeLife, 10*time.Minute)
	or(&c.CodeTries, 5)
	or(&c.MaxCodes, 5)
	or(&c.SessionIdle, 30*time.Minute)
	or(&c.SessionMax, 12*time.Hour)
	or(&c.MaxSessions, 20)
	or(&c.MaxWaiting, 100_000)
	or(&c.MailFloor, 5*time.Millisecond)
	or(&c.MinPassword, 12)
	or(&c.Derivations, min(runtime.GOMAXPROCS(0), 4))
	or(&c.MaxQueue, 64)
	if c.Witness == nil {
		c.Witness = func(ctx context.Context, k KeyChange, fn func(tx store.Tx) error) error {
			return c.DB.Update(ctx, k.Account, fn)
		}
	}
	c.Throttle = c.Throttle.withDefaults()
	return c
}

// or gives a field that holds the zero value its default.
func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Service signs people and mail clients in. All methods may run at once.
type Service struct {
	cfg      Config
	secret   [32]byte // keys what is kept of codes and of mail passwords
	pool     pool
	throttle *throttle
	wrong    *secretSums
	right    *secretSums
	doors    *doors
	watches  *watches
	open     *openKeys
	changing [changeLocks]sync.Mutex // of an account, by its owner
}

// New returns a Service. It writes one small account of nobody into the store,
// if it is not there yet. A Config that lacks what is required is an error of
// kind Invalid.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Names == nil || cfg.Sender == nil || cfg.Now == nil {
		return nil, errs.New(errs.Invalid, "signin needs DB, Names, Sender and Now")
	}
	s := &Service{cfg: cfg.withDefaults()}
	rand.Read(s.secret[:]) // never fails
	s.pool = newPool(s.cfg.Derivations, s.cfg.MaxQueue)
	s.throttle = newThrottle(s.cfg.Throttle)
	s.wrong, s.right = newSecretSums(wrongFor, s.cfg.Throttle.MaxEntries), newSecretSums(rightFor, s.cfg.Throttle.MaxEntries)
	s.doors = newDoors()
	s.watches = newWatches()
	s.open = newOpenKeys()
	return s, s.addDecoy(context.Background())
}

// Run ends, every minute, the sessions and codes whose time is over, so that
// opened keys do not stay in memory; until ctx ends. Calls of the Service do
// the same, but only when somebody calls.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.Sweep()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
