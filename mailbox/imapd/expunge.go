package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/mailbox"
)

// Expunge answers EXPUNGE and UID EXPUNGE (RFC 9051 6.4.3, RFC 4315 2.1), and
// is the first half of CLOSE. The expunges are told by the Poll that the
// library makes at the end of the command.
func (s *session) Expunge(w *imapserver.ExpungeWriter, set *imap.UIDSet) error {
	s.enter()
	defer s.leave()
	view, err := s.selected()
	if err != nil {
		return err
	}
	if closing := *w == (imapserver.ExpungeWriter{}); closing && view.ReadOnly() {
		return nil // RFC 9051 6.4.1: nothing is removed, and that is no error
	}
	var uids []mailbox.UID // nil: all that are flagged
	if set != nil {
		if uids, err = s.resolve(view, *set); err != nil {
			return err
		}
	}
	_, err = view.Expunge(s.ctx, uids)
	return s.reply(err)
}
