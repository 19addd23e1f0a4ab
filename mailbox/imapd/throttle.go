package imapd

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// throttle makes whoever fails to sign in wait longer and longer for the
// answer, by address and account together: neither a stranger's guesses nor a
// neighbour behind the same address locks anybody out of their own account.
type throttle struct {
	base, most, memory time.Duration
	max                int
	now                func() time.Time
	seed               maphash.Seed

	mu   sync.Mutex
	keys map[throttleKey]*failures
}

type throttleKey struct {
	addr    netip.Addr
	account uint64 // keyed hash of the name given
}

type failures struct {
	count int
	next  time.Time // the earliest moment of the next answer
	last  time.Time
}

func newThrottle(cfg Config) *throttle {
	return &throttle{
		base: cfg.FailureDelay, most: cfg.FailureDelayMax, memory: cfg.FailureMemory,
		max: cfg.MaxFailureKeys, now: cfg.Now, seed: maphash.MakeSeed(),
		keys: make(map[throttleKey]*failures),
	}
}

func (t *throttle) key(addr netip.Addr, account string) throttleKey {
	return throttleKey{addr, maphash.String(t.seed, strings.ToLower(account))}
}

// reserve returns how long a failed attempt's answer must wait. Those of
// attempts made side by side get moments one after the other; ok is false for
// one that would have to wait longer than the longest delay.
func (t *throttle) reserve(k throttleKey) (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.keys[k]
	now := t.now()
	if f == nil || now.Sub(f.last) > t.memory {
		return 0, true
	}
	at := f.next
	if at.Before(now) {
		at = now
	}
	if wait = at.Sub(now); wait > t.most {
		return 0, false
	}
	f.next = at.Add(t.delay(f.count))
	return wait, true
}

// delay returns the wait after a number of failures.
func (t *throttle) delay(count int) time.Duration {
	d := t.base
	for i := 1; i < count && d < t.most; i++ {
		d *= 2
	}
	return min(d, t.most)
}

// failed notes a failed attempt.
func (t *throttle) failed(k throttleKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	f := t.keys[k]
	if f == nil || now.Sub(f.last) > t.memory {
		t.makeRoom(now)
		f = &failures{}
		t.keys[k] = f
	}
	f.count++
	f.last = now
	if next := now.Add(t.delay(f.count)); next.After(f.next) {
		f.next = next
	}
}

// succeeded forgets the pair's failures.
func (t *throttle) succeeded(k throttleKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, k)
}

// makeRoom keeps the table within its bound: what is too old goes, and, where
// that is not enough, whatever comes first.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.keys) < t.max {
		return
	}
	for k, f := range t.keys {
		if now.Sub(f.last) > t.memory {
			delete(t.keys, k)
		}
	}
	for k := range t.keys {
		if len(t.keys) < t.max {
			return
		}
		delete(t.keys, k)
	}
}
