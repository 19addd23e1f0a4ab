package imapd

import (
	"math"

	"github.com/emersion/go-imap/v2"

	"pli/mailbox"
)

// Status answers STATUS (RFC 9051 6.3.11).
func (s *session) Status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	s.enter()
	defer s.leave()
	if err := checkStatus(options); err != nil {
		return nil, err
	}
	box, err := s.account.Box(s.ctx, name)
	if err != nil {
		return nil, s.reply(err)
	}
	return s.status(box), nil
}

// checkStatus refuses what is not offered (RFC 9208), which the library parses
// and would then expect.
func checkStatus(options *imap.StatusOptions) error {
	if options.DeletedStorage {
		return badArgument("Unknown STATUS data item")
	}
	return nil
}

// status returns all that can be asked of a box.
func (s *session) status(box mailbox.Box) *imap.StatusData {
	var none uint32
	limit := s.AppendLimit()
	return &imap.StatusData{
		Mailbox: box.Name, NumMessages: &box.Messages, NumRecent: &none,
		UIDNext: imap.UID(box.UIDNext), UIDValidity: box.UIDValidity,
		NumUnseen: &box.Unseen, NumDeleted: &box.Deleted, Size: &box.Size,
		AppendLimit: &limit, HighestModSeq: box.HighestModSeq,
	}
}

// AppendLimit is the most that APPEND takes (RFC 7889).
func (s *session) AppendLimit() uint32 {
	return uint32(min(s.srv.cfg.MaxAppend, math.MaxUint32))
}
