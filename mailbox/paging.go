package mailbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"pli/store"
)

// A pass makes an account's pages agree with its mail, in the background of its
// sessions. The first session's pass looks at every box that changed since its
// last one; later ones at what was added or removed. One begins PageDelay after
// the last such change, and at most maxPageDelays of them after the first. So
// the text of an expunged message leaves its page within that time while
// anybody is signed in, else with the next session's first pass.
type pass struct {
	sh      *shared
	ctx     context.Context
	stop    context.CancelFunc
	done    chan struct{}
	has     bool     // one of Service.passes
	account *Account // whose keys it uses, under shared.mu; nil while it waits
}

// maxPageDelays is for how many PageDelays a pass waits for quiet.
const maxPageDelays = 15

// touched is what a pass is to look at, under shared.mu.
type touched struct {
	all    bool
	blocks map[boxID]map[UID]struct{}
	again  bool // touched since somebody looked
}

func (t *touched) empty() bool { return !t.all && len(t.blocks) == 0 }

func (t *touched) add(box boxID, uid UID) {
	if t.blocks == nil {
		t.blocks = make(map[boxID]map[UID]struct{})
	}
	if t.blocks[box] == nil {
		t.blocks[box] = make(map[UID]struct{})
	}
	t.blocks[box][blockOf(uid)] = struct{}{}
	t.again = true
}

// touch has a pass look at the page of a UID.
func (sh *shared) touch(box boxID, uid UID) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.touched.add(box, uid)
	sh.kick()
}

// touchDelta has a pass look at what a commit added and removed. The caller
// holds sh.mu.
func (sh *shared) touchDelta(d *delta) {
	for i := range d.added {
		sh.touched.add(d.box, d.added[i].uid)
	}
	for _, uid := range d.removed {
		sh.touched.add(d.box, uid)
	}
	sh.kick()
}

