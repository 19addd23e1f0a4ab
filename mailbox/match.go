package mailbox

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"pli/internal/errs"
	"pli/mailbox/message"
)

// level says what a criterion may look at.
type level uint8

const (
	byTable level = iota // the row: flags, dates, sizes, numbers
	byIndex              // and the index: envelope
	byText               // and its text
	byBody               // and the message itself
)

// truth is an answer that may have to wait for the next level.
type truth uint8

const (
	no truth = iota
	yes
	unknown
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// node is one criterion, or several. At byBody it is never unknown.
type node interface {
	eval(s *subject, l level) (truth, error)
}

type all []node

func (n all) eval(s *subject, l level) (truth, error) {
	t := yes
	for _, c := range n {
		switch got, err := c.eval(s, l); {
		case err != nil || got == no:
			return no, err
		case got == unknown:
			t = unknown
		}
	}
	return t, nil
}

type either [2]node

func (n either) eval(s *subject, l level) (truth, error) {
	a, err := n[0].eval(s, l)
	if err != nil || a == yes {
		return a, err
	}
	b, err := n[1].eval(s, l)
	if err != nil || b == yes {
		return b, err
	}
	return max(a, b), nil // unknown beats no
}

type negated struct{ node }

func (n negated) eval(s *subject, l level) (truth, error) {
	t, err := n.node.eval(s, l)
	switch t {
	case yes:
		return no, err
	case no:
		return yes, err
	}
	return unknown, err
}

// test is a criterion that looks at one thing, from one level on.
type test struct {
	from level
	id   int
	fn   func(s *subject, l level) (truth, error)
}

func (n test) eval(s *subject, l level) (truth, error) {
	if l < n.from {
		return unknown, nil
	}
	if t, ok := s.known[n.id]; ok {
		return t, nil
	}
	t, err := n.fn(s, l)
	if n.from == byText && t != unknown && err == nil {
		if s.known == nil {
			s.known = make(map[int]truth)
		}
		s.known[n.id] = t
	}
	return t, err
}

// Bounds of one search's criteria.
const (
	maxCriteriaDepth = 64
	maxCriteria      = 2000
)

// builder turns Criteria into nodes.
type builder struct {
	v      *View
	known  []string
	count  int // of conditions
	tests  int
	levels [byBody + 1]bool // which levels some test can answer from
}

func (b *builder) build(c *Criteria, depth int) (node, error) {
	var n all
	b.table(c, &n)
	for _, h := range c.Header {
		n = append(n, b.header(h))
	}
	for _, t := range c.Text {
		n = append(n, b.test(byText, textTest(message.Fold(t), b.v.a.s.cfg.Message, true)))
	}
	for _, t := range c.Body {
		n = append(n, b.test(byText, textTest(message.Fold(t), b.v.a.s.cfg.Message, false)))
	}
	if b.count += 1 + len(n); depth > maxCriteriaDepth || b.count > maxCriteria {
		return nil, errs.New(errs.TooLarge, "a search has at most %d conditions, %d deep", maxCriteria, maxCriteriaDepth)
	}
	for i := range c.Not {
		sub, err := b.build(&c.Not[i], depth+1)
		if err != nil {
			return nil, err
		}
		n = append(n, negated{sub})
	}
	for i := range c.Or {
		x, err := b.build(&c.Or[i][0], depth+1)
		if err != nil {
			return nil, err
		}
		y, err := b.build(&c.Or[i][1], depth+1)
		if err != nil {
			return nil, err
		}
		n = append(n, either{x, y})
	}
	return n, nil
}

func (b *builder) test(from level, fn func(s *subject, l level) (truth, error)) node {
	b.levels[from] = true
	b.tests++
	return test{from, b.tests, fn}
}

// row adds a criterion that the table answers.
func (b *builder) row(n *all, ok func(r *row) bool) {
	*n = append(*n, b.test(byTable, func(s *subject, _ level) (truth, error) { return truthOf(ok(&s.row)), nil }))
}

// table adds the criteria that the table answers, and the Date field's.
func (b *builder) table(c *Criteria, n *all) {
	for _, set := range c.Seq {
		b.row(n, func(r *row) bool {
			seq, ok := b.v.Seq(r.uid)
			return ok && inSet(set, seq, b.v.Len())
		})
	}
	for _, set := range c.UID {
		last, _ := b.v.UID(b.v.Len())
		b.row(n, func(r *row) bool { return inSet(set, uint32(r.uid), uint32(last)) })
	}
	if len(c.Flags) > 0 {
		want, ok := knownBits(b.known, c.Flags)
		b.row(n, func(r *row) bool { return ok && r.flags.has(want) })
	}
	if len(c.NotFlags) > 0 {
		want, _ := knownBits(b.known, c.NotFlags)
		b.row(n, func(r *row) bool { return !r.flags.meets(want) })
	}
	if c.Larger > 0 {
		b.row(n, func(r *row) bool { return r.size > c.Larger })
	}
	if c.Smaller > 0 {
		b.row(n, func(r *row) bool { return r.size < c.Smaller })
	}
	if c.ModSeq != nil {
		b.row(n, func(r *row) bool { return r.modseq >= c.ModSeq.Since })
	}
	if !c.Since.IsZero() || !c.Before.IsZero() {
		b.row(n, func(r *row) bool { return inDays(day(r.date()), c.Since, c.Before) })
	}
	if !c.SentSince.IsZero() || !c.SentBefore.IsZero() {
		*n = append(*n, b.test(byIndex, func(s *subject, _ level) (truth, error) {
			sent, err := s.sent()
			return truthOf(sent != 0 && inDays(sent, c.SentSince, c.SentBefore)), err
		}))
	}
}

// inSet reports whether n is in a set whose "*" is last.
func inSet(set []Range, n, last uint32) bool {
	return slices.ContainsFunc(set, func(r Range) bool {
		if r.First == 0 {
			r.First = last
		}
		if r.Last == 0 {
			r.Last = last
		}
		return min(r.First, r.Last) <= n && n <= max(r.First, r.Last)
	})
}

// inDays reports whether a day is on or after since and before before; a zero
// bound is none.
func inDays(d int, since, before time.Time) bool {
	return (since.IsZero() || d >= day(since)) && (before.IsZero() || d < day(before))
}

// day returns t's day, in t's own zone, as yyyymmdd.
func day(t time.Time) int {
	y, m, d := t.Date()
	return y*10000 + int(m)*100 + d
}

// header answers a header criterion from the index where that holds the field,
// else from the fields in a text page, else from the message.
func (b *builder) header(h HeaderMatch) node {
	name, value := strings.ToLower(h.Name), message.Fold(h.Value)
	from := byText
	if inIndex(name) {
		from = byIndex
	}
	prefix := message.Fold(name+":") + " "
	return b.test(from, func(s *subject, l level) (truth, error) {
		switch {
		case l == byBody:
			fields, err := readHeader(s.index, s.body)
			return truthOf(slices.ContainsFunc(fields, func(f message.Field) bool {
				return hasField(foldField(&f), prefix, value)
			})), err
		case l == byText && s.words != nil:
			return truthOf(slices.ContainsFunc(bytes.Split(s.words.header, endOfWords), func(f []byte) bool {
				return hasField(string(f), prefix, value)
			})), nil
		case from == byIndex:
			return headMatch(s, name, value)
		}
		return unknown, nil
	})
}

// hasField reports whether a folded field is the one that prefix names, and
// contains value.
func hasField(field, prefix, value string) bool {
	rest, ok := strings.CutPrefix(field, prefix)
	return ok && strings.Contains(rest, value)
}
