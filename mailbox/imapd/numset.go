package imapd

import (
	"sort"

	"github.com/emersion/go-imap/v2"

	"pli/mailbox"
)

// numbered is a numbered list of UIDs: a *mailbox.View.
type numbered interface {
	Len() uint32
	UID(seq uint32) (mailbox.UID, bool)
	Seq(uid mailbox.UID) (uint32, bool)
}

// resolve returns the UIDs of view's messages in set, ascending, never nil.
// The cost goes by the view, never by the numbers that the client wrote.
func (s *session) resolve(view numbered, set imap.NumSet) ([]mailbox.UID, error) {
	if imap.IsSearchRes(set) { // RFC 5182 2.1
		return s.savedIn(view), nil
	}
	var spans []span
	switch set := set.(type) {
	case imap.UIDSet:
		spans = uidSpans(view, set)
	case imap.SeqSet:
		var ok bool
		if spans, ok = seqSpans(view.Len(), set); !ok {
			// RFC 9051 9, seq-number: larger than the mailbox is an error.
			return nil, badArgument("No message has such a number")
		}
	}
	return uidsIn(view, spans), nil
}

// savedIn returns what the last SEARCH saved and is still there.
func (s *session) savedIn(view numbered) []mailbox.UID {
	uids := make([]mailbox.UID, 0, len(s.saved))
	for _, uid := range s.saved {
		if _, ok := view.Seq(uid); ok {
			uids = append(uids, uid)
		}
	}
	return uids
}

// span is the sequence numbers from first to last.
type span struct{ first, last uint32 }

// seqSpans cuts a client's set to the numbers that a view of n messages has;
// ok is false if it names one beyond.
func seqSpans(n uint32, set imap.SeqSet) (spans []span, ok bool) {
	for _, r := range set {
		first, last := r.Start, r.Stop
		if last == 0 { // "*", or "n:*", which is never empty
			last = n
			first = min(first, n)
			if first == 0 {
				first = n
			}
		}
		if last > n {
			return nil, false
		}
		if first > 0 {
			spans = append(spans, span{first, last})
		}
	}
	return spans, true
}

// uidSpans returns which sequence numbers a client's set of UIDs covers.
func uidSpans(view numbered, set imap.UIDSet) []span {
	n := view.Len()
	if n == 0 {
		return nil
	}
	// from returns the first number whose UID is at least uid.
	from := func(uid uint64) uint32 {
		return uint32(sort.Search(int(n), func(i int) bool {
			u, _ := view.UID(uint32(i) + 1)
			return uint64(u) >= uid
		})) + 1
	}
	var spans []span
	for _, r := range set {
		var s span
		switch {
		case r.Start == 0: // "*"
			s = span{n, n}
		case r.Stop == 0: // "n:*" holds the last message, whatever n is
			s = span{min(from(uint64(r.Start)), n), n}
		default:
			s = span{from(uint64(r.Start)), from(uint64(r.Stop)+1) - 1}
		}
		if s.first <= s.last {
			spans = append(spans, s)
		}
	}
	return spans
}

// uidsIn lists the UIDs of spans, each once, ascending.
func uidsIn(view numbered, spans []span) []mailbox.UID {
	sort.Slice(spans, func(i, j int) bool { return spans[i].first < spans[j].first })
	uids := make([]mailbox.UID, 0, 16)
	next := uint32(1)
	for _, s := range spans {
		for seq := max(s.first, next); seq <= s.last; seq++ {
			if uid, ok := view.UID(seq); ok {
				uids = append(uids, uid)
			}
		}
		next = max(next, s.last+1)
	}
	return uids
}

// uidSet writes ascending UIDs as a set.
func uidSet(uids []mailbox.UID) imap.UIDSet {
	var set imap.UIDSet
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return set
}
