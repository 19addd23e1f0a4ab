package mailbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"pli/store"
)

// pageBlock makes the pages of one block agree with its mail. Errors: the
// store's, and the context's.
func (a *Account) pageBlock(ctx context.Context, box boxID, block UID) error {
	b := &paging{a: a, w: blockWrite{box: box, block: block}}
	drop := func(tx store.Tx) error { return dropPages(tx, box, block) }
	switch err := a.s.cfg.DB.View(ctx, a.Owner(), b.load); {
	case errors.Is(err, errNewerPage):
		return nil
	case errors.Is(err, errPage):
		if err := a.update(ctx, drop); err != nil {
			return err
		}
		b.old = indexPage{}
	case err != nil:
		return err
	}
	if len(b.rows) == 0 {
		return a.update(ctx, drop)
	}
	return b.run(ctx)
}

// paging is one pageBlock at work.
type paging struct {
	a     *Account
	w     blockWrite
	rows  []row
	old   indexPage
	items map[UID]*item // of the messages that are there
	anew  bool          // all is sealed again, under newer keys
	next  UID           // the first whose text is not yet looked at
	bytes int           // of w
	since time.Time     // of the last writing
}

// pageTime is for how long a block is kept before it is written: reading
// attachments may take long, and be cut short.
const pageTime = 2 * time.Second

// load reads the block's rows and its index page.
func (b *paging) load(tx store.Tx) error {
	b.rows = nil
	end := append(keyEntry(b.w.box, b.w.block+(pageUIDs-1)), 0)
	err := store.ScanAround(tx, keyEntry(b.w.box, b.w.block), end, func(k, v []byte) error {
		var e entry
		if store.Decode(v, &e) == nil && len(e.ID) == len(messageID{}) {
			b.rows = append(b.rows, e.row(uidOf(k)))
		}
		return nil
	}, nil)
	if err == nil {
		b.old, err = b.a.loadPage(tx, b.w.box, b.w.block)
	}
	return err
}

// run looks at the block's text pages one by one, and writes what changed.
func (b *paging) run(ctx context.Context) error {
	b.w.was, b.since = b.old.stamp, time.Now()
	b.anew = b.w.was != (stamp{}) && b.old.gen != b.a.keys.Generation()
	gone := b.sort()
	changed := false
	for first := b.w.block; first-b.w.block < pageUIDs; first += textUIDs {
		b.next = first + textUIDs
		done, err := b.texts(ctx, first, gone[first])
		if err != nil {
			return err
		}
		changed = changed || done
		if changed && (b.bytes > pageBytes || time.Since(b.since) > pageTime) {
			if late, err := b.flush(ctx); late || err != nil {
				return err
			}
			changed = false
		}
	}
	if !changed {
		return nil
	}
	_, err := b.flush(ctx)
	return err
}

// sort finds the items of the messages that are there, and says in which text
// pages there are others.
func (b *paging) sort() (gone map[UID]bool) {
	gone, b.items = make(map[UID]bool), make(map[UID]*item, len(b.rows))
	for i := range b.old.items {
		it := &b.old.items[i]
		at, ok := slices.BinarySearchFunc(b.rows, it.uid, func(r row, uid UID) int { return int(r.uid) - int(uid) })
		if ok && b.rows[at].id == it.id {
			b.items[it.uid] = it
		} else {
			gone[it.uid-it.uid%textUIDs] = true
		}
	}
	return gone
}

