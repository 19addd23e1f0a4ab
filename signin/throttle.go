package signin

import (
	"container/list"
	"context"
	"crypto/sha256"
	"math"
	"net/netip"
	"sync"
	"time"

	"pli/internal/errs"
)

// ThrottleConfig says how failed sign-ins slow down those that follow. Beyond
// the free failures each one doubles the wait, from First to the most that its
// kind of key has. What is refused while waiting costs nothing and does not
// lengthen the wait, so that nobody keeps a holder out for good; and a place
// from which a login has signed in before is counted apart from what others
// try on that login.
type ThrottleConfig struct {
	First      time.Duration // the first wait; default 1 second
	Forget     time.Duration // in which as many failures as are free are forgotten; default 1 hour
	MaxEntries int           // keys remembered, beyond which the longest unused is forgotten; default 100 000

	LoginFree  int           // failures of one login; default 10
	LoginMax   time.Duration // default 1 minute
	PlaceFree  int           // failures of one login from one place; default 5
	RemoteFree int           // failures from one place; default 50
	RemoteMax  time.Duration // default 15 minutes
	Known      time.Duration // how long a place is known after a sign-in; default 30 days
}

func (c ThrottleConfig) withDefaults() ThrottleConfig {
	or(&c.First, time.Second)
	or(&c.Forget, time.Hour)
	or(&c.MaxEntries, 100_000)
	or(&c.LoginFree, 10)
	or(&c.LoginMax, time.Minute)
	or(&c.PlaceFree, 5)
	or(&c.RemoteFree, 50)
	or(&c.RemoteMax, 15*time.Minute)
	or(&c.Known, 30*24*time.Hour)
	return c
}

type remoteKey struct{}

// From returns a context that tells the network address from which a call
// comes. Without it, failures are counted by login alone.
func From(ctx context.Context, remote netip.Addr) context.Context {
	return context.WithValue(ctx, remoteKey{}, remote.Unmap())
}

// remoteOf returns the address that From told.
func remoteOf(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(remoteKey{}).(netip.Addr)
	return a
}

// place returns the network that an address stands for: itself, or the /64 of
// an IPv6 address, which one household or machine has whole.
func place(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// limit is one key under which failures are counted.
type limit struct {
	key  [16]byte
	free int
	most time.Duration
}

func keyOf(kind, a, b string) (k [16]byte) {
	sum := sha256.Sum256([]byte(kind + "\x00" + a + "\x00" + b))
	copy(k[:], sum[:])
	return k
}

// failures is what a key has had.
type failures struct {
	key   [16]byte
	n     float64   // failures, less those forgotten up to at
	at    time.Time // of n
	last  time.Time // failure
	known time.Time // the last sign-in, for a login at a place
}

// throttle counts failures by key, in bounded memory.
type throttle struct {
	cfg  ThrottleConfig
	mu   sync.Mutex
	keys map[[16]byte]*list.Element // of *failures
	lru  *list.List                 // most lately used first
}

func newThrottle(cfg ThrottleConfig) *throttle {
	return &throttle{cfg: cfg, keys: make(map[[16]byte]*list.Element), lru: list.New()}
}

// login returns the limits of a try at a login, from where ctx says.
func (t *throttle) login(ctx context.Context, login string) []limit {
	all := limit{keyOf("login", login, ""), t.cfg.LoginFree, t.cfg.LoginMax}
	remote := remoteOf(ctx)
	if !remote.IsValid() {
		return []limit{all}
	}
	return []limit{t.at(login, place(remote)), all, t.remote(remote)}
}

func (t *throttle) at(login, place string) limit {
	return limit{keyOf("place", login, place), t.cfg.PlaceFree, t.cfg.LoginMax}
}

func (t *throttle) remote(remote netip.Addr) limit {
	return limit{keyOf("remote", place(remote), ""), t.cfg.RemoteFree, t.cfg.RemoteMax}
}

// turn is a try that was counted as failed in advance, so that tries side by
// side count too.
type turn struct {
	t      *throttle
	limits []limit
}

// errWait is returned to whoever must wait.
var errWait = errs.New(errs.Unavailable, "too many failed sign-ins: wait a little, then try again")

// take counts a try under all limits, or returns errWait if one of them says
// to wait. Where the first is a place that the login is known at, the others
// do not count.
func (t *throttle) take(now time.Time, limits ...limit) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(limits) > 1 {
		if f := t.find(limits[0].key); f != nil && !f.known.IsZero() && now.Sub(f.known) < t.cfg.Known {
			limits = limits[:1]
		}
	}
	for _, l := range limits {
		if f := t.find(l.key); f != nil && t.wait(f, l, now) > 0 {
			return nil, errWait
		}
	}
	for _, l := range limits {
		f := t.touch(l.key)
		t.forget(f, l, now)
		f.n, f.last = min(f.n+1, float64(l.free+maxDoublings)), now
	}
	return &turn{t, limits}, nil
}

// maxDoublings bounds how far failures add up: First doubled so often is above
// every limit that makes sense.
const maxDoublings = 12

// forget takes from f what time has taken.
func (t *throttle) forget(f *failures, l limit, now time.Time) {
	if passed := now.Sub(f.at); passed > 0 && !f.at.IsZero() {
		f.n = max(0, f.n-float64(l.free)*passed.Seconds()/t.cfg.Forget.Seconds())
	}
	f.at = now
	if now.Before(f.last) { // the clock was put back
		f.last = now
	}
}

// wait returns how long a key must still wait.
func (t *throttle) wait(f *failures, l limit, now time.Time) time.Duration {
	t.forget(f, l, now)
	over := int(math.Ceil(f.n)) - l.free
	if over < 0 {
		return 0
	}
	return max(0, min(l.most, t.cfg.First<<over)-now.Sub(f.last))
}

// find returns what is remembered of a key, nil if nothing.
func (t *throttle) find(key [16]byte) *failures {
	if e := t.keys[key]; e != nil {
		return e.Value.(*failures)
	}
	return nil
}

// touch returns what is remembered of a key, and makes it the latest used.
func (t *throttle) touch(key [16]byte) *failures {
	if e := t.keys[key]; e != nil {
		t.lru.MoveToFront(e)
		return e.Value.(*failures)
	}
	f := &failures{key: key}
	t.keys[key] = t.lru.PushFront(f)
	if t.lru.Len() > t.cfg.MaxEntries {
		delete(t.keys, t.lru.Remove(t.lru.Back()).(*failures).key)
	}
	return f
}

// giveBack takes back what take counted: the try did not fail. Nil is a try
// that was not counted.
func (u *turn) giveBack() {
	if u == nil {
		return
	}
	u.t.mu.Lock()
	defer u.t.mu.Unlock()
	for _, l := range u.limits {
		if f := u.t.find(l.key); f != nil {
			f.n = max(0, f.n-1)
		}
	}
}

// welcome forgets the failures of a login that has signed in, and remembers
// from where.
func (t *throttle) welcome(now time.Time, login string, remote netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.find(keyOf("login", login, "")); f != nil {
		f.n = 0
	}
	if remote.IsValid() {
		f := t.touch(t.at(login, place(remote)).key)
		f.n, f.known = 0, now
	}
}

// clear forgets the failures of a key.
func (t *throttle) clear(key [16]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.find(key); f != nil {
		f.n = 0
	}
}
