package signin

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"pli/store"
)

// sweepEvery is how often what is over is looked for.
const sweepEvery = time.Minute

// doors is what is open just now: challenges that wait for their code, and
// sessions, by the hashes of their tokens.
type doors struct {
	mu         sync.Mutex
	challenges map[[32]byte]*waiting
	sessions   map[[32]byte]*session
	codes      map[store.Owner][][32]byte // challenges of an account, oldest first
	members    map[store.Owner][][32]byte // sessions of an account, oldest first
	swept      time.Time
}

func newDoors() *doors {
	return &doors{
		challenges: make(map[[32]byte]*waiting), sessions: make(map[[32]byte]*session),
		codes: make(map[store.Owner][][32]byte), members: make(map[store.Owner][][32]byte),
	}
}

// session is a signed-in person's, as it is kept.
type session struct {
	Session // without its token
	id      string
	remote  netip.Addr
}

// addChallenge keeps a challenge, and drops the oldest of the same account
// beyond most. It reports false if there is no room in all.
func (d *doors) addChallenge(key [32]byte, w *waiting, most, room int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.challenges) >= room {
		return false
	}
	owner := w.owner
	for len(d.codes[owner]) >= most {
		d.forgetChallenge(d.codes[owner][0], true)
	}
	d.challenges[key] = w
	d.codes[owner] = append(d.codes[owner], key)
	return true
}

func (d *doors) dropChallenge(key [32]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forgetChallenge(key, true)
}

// login returns the login of a recovery that waits for its code.
func (d *doors) login(key [32]byte) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.challenges[key]
	if w == nil || !w.recovery {
		return "", false
	}
	return w.profile.Login, true
}

// forgetChallenge takes a challenge away; the caller holds the lock.
func (d *doors) forgetChallenge(key [32]byte, wipe bool) {
	w := d.challenges[key]
	if w == nil {
		return
	}
	delete(d.challenges, key)
	drop(d.codes, w.owner, key)
	if wipe {
		w.keys.Wipe()
	}
}

// drop takes a key out of an owner's list.
func drop(m map[store.Owner][][32]byte, owner store.Owner, key [32]byte) {
	left := slices.DeleteFunc(m[owner], func(k [32]byte) bool { return k == key })
	if len(left) == 0 {
		delete(m, owner)
		return
	}
	m[owner] = left
}

// answer tries a code. A right one takes the challenge; the last wrong one too.
// A wrong one returns the challenge along with the error. One of the other sort
// is none.
func (d *doors) answer(key, code [32]byte, now time.Time, tries int, recovery bool) (*waiting, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.challenges[key]
	if w == nil || w.recovery != recovery {
		return nil, ErrOver
	}
	if !now.Before(w.until) {
		d.forgetChallenge(key, true)
		return nil, ErrOver
	}
	if sameHash(w.code, code) {
		d.forgetChallenge(key, false)
		return w, nil
	}
	if w.tries++; w.tries >= tries {
		d.forgetChallenge(key, true)
		return w, ErrOver
	}
	return w, ErrCode
}

// addSession keeps a session, and ends the longest unused of the same account
// beyond most. It reports false if there is no room in all.
func (d *doors) addSession(key [32]byte, s *session, most, room int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sessions) >= room {
		return false
	}
	owner := s.Account
	for len(d.members[owner]) >= most {
		d.forgetSession(slices.MinFunc(d.members[owner], func(a, b [32]byte) int {
			return d.sessions[a].Seen.Compare(d.sessions[b].Seen)
		}))
	}
	d.sessions[key] = s
	d.members[owner] = append(d.members[owner], key)
	return true
}

// in reports whether an account has a session.
func (d *doors) in(owner store.Owner) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.members[owner]) > 0
}

// forgetSession takes a session away; the caller holds the lock. Its keys are
// not wiped: what is still being answered for it may use them to its end.
func (d *doors) forgetSession(key [32]byte) {
	if s := d.sessions[key]; s != nil {
		delete(d.sessions, key)
		drop(d.members, s.Account, key)
	}
}

// sweep ends what is over.
func (d *doors) sweep(now time.Time, over func(*session) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.swept = now
	for key, w := range d.challenges {
		if !now.Before(w.until) {
			d.forgetChallenge(key, true)
		}
	}
	for key, s := range d.sessions {
		if over(s) {
			d.forgetSession(key)
		}
	}
}

// due reports whether the last sweep was long ago.
func (d *doors) due(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Sub(d.swept) >= sweepEvery || now.Before(d.swept)
}
