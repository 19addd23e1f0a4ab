package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Move answers MOVE and UID MOVE (RFC 6851). The expunges are told by the Poll
// that the library makes at the end of the command.
func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	s.enter()
	defer s.leave()
	view, err := s.selected()
	if err != nil {
		return err
	}
	uids, err := s.resolve(view, set)
	if err != nil {
		return err
	}
	moved, err := view.Move(s.ctx, uids, dest)
	if err != nil {
		return s.replyWith(err, toMissingBox)
	}
	if data := copyData(moved); data != nil {
		return w.WriteCopyData(data)
	}
	return nil
}