// kick begins a pass if one is due. The caller holds sh.mu.
func (sh *shared) kick() {
	if sh.pass != nil || sh.touched.empty() || len(sh.accounts) == 0 {
		return
	}
	p := &pass{sh: sh, done: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(context.Background())
	sh.pass = p
	go p.run()
}

// leave ends a pass that uses the account's keys, or that has no account left,
// and begins it anew with another's. The account has left sh.accounts.
func (sh *shared) leave(a *Account) {
	sh.mu.Lock()
	p := sh.pass
	if p == nil || p.account != a && len(sh.accounts) > 0 {
		sh.mu.Unlock()
		return
	}
	p.stop()
	sh.mu.Unlock()
	<-p.done
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.kick()
}

// Paged waits until no pass is due: lists and searches then find everything in
// pages, and what could be read of attachments is searched.
func (a *Account) Paged(ctx context.Context) error {
	for {
		a.sh.mu.Lock()
		p := a.sh.pass
		a.sh.mu.Unlock()
		if p == nil {
			return nil
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Reading reports whether a pass is due or at work: a search may not yet see
// the text of attachments that came last.
func (a *Account) Reading() bool {
	a.sh.mu.Lock()
	defer a.sh.mu.Unlock()
	return a.sh.pass != nil
}

// run waits and works until nothing is touched. After a failure it ends; what it
// had to do waits for the next.
func (p *pass) run() {
	defer close(p.done)
	defer p.stop()
	for going := true; going; {
		a, work := (*Account)(nil), touched{}
		if p.quiet() && p.turn() {
			a, work = p.take()
		}
		var err error
		if a != nil {
			err = p.work(a, work)
		}
		if err != nil && p.ctx.Err() == nil {
			a.s.cfg.Log.Warn("index pages could not be written", "owner", string(p.sh.owner), "err", err)
		}
		going = p.goesOn(work, a != nil && err == nil)
	}
}

// turn waits until few enough others are at work.
func (p *pass) turn() bool {
	select {
	case p.sh.s.passes <- struct{}{}:
		p.has = true
		return true
	case <-p.ctx.Done():
		return false
	}
}

// quiet waits until nothing was touched for PageDelay, and reports whether the
// pass goes on.
func (p *pass) quiet() bool {
	for range maxPageDelays {
		select {
		case <-p.ctx.Done():
			return false
		case <-time.After(p.sh.s.cfg.PageDelay):
		}
		p.sh.mu.Lock()
		again := p.sh.touched.again
		p.sh.touched.again = false
		p.sh.mu.Unlock()
		if !again {
			break
		}
	}
	return true
}

// take takes over what is touched, and the account with the newest keys.
func (p *pass) take() (*Account, touched) {
	p.sh.mu.Lock()
	defer p.sh.mu.Unlock()
	for a := range p.sh.accounts {
		if p.account == nil || a.keys.Generation() > p.account.keys.Generation() {
			p.account = a
		}
	}
	if p.account == nil {
		return nil, touched{}
	}
	work := p.sh.touched
	p.sh.touched = touched{}
	return p.account, work
}

// goesOn ends a round, and reports whether there is another. What was not done
// is put back.
func (p *pass) goesOn(work touched, done bool) bool {
	if p.has {
		<-p.sh.s.passes
		p.has = false
	}
	p.sh.mu.Lock()
	defer p.sh.mu.Unlock()
	p.account = nil
	if !done {
		p.sh.touched.all = p.sh.touched.all || work.all
		for box, blocks := range work.blocks {
			for uid := range blocks {
				p.sh.touched.add(box, uid)
			}
		}
	}
	if !done || p.sh.touched.empty() {
		p.sh.pass = nil
		return false
	}
	return true
}

func (p *pass) work(a *Account, work touched) error {
	if work.all {
		if err := p.everything(a); err != nil {
			return err
		}
	}
	for box, blocks := range work.blocks {
		for block := range blocks {
			if err := a.pageBlock(p.ctx, box, block); err != nil {
				return err
			}
		}
	}
	return nil
}

// paged is the record of how far a box's pages are whole.
type paged struct {
	ModSeq     uint64 `cbor:"1,keyasint"` // of the box, when all of it was
	Generation uint32 `cbor:"2,keyasint"` // of the keys that its pages are sealed under
}

// everything looks at all boxes that changed, and drops the pages of those that
// are gone.
func (p *pass) everything(a *Account) error {
	d, err := a.directory(p.ctx)
	if err != nil {
		return err
	}
	if err := a.dropBoxes(p.ctx, d); err != nil {
		return err
	}
	for _, l := range d.Boxes {
		if err := p.box(a, l.ID); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) box(a *Account, id boxID) error {
	now := paged{Generation: a.keys.Generation()}
	var blocks []UID
	err := a.s.cfg.DB.View(p.ctx, a.Owner(), func(tx store.Tx) error {
		blocks = nil
		c, err := loadCounters(tx, id)
		if err != nil {
			return err
		}
		now.ModSeq = c.ModSeq
		was, err := store.Load[paged](tx, keyPaged(id))
		if err == nil && was == now {
			return nil
		}
		if err != nil && !lost(err) {
			return err
		}
		if err := scanEntries(tx, id, func(r row) error {
			blocks = append(blocks, blockOf(r.uid))
			return nil
		}); err != nil {
			return err
		}
		blocks = slices.Compact(blocks)
		prefix := append(keyPages(id), 'i')
		see := func(k []byte) error {
			blocks = append(blocks, uidOf(k))
			return nil
		}
		return store.ScanAround(tx, prefix, store.After(prefix), func(k, _ []byte) error { return see(k) }, func(d *store.Damage) error { return see(d.Key) })
	})
	if err != nil || blocks == nil {
		return err
	}
	slices.Sort(blocks)
	for _, block := range slices.Compact(blocks) {
		if err := a.pageBlock(p.ctx, id, block); err != nil {
			return err
		}
	}
	return a.update(p.ctx, func(tx store.Tx) error { return store.Save(tx, keyPaged(id), now) })
}

// dropBoxes drops the pages of boxes that are not in the directory.
func (a *Account) dropBoxes(ctx context.Context, d *directory) error {
	return a.s.dropPagesOf(ctx, a.Owner(), func(box boxID) bool { return d.byID(box) == nil })
}

// dropPagesOf drops all pages of some boxes, in transactions of bounded size.
func (s *Service) dropPagesOf(ctx context.Context, owner store.Owner, of func(boxID) bool) error {
	for from := boxID(0); ; {
		var keys [][]byte
		err := s.cfg.DB.View(ctx, owner, func(tx store.Tx) error {
			keys = nil
			see := func(k []byte) error {
				if len(k) < len(prefixPage)+4 {
					return nil
				}
				if box := boxID(binary.BigEndian.Uint32(k[len(prefixPage):])); !of(box) {
					from = box + 1
					return errSkip
				}
				if keys = append(keys, bytes.Clone(k)); len(keys) == chunk {
					return store.Stop
				}
				return nil
			}
			for {
				err := store.ScanAround(tx, keyPages(from), store.After([]byte(prefixPage)), func(k, _ []byte) error { return see(k) }, func(d *store.Damage) error { return see(d.Key) })
				if !errors.Is(err, errSkip) {
					return err
				}
				if len(keys) > 0 {
					return nil
				}
			}
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = s.cfg.DB.Update(ctx, owner, func(tx store.Tx) error {
			for _, k := range keys {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return full(err)
		}
	}
}

// errSkip ends a scan that goes on at the next box.
var errSkip = errors.New("mailbox: next box")

// dropBlock drops the pages of a block that do not open, and has them made anew.
func (a *Account) dropBlock(ctx context.Context, box boxID, block UID) {
	a.s.cfg.Log.Warn("an index page that does not open is made anew", "owner", string(a.Owner()))
	if err := a.update(ctx, func(tx store.Tx) error { return dropPages(tx, box, block) }); err != nil {
		a.s.cfg.Log.Warn("a damaged index page could not be dropped", "owner", string(a.Owner()), "err", err)
	}
	a.sh.touch(box, block)
}

// blockWrite is an index page, and text pages of its block, to be written.
type blockWrite struct {
	box   boxID
	block UID
	was   stamp  // of the index page that this one follows
	items []item // by ascending UID, none that is not there
	puts  []sealedPage
	drops [][]byte
}

type sealedPage struct{ key, sealed []byte }

// put seals a page into w.
func (w *blockWrite) put(a *Account, key, plain []byte) error {
	sealed, err := a.sealPage(key, plain)
	w.puts = append(w.puts, sealedPage{key, sealed})
	return err
}

// seal seals the index page itself.
func (w *blockWrite) seal(a *Account) error {
	return w.put(a, keyIndexPage(w.box, w.block), appendItems(nil, w.items))
}

// apply writes w, unless another session was first, or a message of it has been
// expunged since: its text must not come back.
func (w *blockWrite) apply(tx store.Tx) (bool, error) {
	now, err := tx.Get(keyIndexPage(w.box, w.block))
	if err != nil && !lost(err) || stampOf(now) != w.was {
		if lost(err) {
			err = nil
		}
		return false, err
	}
	for i := range w.items {
		e, err := store.Load[entry](tx, keyEntry(w.box, w.items[i].uid))
		if lost(err) || err == nil && !bytes.Equal(e.ID, w.items[i].id[:]) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	if w.was == (stamp{}) {
		if err := dropPages(tx, w.box, w.block); err != nil {
			return false, err
		}
	}
	for _, k := range w.drops {
		if err := tx.Delete(k); err != nil {
			return false, err
		}
	}
	for _, p := range w.puts {
		if err := tx.Put(p.key, p.sealed); err != nil {
			return false, err
		}
	}
	return true, nil
}

// write writes blocks in one transaction. Those that came too late are touched,
// and late reports whether there were any.
func (a *Account) write(ctx context.Context, blocks ...blockWrite) (late bool, err error) {
	var missed []*blockWrite
	err = a.update(ctx, func(tx store.Tx) error {
		missed = nil
		for i := range blocks {
			ok, err := blocks[i].apply(tx)
			if err != nil {
				return err
			}
			if !ok {
				missed = append(missed, &blocks[i])
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, w := range missed {
		a.sh.touch(w.box, w.block)
	}
	return len(missed) > 0, nil
}

// pageBytes is how much of pages one transaction writes, about.
const pageBytes = 4 << 20

// mend has a page written that lacks messages which the sweep has opened. What
// else a page may need is left to a pass.
func (s *sweep) mend(ctx context.Context, g *group, rows []row, opened []openedIndex) {
	if g.err != nil {
		return
	}
	w := blockWrite{box: s.box, block: blockOf(rows[0].uid), was: g.page.stamp}
	made, kept := 0, 0
	for i := range rows {
		switch o := &opened[i]; {
		case o.item != nil:
			w.items = append(w.items, *o.item)
			kept++
		case o.made != nil:
			w.items = append(w.items, *o.made)
			made++
		}
	}
	if kept < len(g.page.items) || w.was != (stamp{}) && g.page.gen != s.a.keys.Generation() {
		s.a.sh.touch(s.box, w.block)
		return
	}
	if made == 0 || w.seal(s.a) != nil {
		return
	}
	s.pages = append(s.pages, w)
	s.size += len(w.puts[0].sealed)
	s.flush(ctx, pageBytes)
}

// flush writes the pages that wait, if they are more than limit bytes.
func (s *sweep) flush(ctx context.Context, limit int) {
	if s.size <= limit {
		return
	}
	if _, err := s.a.write(ctx, s.pages...); err != nil {
		s.a.s.cfg.Log.Warn("index pages could not be written", "owner", string(s.a.Owner()), "err", err)
	}
	s.pages, s.size = nil, 0
}
