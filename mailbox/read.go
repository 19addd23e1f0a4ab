package mailbox

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"pli/certs/keyring"
	"pli/mailbox/message"
	"pli/store"
)

// Message returns one message with its index, or errs.NotFound.
func (v *View) Message(ctx context.Context, uid UID) (m Message, err error) {
	found := false
	err = v.Messages(ctx, []UID{uid}, true, func(got Message) error {
		m, found = got, true
		return nil
	})
	if err == nil && !found {
		err = errNoMessage()
	}
	return m, err
}

// Messages calls fn for each message of uids (nil: all) that the view numbers
// and that is still there, in the order of uids. Index is set if withIndex, but
// for its Text, which is for Search alone. A message whose index does not open
// is handed over as Damaged. fn may use the view and take its time. An error of
// fn ends it and is returned.
func (v *View) Messages(ctx context.Context, uids []UID, withIndex bool, fn func(Message) error) error {
	rows, names, known := v.rows(uids), make(map[bits][]Flag), v.a.sh.known()
	if !withIndex {
		for i := range rows {
			if err := fn(v.message(&rows[i], known, names)); err != nil {
				return err
			}
		}
		return nil
	}
	sw := &sweep{a: v.a, box: v.id, rows: rows, decode: true, whole: v.holdsAll(rows)}
	return sw.run(ctx, func(i int, o *openedIndex) error {
		m := v.message(&rows[i], known, names)
		m.Index, m.Damaged = o.index, o.damaged
		return fn(m)
	})
}

// holdsAll reports whether rows, which are the view's, are all of the box.
func (v *View) holdsAll(rows []row) bool {
	v.a.sh.mu.Lock()
	defer v.a.sh.mu.Unlock()
	return len(rows) == len(v.t.rows) && slices.IsSortedFunc(rows, func(a, b row) int { return cmp.Compare(a.uid, b.uid) })
}

// Bounds of what is read at a time.
const (
	sweepRows  = 1024    // messages of one stretch: 8 full index pages
	batchRows  = 128     // messages opened by themselves in one view of the store, on all processors
	batchBytes = 1 << 20 // and bytes of them
	leastPaged = 4       // messages for which a page is opened rather than each by itself
	keptRows   = 512     // messages of one request, above which their indexes are not kept
)

// openedIndex is one message's index on its way to whoever asked.
type openedIndex struct {
	there   bool
	index   *message.Index // nil: it is in item, and nobody asked to have it decoded
	item    *item          // of an index page, nil if it was not read from one
	damaged bool           // index is a stand-in

	sealed stored
	made   *item // for a page, where pages are to be made
}

// sweep opens the indexes of rows, stretch by stretch: from index pages where
// there are any, else one by one.
type sweep struct {
	a      *Account
	box    boxID
	rows   []row
	text   bool // with their Text, which index pages have not
	decode bool // also those in index pages
	make   bool // items for pages, of those that are opened by themselves
	whole  bool // rows are all of the box by ascending UID: what pages lack is written
	pages  []blockWrite
	size   int
}

// run calls fn for each message that is there, by its place in rows.
func (s *sweep) run(ctx context.Context, fn func(i int, o *openedIndex) error) error {
	for at := 0; at < len(s.rows); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := s.stretch(s.rows[at:])
		rows := s.rows[at : at+n]
		opened := make([]openedIndex, n)
		if err := s.open(ctx, rows, opened); err != nil {
			return err
		}
		for i := range opened {
			if !opened[i].there {
				continue
			}
			if err := fn(at+i, &opened[i]); err != nil {
				return err
			}
		}
		at += n
	}
	s.flush(ctx, 0)
	return nil
}

// stretch returns how many of rows are opened next: about sweepRows, up to the
// end of a page.
func (s *sweep) stretch(rows []row) int {
	n := min(len(rows), sweepRows)
	for s.whole && n < len(rows) && blockOf(rows[n].uid) == blockOf(rows[n-1].uid) {
		n++
	}
	return n
}

// group is a run of rows that belong to one index page.
type group struct {
	from, to int
	page     indexPage
	err      error // errPage, errNewerPage
}

func (s *sweep) open(ctx context.Context, rows []row, opened []openedIndex) error {
	if !s.text && !s.whole {
		for i := range rows {
			opened[i].index = s.a.s.cache.get(s.a.sh, rows[i].id)
			opened[i].there = opened[i].index != nil
		}
	}
	groups, err := s.fromPages(ctx, rows, opened)
	if err != nil {
		return err
	}
	if err := s.fromMessages(ctx, rows, opened); err != nil {
		return err
	}
	if s.whole {
		for _, g := range groups {
			s.mend(ctx, g, rows[g.from:g.to], opened[g.from:g.to])
		}
	}
	return nil
}

