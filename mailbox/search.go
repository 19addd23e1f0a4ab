package mailbox

import (
	"context"
	"errors"
	"slices"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/mailbox/message"
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
	index *message.Index // from byIndex on; its Text from byText on
	body  *Body          // at byBody
	known map[int]truth  // answers of tests that had the Text before them
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

// openIndexes decides by what the indexes tell: first without their texts, if
// that can decide anything.
func (s *searching) openIndexes(ctx context.Context, levels [byBody + 1]bool) error {
	for _, l := range []level{byIndex, byText} {
		if l == byIndex && !levels[byIndex] || len(s.open) == 0 {
			continue
		}
		subs := s.open
		s.open = nil
		rows := make([]row, len(subs))
		for i, sub := range subs {
			rows[i] = sub.row
		}
		err := s.v.a.indexes(ctx, rows, l == byText, func(i int, o *openedIndex) error {
			subs[i].index = o.index
			err := s.decide(subs[i], l)
			if l == byText {
				cut := *o.index
				cut.Text = "" // not kept for those that stay open
				subs[i].index = &cut
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
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
