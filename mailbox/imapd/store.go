package imapd

import (
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/mailbox"
)

// storeOps translates the operations of STORE.
var storeOps = map[imap.StoreFlagsOp]mailbox.FlagOp{
	imap.StoreFlagsSet: mailbox.FlagsSet,
	imap.StoreFlagsAdd: mailbox.FlagsAdd,
	imap.StoreFlagsDel: mailbox.FlagsRemove,
}

// Store answers STORE and UID STORE (RFC 9051 6.4.6).
func (s *session) Store(w *imapserver.FetchWriter, set imap.NumSet, change *imap.StoreFlags, _ *imap.StoreOptions) error {
	s.enter()
	defer s.leave()
	view, err := s.selected()
	if err != nil {
		return err
	}
	flags, err := readFlags(change.Flags)
	if err != nil {
		return err
	}
	uids, err := s.resolve(view, set)
	if err != nil {
		return err
	}
	changed, err := view.Store(s.ctx, uids, storeOps[change.Op], flags, 0)
	if err != nil {
		return s.reply(err)
	}
	for _, m := range changed {
		if change.Silent {
			break
		}
		r := w.CreateMessage(m.Seq)
		r.WriteUID(imap.UID(m.UID)) // RFC 9051 6.4.9 asks for it after UID STORE
		r.WriteFlags(writeFlags(m.Flags))
		if err := r.Close(); err != nil {
			return s.reply(err)
		}
	}
	return nil
}