// fromPages fills in what index pages have.
func (s *sweep) fromPages(ctx context.Context, rows []row, opened []openedIndex) ([]*group, error) {
	var groups []*group
	for from := 0; from < len(rows); {
		to, missing := from, 0
		for ; to < len(rows) && blockOf(rows[to].uid) == blockOf(rows[from].uid); to++ {
			if !opened[to].there {
				missing++
			}
		}
		if missing >= leastPaged || s.whole && missing > 0 {
			groups = append(groups, &group{from: from, to: to})
		}
		from = to
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range groups {
		g.Go(func() error { return s.fromPage(ctx, p, rows[p.from:p.to], opened[p.from:p.to]) })
	}
	return groups, g.Wait()
}

func (s *sweep) fromPage(ctx context.Context, g *group, rows []row, opened []openedIndex) error {
	block := blockOf(rows[0].uid)
	err := s.a.s.cfg.DB.View(ctx, s.a.Owner(), func(tx store.Tx) (err error) {
		g.page, err = s.a.loadPage(tx, s.box, block)
		return err
	})
	if g.err = err; errors.Is(err, errPage) {
		s.a.dropBlock(ctx, s.box, block)
		return nil
	} else if errors.Is(err, errNewerPage) {
		return nil
	} else if err != nil {
		return err
	}
	at := 0
	for i := range rows {
		for at < len(g.page.items) && g.page.items[at].uid < rows[i].uid {
			at++
		}
		if at == len(g.page.items) {
			break
		}
		it := &g.page.items[at]
		if it.uid != rows[i].uid || it.id != rows[i].id || opened[i].there {
			continue
		}
		opened[i].item = it
		if it.index == nil || s.text {
			continue // its key is of use
		}
		if opened[i].there = true; s.decode {
			opened[i].index = new(message.Index)
			if err := store.Decode(it.index, opened[i].index); err != nil {
				opened[i] = openedIndex{}
			}
		}
	}
	return nil
}

// fromMessages opens, each by itself, those that are still missing.
func (s *sweep) fromMessages(ctx context.Context, rows []row, opened []openedIndex) error {
	for at := 0; at < len(rows); {
		if opened[at].there {
			at++
			continue
		}
		n, err := s.batch(ctx, rows[at:], opened[at:])
		if err != nil {
			return err
		}
		s.openAll(rows[at:at+n], opened[at:at+n])
		at += n
	}
	return nil
}

// batch reads the next few messages, still sealed.
func (s *sweep) batch(ctx context.Context, rows []row, opened []openedIndex) (n int, err error) {
	err = s.a.s.cfg.DB.View(ctx, s.a.Owner(), func(tx store.Tx) error {
		size := 0
		for n = 0; n < min(len(rows), batchRows) && size < batchBytes; n++ {
			o := &opened[n]
			if o.there {
				continue
			}
			var err error
			o.sealed, err = store.Load[stored](tx, keyOf(partStored, rows[n].id))
			o.damaged = errors.Is(err, store.ErrCorrupt)
			if err != nil && !o.damaged && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			size += len(o.sealed.Index)
		}
		return nil
	})
	return n, err
}

// openAll opens what of a batch is still sealed.
func (s *sweep) openAll(rows []row, opened []openedIndex) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	const stride = 16 // messages a goroutine takes at a time
	for from := 0; from < len(opened); from += stride {
		to := min(from+stride, len(opened))
		open := func() error {
			for i := from; i < to; i++ {
				s.openOne(&rows[i], &opened[i])
			}
			return nil
		}
		if len(opened) <= stride {
			open()
			return
		}
		g.Go(open)
	}
	g.Wait()
}

func (s *sweep) openOne(r *row, o *openedIndex) {
	if o.there || !o.damaged && o.sealed.PKESK == nil {
		return // from a page, or gone
	}
	o.there = true
	key, packed, err := s.a.unseal(r.id, o)
	var ix message.Index
	if err == nil {
		err = store.Decode(packed, &ix)
	}
	if err != nil {
		s.a.s.cfg.Log.Error("a message's index does not open", "owner", string(s.a.Owner()), "message", r.id.String(), "err", err)
		o.index, o.damaged = standIn(r.size), true
		return
	}
	o.index, o.sealed = &ix, stored{}
	if s.whole || s.make {
		if it, err := newItem(r, key, &ix); err == nil {
			o.made = &it
		}
	}
	if !s.text {
		size := int64(len(packed)-len(ix.Text))*3 + 512 // the decoded form is about so much larger
		ix.Text = ""
		if len(s.rows) <= keptRows {
			s.a.s.cache.put(s.a.sh, &kept{id: r.id, index: &ix, size: size})
		}
	}
}

// unseal opens a message's index, by the session key that a page has or else by
// its own wrap.
func (a *Account) unseal(id messageID, o *openedIndex) (key keyring.SessionKey, packed []byte, err error) {
	if o.damaged {
		return key, nil, store.ErrCorrupt
	}
	if o.item != nil {
		if packed, err = o.item.key.Open(o.sealed.Index); err == nil {
			return o.item.key, packed, nil
		}
	}
	if key, err = a.sessionKey(id, o.sealed.PKESK); err == nil {
		packed, err = key.Open(o.sealed.Index)
	}
	return key, packed, err
}

// sessionKey returns what opens a message: 35 µs the first time.
func (a *Account) sessionKey(id messageID, pkesk []byte) (keyring.SessionKey, error) {
	if key, ok := a.s.cache.key(a.sh, id, pkesk); ok {
		return key, nil
	}
	key, err := a.keys.Unwrap(pkesk)
	if err == nil {
		a.s.cache.putKey(a.sh, id, pkesk, key)
	}
	return key, err
}