// texts makes the text page of the UIDs from first on agree with its mail, if it
// does not. gone says that it holds a message that is not there.
func (b *paging) texts(ctx context.Context, first UID, gone bool) (changed bool, err error) {
	var rows, missing []row
	for _, r := range b.rows {
		if r.uid-r.uid%textUIDs == first {
			rows = append(rows, r)
		}
	}
	has := func(r row) bool { return b.items[r.uid] != nil && b.items[r.uid].marks&itemTexts != 0 }
	if !gone && (!b.anew || len(rows) == 0) && !slices.ContainsFunc(rows, func(r row) bool { return !has(r) }) {
		return false, nil
	}
	kept, err := b.kept(ctx, first)
	if err != nil {
		return false, err
	}
	var texts []textItem
	for _, r := range rows {
		at := slices.IndexFunc(kept, func(t textItem) bool { return t.uid == r.uid && t.id == r.id })
		if at < 0 || !has(r) {
			missing = append(missing, r)
			continue
		}
		texts = append(texts, kept[at])
	}
	got, err := b.read(ctx, missing)
	if err != nil || len(got) == 0 && !gone && !b.anew {
		return false, err
	}
	texts = append(texts, got...)
	slices.SortFunc(texts, func(x, y textItem) int { return int(x.uid) - int(y.uid) })
	return true, b.put(first, texts)
}

// kept returns what the text page of the UIDs from first on has, long texts
// included. One that does not open has nothing.
func (b *paging) kept(ctx context.Context, first UID) (kept []textItem, err error) {
	if b.w.was == (stamp{}) {
		return nil, nil
	}
	err = b.a.s.cfg.DB.View(ctx, b.a.Owner(), func(tx store.Tx) error {
		kept, err = b.a.loadTexts(tx, b.w.box, first, new(pageBuffer))
		for i := range kept {
			if err == nil && kept[i].where == textApart {
				kept[i].words, err = b.a.loadLong(tx, b.w.box, kept[i].uid, new(pageBuffer))
			}
		}
		return err
	})
	if errors.Is(err, errPage) || errors.Is(err, errNewerPage) {
		return nil, nil
	}
	return kept, err
}

// read opens messages and gathers their words. Those whose index does not open
// are left out.
func (b *paging) read(ctx context.Context, rows []row) (texts []textItem, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	sw := &sweep{a: b.a, box: b.w.box, rows: rows, text: true, make: true}
	err = sw.run(ctx, func(i int, o *openedIndex) error {
		it := o.made
		if o.damaged || it == nil {
			return nil
		}
		t, err := b.a.gather(ctx, &rows[i], it.key, o.index)
		if err != nil {
			return err
		}
		it.marks |= itemTexts
		b.items[it.uid] = it
		texts = append(texts, t)
		return nil
	})
	return texts, err
}

// put adds a text page to what is to be written, and takes away what it
// replaces.
func (b *paging) put(first UID, texts []textItem) error {
	apart := make(map[UID]bool)
	for i := range texts {
		t := &texts[i]
		if t.words.size() > maxPageText {
			t.where = textApart
			apart[t.uid] = true
			if err := b.w.put(b.a, keyLongText(b.w.box, t.uid), pack(appendWords(nil, t.words))); err != nil {
				return err
			}
			b.bytes += t.words.size()
			t.words = words{}
		}
	}
	for uid := first; uid-first < textUIDs; uid++ {
		if !apart[uid] {
			b.w.drops = append(b.w.drops, keyLongText(b.w.box, uid))
		}
	}
	if len(texts) == 0 {
		b.w.drops = append(b.w.drops, keyTextPage(b.w.box, first))
		return nil
	}
	plain := appendTexts(nil, texts)
	b.bytes += len(plain)
	return b.w.put(b.a, keyTextPage(b.w.box, first), pack(plain))
}

// flush writes what has changed, with the index page.
func (b *paging) flush(ctx context.Context) (late bool, err error) {
	b.w.items = b.w.items[:0]
	for _, r := range b.rows {
		it := b.items[r.uid]
		if it == nil {
			continue
		}
		b.w.items = append(b.w.items, *it)
		if b.anew && it.uid >= b.next { // its text lies under older keys still
			b.w.items[len(b.w.items)-1].marks &^= itemTexts
		}
	}
	if err := b.w.seal(b.a); err != nil {
		return false, err
	}
	last := b.w.puts[len(b.w.puts)-1]
	late, err = b.a.write(ctx, b.w)
	b.w.was, b.w.puts, b.w.drops = stampOf(last.sealed), nil, nil
	b.bytes, b.since = 0, time.Now()
	return late, err
}
