package imapd

import (
	"github.com/emersion/go-imap/v2"

	"pli/mailbox"
)

// Select answers SELECT and EXAMINE (RFC 9051 6.3.2, 6.3.3). The view of an
// EXAMINE refuses every write by itself.
func (s *session) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	s.enter()
	defer s.leave()
	s.closeView()
	view, err := s.account.Select(s.ctx, name, options.ReadOnly)
	if err != nil {
		return nil, s.reply(err)
	}
	s.view = view
	box := view.Box()
	data := &imap.SelectData{
		NumMessages:       view.Len(),
		UIDNext:           imap.UID(box.UIDNext),
		UIDValidity:       box.UIDValidity,
		HighestModSeq:     box.HighestModSeq,
		FirstUnseenSeqNum: s.firstUnseen(view, box),
	}
	keywords, more := view.Keywords()
	data.Flags = append(append(data.Flags, systemFlags...), writeFlags(keywords)...)
	if !options.ReadOnly {
		data.PermanentFlags = data.Flags[:len(data.Flags):len(data.Flags)]
		if more {
			data.PermanentFlags = append(data.PermanentFlags, imap.FlagWildcard)
		}
	}
	if s.rev2() {
		data.List = &imap.ListData{Mailbox: box.Name, Delim: delimiter, Attrs: useAttrs(box)}
	}
	return data, nil
}

// firstUnseen returns the sequence number of the first message without \Seen,
// 0 for none (RFC 3501 6.3.1; IMAP4rev2 has it no more).
func (s *session) firstUnseen(view *mailbox.View, box mailbox.Box) uint32 {
	if box.Unseen == 0 || s.rev2() {
		return 0
	}
	uids, err := view.Search(s.ctx, mailbox.Criteria{NotFlags: []mailbox.Flag{mailbox.Seen}})
	if err != nil || len(uids) == 0 {
		return 0
	}
	seq, _ := view.Seq(uids[0])
	return seq
}

// Unselect answers UNSELECT and CLOSE (RFC 9051 6.4.1, 6.4.2); for CLOSE the
// library has called Expunge before.
func (s *session) Unselect() error {
	s.enter()
	defer s.leave()
	s.closeView()
	return nil
}
