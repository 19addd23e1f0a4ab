package imapd

import (
	"github.com/emersion/go-imap/v2"

	"pli/internal/errs"
	"pli/mailbox"
)

// toMissingBox are the codes of commands that put messages into a box.
var toMissingBox = map[errs.Kind]imap.ResponseCode{
	errs.NotFound: imap.ResponseCodeTryCreate, // RFC 9051 6.4.7
	errs.TooLarge: imap.ResponseCodeTooBig,    // RFC 7889 3
}

// Copy answers COPY and UID COPY (RFC 9051 6.4.7).
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	s.enter()
	defer s.leave()
	view, err := s.selected()
	if err != nil {
		return nil, err
	}
	uids, err := s.resolve(view, set)
	if err != nil {
		return nil, err
	}
	copied, err := view.Copy(s.ctx, uids, dest)
	if err != nil {
		return nil, s.replyWith(err, toMissingBox)
	}
	return copyData(copied), nil
}

// copyData returns what COPYUID says (RFC 4315 3), nil if nothing was copied:
// it has no form for that.
func copyData(c mailbox.Copied) *imap.CopyData {
	if len(c.Source) == 0 {
		return nil
	}
	return &imap.CopyData{UIDValidity: c.UIDValidity, SourceUIDs: uidSet(c.Source), DestUIDs: uidSet(c.Dest)}
}
