package mailbox

import (
	"context"
	"slices"
	"sync"

	"pli/store"
)

// shared is what all sessions on one owner's mail have in common. Its mutex is
// held for moments only, never across a call of the store and never taken
// inside a transaction's function: commits wait for it when they tell what they
// did.
type shared struct {
	s     *Service
	owner store.Owner
	refs  int // under s.mu

	mu       sync.Mutex
	tables   map[boxID]*table
	accounts map[*Account]struct{}
	keywords []string // append-only

	touched touched
	pass    *pass  // nil: none is due
	paged   uint32 // the generation of keys of the latest pass over everything
}

// hold returns the owner's shared part, counted once more.
func (s *Service) hold(owner store.Owner) *shared {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.live[owner]
	if sh == nil {
		sh = &shared{s: s, owner: owner, tables: make(map[boxID]*table), accounts: make(map[*Account]struct{})}
		s.live[owner] = sh
	}
	sh.refs++
	return sh
}

// release counts once less; with the last one, tables and opened indexes go.
func (sh *shared) release() {
	sh.s.mu.Lock()
	defer sh.s.mu.Unlock()
	if sh.refs--; sh.refs == 0 {
		delete(sh.s.live, sh.owner)
		sh.s.cache.drop(sh)
	}
}

// tell lets open sessions hear of a transaction's changes once it is committed.
func (s *Service) tell(tx store.Tx, keywords []string, deltas ...*delta) {
	owner := tx.Owner()
	tx.AfterCommit(func() { s.publish(owner, keywords, deltas) })
}

// publish brings the tables of open sessions up to date and wakes them. It runs
// where commits are made, so it does not block and does nothing long.
func (s *Service) publish(owner store.Owner, keywords []string, deltas []*delta) {
	s.mu.RLock()
	sh := s.live[owner]
	s.mu.RUnlock()
	if sh != nil {
		sh.apply(keywords, deltas)
	}
	if s.cfg.Hub != nil {
		s.cfg.Hub.Publish(owner)
	}
}

func (sh *shared) apply(keywords []string, deltas []*delta) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.learn(keywords)
	for _, d := range deltas {
		if d == nil {
			continue
		}
		sh.touchDelta(d)
		if t := sh.tables[d.box]; t != nil {
			t.take(d)
			t.wake(d.author)
		}
	}
	for a := range sh.accounts {
		signal(a.changed)
	}
}

// learn keeps the longest list of keywords: it only ever grows at its end.
func (sh *shared) learn(keywords []string) {
	if len(keywords) > len(sh.keywords) {
		sh.keywords = slices.Clone(keywords)
	}
}

// known returns the account's keywords as far as they are known here.
func (sh *shared) known() []string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.keywords
}

// signal wakes whoever waits on c, which has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// table returns a box's table, loaded and up to date with every commit that has
// returned, or errs.NotFound.
func (sh *shared) table(ctx context.Context, id boxID) (*table, error) {
	sh.mu.Lock()
	t := sh.tables[id]
	if t == nil {
		t = &table{views: make(map[*View]struct{})}
		sh.tables[id] = t
	}
	sh.mu.Unlock()
	return t, sh.fresh(ctx, id, t)
}

// fresh loads a table that was never loaded or that missed a change.
func (sh *shared) fresh(ctx context.Context, id boxID, t *table) error {
	t.loading.Lock()
	defer t.loading.Unlock()
	for range 3 { // a change told while it was read may need a second reading
		sh.mu.Lock()
		ok := t.loaded && !t.stale && len(t.ahead) == 0
		t.stale = false // what is missed from here on sets it again
		sh.mu.Unlock()
		if ok {
			return nil
		}
		l, err := sh.s.load(ctx, sh.owner, id)
		if err != nil {
			sh.mu.Lock()
			t.stale = true
			sh.mu.Unlock()
			return err
		}
		sh.mu.Lock()
		sh.learn(l.keywords)
		t.install(l)
		sh.mu.Unlock()
	}
	return nil
}

// maxIdleRows is how many messages' rows an account keeps in tables that no
// view looks at: about 5 MB.
const maxIdleRows = 64 << 10

// trim drops tables that no view looks at, while they are too large together.
// The caller holds sh.mu.
func (sh *shared) trim() {
	rows := 0
	for id, t := range sh.tables {
		if len(t.views) > 0 || !t.loaded {
			continue
		}
		if rows += len(t.rows); rows > maxIdleRows || t.c.Dead {
			delete(sh.tables, id)
		}
	}
}
