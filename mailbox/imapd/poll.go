package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/mailbox"
)

// Poll tells a client, at the end of a command, what changed meanwhile. The
// library forbids expunges after FETCH, STORE and SEARCH (RFC 9051 7.5.1).
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.enter()
	defer s.leave()
	if s.view == nil {
		return nil
	}
	s.owes = !allowExpunge
	return writeChanges(w, s.view.Poll(allowExpunge))
}

// writeChanges tells changes in the order that they count in.
func writeChanges(w *imapserver.UpdateWriter, c mailbox.Changes) error {
	for _, seq := range c.Expunged {
		if err := w.WriteExpunge(seq); err != nil {
			return err
		}
	}
	if c.NewExists {
		if err := w.WriteNumMessages(c.Exists); err != nil {
			return err
		}
	}
	for _, m := range c.Flags {
		if err := w.WriteMessageFlags(m.Seq, imap.UID(m.UID), writeFlags(m.Flags)); err != nil {
			return err
		}
	}
	return nil
}
