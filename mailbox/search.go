package mailbox

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/mailbox/message"
	"pli/store"
)

// Search returns the UIDs of the view's messages that match, ascending.
// Texts match as exact substrings under message.Fold. Errors: errs.TooLarge for
// criteria too deep or too many, and for a search that would have to read more
// than MaxSearchRead bytes of bodies.
func (v *View) Search(ctx context.Context, c Criteria) ([]UID, error) {
	b := &builder{v: v, known: v.a.sh.known()}
	root, err := b.build(&c, 0)
	if err != nil {
		return nil, err
	}
	s := &searching{v: v, root: root, budget: v.a.s.cfg.MaxSearchRead}
	for _, r := range v.rows(nil) {
		if err := s.decide(&subject{row: r}, byTable); err != nil {
			return nil, err
		}
	}
	if err := s.openIndexes(ctx, b.levels); err != nil {
		return nil, err
	}
	if err := s.readTexts(ctx); err != nil {
		return nil, err
	}
	if err := s.readBodies(ctx); err != nil {
		return nil, err
	}
	slices.Sort(s.found)
	return s.found, nil
}

// searching is one search at work: what one level of knowledge leaves open goes
// on to the next, dearer one.
type searching struct {
	v      *View
	root   node
	budget int64 // bytes of bodies that may still be read
	found  []UID
	open   []*subject
}

// subject is a message under search, with what is known of it.
type subject struct {
	row
	index *message.Index // from byIndex on, if item is nil; its Text at byText
	item  *item          // of its index page
	words *words         // of its text page, at byText
	body  *Body          // at byBody; index is there then
	known map[int]truth  // answers of tests that had the Text before them
}

// head returns a header field, folded, as far as the index holds it, and
// whether something of it may be missing.
func (s *subject) head(name string) (field []byte, cut bool, err error) {
	if s.item != nil {
		if field, ok := s.item.head(name); ok {
			return field, s.item.marks&itemCut != 0, nil
		}
	}
	ix, err := s.decoded()
	if err != nil {
		return nil, false, err
	}
	return []byte(message.Fold(headField(&ix.Envelope, name))), ix.Truncated != "", nil
}

// sent returns the day of the Date field as yyyymmdd, 0 if there is none.
func (s *subject) sent() (int, error) {
	if s.item != nil {
		return s.item.sent, nil
	}
	ix, err := s.decoded()
	if err != nil || ix.Envelope.Date.IsZero() {
		return 0, err
	}
	return day(ix.Envelope.Date), nil
}

// decoded returns the index.
func (s *subject) decoded() (*message.Index, error) {
	if s.index == nil {
		s.index = new(message.Index)
		return s.index, store.Decode(s.item.index, s.index)
	}
	return s.index, nil
}

// decide files a subject under found, or keeps it open.
func (s *searching) decide(sub *subject, l level) error {
	t, err := s.root.eval(sub, l)
	switch {
	case err != nil:
		return err
	case t == yes:
		s.found = append(s.found, sub.uid)
	case t == unknown:
		s.open = append(s.open, sub)
	}
	return nil
}

// openIndexes decides by what the indexes tell without their texts, if that can
// decide anything.
func (s *searching) openIndexes(ctx context.Context, levels [byBody + 1]bool) error {
	if !levels[byIndex] {
		return nil
	}
	return s.sweep(ctx, byIndex)
}

// sweep decides what is open at a level by indexes, which carry their Text at
// byText.
func (s *searching) sweep(ctx context.Context, l level) error {
	if len(s.open) == 0 {
		return nil
	}
	subs := s.open
	s.open = nil
	rows := make([]row, len(subs))
	for i, sub := range subs {
		rows[i] = sub.row
	}
	sw := &sweep{a: s.v.a, box: s.v.id, rows: rows, text: l == byText, whole: l == byIndex && s.v.holdsAll(rows)}
	return sw.run(ctx, func(i int, o *openedIndex) error {
		sub := subs[i]
		sub.index, sub.item = o.index, o.item
		err := s.decide(sub, l)
		if l == byText {
			cut := *o.index
			cut.Text = "" // not kept for those that stay open
			sub.index = &cut
		}
		return err
	})
}

