package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/mailbox"
)

// Search answers SEARCH and UID SEARCH (RFC 9051 6.4.4, RFC 4731, RFC 5182).
func (s *session) Search(kind imapserver.NumKind, c *imap.SearchCriteria, o *imap.SearchOptions) (*imap.SearchData, error) {
	s.enter()
	defer s.leave()
	view, err := s.selected()
	if err != nil {
		return nil, err
	}
	criteria := s.criteria(view, c)
	if o.ReturnSave {
		s.saved = nil // RFC 5182 2.1: what fails saves nothing
	}
	uids, err := view.Search(s.ctx, criteria)
	if err != nil {
		return nil, s.reply(err)
	}
	if o.ReturnSave {
		s.saved = toSave(uids, o)
	}
	return searchData(view, kind, uids), nil
}

// toSave returns which results "$" stands for (RFC 5182 2.4): all, unless
// nothing but the first or the last was asked for.
func toSave(uids []mailbox.UID, o *imap.SearchOptions) []mailbox.UID {
	if o.ReturnAll || o.ReturnCount || len(uids) == 0 {
		return uids
	}
	var some []mailbox.UID
	if o.ReturnMin {
		some = append(some, uids[0])
	}
	if last := uids[len(uids)-1]; o.ReturnMax && (len(some) == 0 || last != some[0]) {
		some = append(some, last)
	}
	return some
}

// searchData writes results in the numbers that the client asked in.
func searchData(view *mailbox.View, kind imapserver.NumKind, uids []mailbox.UID) *imap.SearchData {
	data := &imap.SearchData{}
	var nums []uint32
	if kind == imapserver.NumKindUID {
		data.All = uidSet(uids)
		for _, uid := range uids {
			nums = append(nums, uint32(uid))
		}
	} else {
		var set imap.SeqSet
		for _, uid := range uids {
			if seq, ok := view.Seq(uid); ok {
				set.AddNum(seq)
				nums = append(nums, seq)
			}
		}
		data.All = set
	}
	if data.Count = uint32(len(nums)); data.Count > 0 {
		data.Min, data.Max = nums[0], nums[len(nums)-1]
	}
	return data
}

// criteria translates what is searched for. Its depth was bounded before the
// library parsed it (see searchLine).
func (s *session) criteria(view *mailbox.View, c *imap.SearchCriteria) mailbox.Criteria {
	out := mailbox.Criteria{
		Since: c.Since, Before: c.Before, SentSince: c.SentSince, SentBefore: c.SentBefore,
		Text: c.Text, Body: c.Body, Larger: c.Larger, Smaller: c.Smaller,
	}
	for _, set := range c.SeqNum {
		ranges := make([]mailbox.Range, len(set))
		for i, r := range set {
			ranges[i] = mailbox.Range{First: r.Start, Last: r.Stop}
		}
		out.Seq = append(out.Seq, ranges)
	}
	for _, set := range c.UID {
		out.UID = append(out.UID, s.uidRanges(view, set))
	}
	for _, h := range c.Header {
		out.Header = append(out.Header, mailbox.HeaderMatch{Name: h.Key, Value: h.Value})
	}
	for _, f := range c.Flag {
		if strings.EqualFold(string(f), recent) {
			out.Not = append(out.Not, mailbox.Criteria{}) // none is
			continue
		}
		out.Flags = append(out.Flags, mailbox.Flag(f))
	}
	for _, f := range c.NotFlag {
		if !strings.EqualFold(string(f), recent) {
			out.NotFlags = append(out.NotFlags, mailbox.Flag(f))
		}
	}
	for i := range c.Not {
		out.Not = append(out.Not, s.criteria(view, &c.Not[i]))
	}
	for i := range c.Or {
		out.Or = append(out.Or, [2]mailbox.Criteria{s.criteria(view, &c.Or[i][0]), s.criteria(view, &c.Or[i][1])})
	}
	return out
}

// uidRanges translates a set of UIDs, "$" among them. A set that holds nothing
// stays a set: it matches no message.
func (s *session) uidRanges(view *mailbox.View, set imap.UIDSet) []mailbox.Range {
	if imap.IsSearchRes(set) {
		set = uidSet(s.savedIn(view))
	}
	ranges := make([]mailbox.Range, len(set))
	for i, r := range set {
		ranges[i] = mailbox.Range{First: uint32(r.Start), Last: uint32(r.Stop)}
	}
	return ranges
}
