package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"pli/mailbox"
)

// delimiter divides the levels of a mailbox's name.
const delimiter = '/'

// Create answers CREATE (RFC 9051 6.3.4) with a special use (RFC 6154 3).
func (s *session) Create(name string, options *imap.CreateOptions) error {
	s.enter()
	defer s.leave()
	var use mailbox.SpecialUse
	switch len(options.SpecialUse) {
	case 0:
	case 1:
		use = mailbox.SpecialUse(options.SpecialUse[0])
	default:
		return answer(imap.StatusResponseTypeNo, responseCodeUseAttr, "A mailbox has one special use")
	}
	// RFC 9051 6.3.4: a delimiter at the end says that names will follow
	// below; the mailbox itself is made all the same.
	return s.reply(s.account.Create(s.ctx, strings.TrimSuffix(name, string(delimiter)), use))
}

const responseCodeUseAttr imap.ResponseCode = "USEATTR" // RFC 6154 3

// Delete answers DELETE (RFC 9051 6.3.5).
func (s *session) Delete(name string) error {
	s.enter()
	defer s.leave()
	return s.reply(s.account.Delete(s.ctx, name))
}

// Rename answers RENAME (RFC 9051 6.3.6).
func (s *session) Rename(name, to string, _ *imap.RenameOptions) error {
	s.enter()
	defer s.leave()
	return s.reply(s.account.Rename(s.ctx, name, strings.TrimSuffix(to, string(delimiter))))
}

// Subscribe answers SUBSCRIBE (RFC 9051 6.3.7).
func (s *session) Subscribe(name string) error {
	s.enter()
	defer s.leave()
	return s.reply(s.account.Subscribe(s.ctx, name, true))
}

// Unsubscribe answers UNSUBSCRIBE (RFC 9051 6.3.8).
func (s *session) Unsubscribe(name string) error {
	s.enter()
	defer s.leave()
	return s.reply(s.account.Subscribe(s.ctx, name, false))
}

// Namespace answers NAMESPACE (RFC 9051 6.3.10): all mail is the account's own.
func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Prefix: "", Delim: delimiter}}}, nil
}