// readTexts decides by the text pages, and for messages that are not in any by
// the texts of their indexes.
func (s *searching) readTexts(ctx context.Context) error {
	subs := s.open
	s.open = nil
	var rest []*subject // without a text page
	answers := make([]textAnswer, len(subs))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(subs); {
		to := min(from+textStretch, len(subs))
		at := from
		g.Go(func() error { return s.fromTexts(ctx, subs[at:to], answers[at:to]) })
		from = to
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var long []*subject
	for i, sub := range subs {
		switch a := answers[i]; {
		case !a.paged:
			rest = append(rest, sub)
		case a.truth == yes:
			s.found = append(s.found, sub.uid)
		case a.truth == unknown:
			long = append(long, sub)
		}
	}
	s.open = append(rest, long...)
	return s.sweep(ctx, byText)
}

// textStretch is how many messages one goroutine looks for in text pages.
const textStretch = 8 * textUIDs

// textAnswer is what a text page answered.
type textAnswer struct {
	paged bool
	truth truth
}

// fromTexts decides by text pages, in one view of the store.
func (s *searching) fromTexts(ctx context.Context, subs []*subject, answers []textAnswer) error {
	a := s.v.a
	page, long := a.s.buffer(), a.s.buffer()
	defer a.s.free(page)
	defer a.s.free(long)
	damaged := make(map[UID]struct{})
	err := a.s.cfg.DB.View(ctx, a.Owner(), func(tx store.Tx) error {
		for from := 0; from < len(subs); {
			to := from
			for to < len(subs) && subs[to].uid-subs[to].uid%textUIDs == subs[from].uid-subs[from].uid%textUIDs {
				to++
			}
			texts, err := a.loadTexts(tx, s.v.id, subs[from].uid, page)
			for i := from; i < to && err == nil; i++ {
				at, ok := slices.BinarySearchFunc(texts, subs[i].uid, func(t textItem, uid UID) int { return cmp.Compare(t.uid, uid) })
				if ok && texts[at].id == subs[i].id {
					answers[i], err = s.byText(tx, subs[i], &texts[at], long)
				}
			}
			if errors.Is(err, errPage) {
				damaged[blockOf(subs[from].uid)] = struct{}{}
			} else if err != nil && !errors.Is(err, errNewerPage) {
				return err
			}
			from = to
		}
		return nil
	})
	for block := range damaged {
		a.dropBlock(ctx, s.v.id, block)
	}
	return err
}

// byText decides about a message by its text in a page.
func (s *searching) byText(tx store.Tx, sub *subject, t *textItem, buf *pageBuffer) (textAnswer, error) {
	w := t.words
	switch t.where {
	case textTooLong:
		return textAnswer{}, nil
	case textApart:
		var err error
		if w, err = s.v.a.loadLong(tx, s.v.id, sub.uid, buf); err != nil {
			return textAnswer{}, err
		}
	}
	sub.words = &w
	truth, err := s.root.eval(sub, byText)
	sub.words = nil
	return textAnswer{true, truth}, err
}

// readBodies decides what is left by the messages themselves.
func (s *searching) readBodies(ctx context.Context) error {
	subs := s.open
	s.open = nil
	for _, sub := range subs {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := s.readBody(ctx, sub); {
		case err == nil, errs.Is(err, errs.NotFound):
		case unreadable(err):
			s.v.a.s.cfg.Log.Error("a damaged message is not searched", "owner", string(s.v.a.Owner()), "message", sub.id.String(), "err", err)
		default:
			return err
		}
	}
	return nil
}

// unreadable reports whether an error says that a message is damaged.
func unreadable(err error) bool {
	return lost(err) || errors.Is(err, keyring.ErrDamaged) || errors.Is(err, keyring.ErrUnsupported)
}

func (s *searching) readBody(ctx context.Context, sub *subject) error {
	s.budget -= min(sub.size, s.v.a.s.cfg.InlineMax) // what opening reads at least; parts are counted as they are read
	body, err := s.v.a.body(ctx, sub.id)
	if err != nil {
		return err
	}
	defer body.Close()
	sub.body = body
	for _, p := range textParts(sub.index) {
		s.budget -= p.Size()
	}
	if s.budget < 0 {
		return errs.New(errs.TooLarge, "this search has to read too much; narrow it by a date or a sender")
	}
	return s.decide(sub, byBody)
}
