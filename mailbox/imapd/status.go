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
	box, err := s.account.Box(s.ctx, name)
	if err != nil {
		return nil, s.reply(err)
	}
	data, err := s.status(box, options)
	return data, s.reply(err)
}

// status returns all that can be asked of a box.
func (s *session) status(box mailbox.Box, options *imap.StatusOptions) (*imap.StatusData, error) {
	var none uint32
	limit := s.AppendLimit()
	data := &imap.StatusData{
		Mailbox: box.Name, NumMessages: &box.Messages, NumRecent: &none,
		UIDNext: imap.UID(box.UIDNext), UIDValidity: box.UIDValidity,
		NumUnseen: &box.Unseen, NumDeleted: &box.Deleted, Size: &box.Size,
		AppendLimit: &limit, HighestModSeq: box.HighestModSeq,
	}
	if !options.DeletedStorage {
		return data, nil
	}
	n, err := s.deletedStorage(s.ctx, box.Name)
	data.DeletedStorage = &n
	return data, err
}

// AppendLimit is the most that APPEND takes (RFC 7889).
func (s *session) AppendLimit() uint32 {
	return uint32(min(s.srv.cfg.MaxAppend, math.MaxUint32))
}
