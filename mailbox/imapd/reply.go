package imapd

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pli/internal/errs"
	"pli/mailbox"
)

// replies turns a failure's kind into an answer (RFC 9051 7.1, RFC 5530).
var replies = map[errs.Kind]imap.ResponseCode{
	errs.Internal:        imap.ResponseCodeServerBug,
	errs.Invalid:         imap.ResponseCodeCannot,
	errs.Unauthenticated: imap.ResponseCodeAuthenticationFailed,
	errs.Denied:          imap.ResponseCodeNoPerm,
	errs.NotFound:        imap.ResponseCodeNonExistent,
	errs.Conflict:        imap.ResponseCodeAlreadyExists,
	errs.TooLarge:        imap.ResponseCodeLimit,
	errs.Unavailable:     imap.ResponseCodeUnavailable,
}

const responseCodeExpungeIssued imap.ResponseCode = "EXPUNGEISSUED" // RFC 5530 3

// reply turns a failure into the command's answer. The words of an Internal
// one go to the log, and a fixed sentence to the client. nil stays nil.
func (s *session) reply(err error) error {
	return s.replyWith(err, nil)
}

// replyWith is reply with the response codes of one command put over the
// table's.
func (s *session) replyWith(err error, codes map[errs.Kind]imap.ResponseCode) error {
	var own *imap.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.Is(err, errTooManySessions):
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeLimit, "Too many connections to this account")
	case errors.Is(err, mailbox.ErrHasChildren):
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeHasChildren, errs.Public(err))
	case errors.Is(err, mailbox.ErrOverQuota): // RFC 9208 4.3.1
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeOverQuota, errs.Public(err))
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.Canceled):
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeUnavailable, "Interrupted")
	}
	kind := errs.KindOf(err)
	if kind == errs.Internal {
		s.srv.cfg.Log.Error("imap: command failed", "command", s.guard.command(), "account", s.owner(), "error", err)
	}
	code, ok := codes[kind]
	if !ok {
		code = replies[kind]
	}
	return answer(imap.StatusResponseTypeNo, code, errs.Public(err))
}

// owner returns the account's opaque name, for the log.
func (s *session) owner() string {
	if s.opened == nil {
		return ""
	}
	return string(s.opened.Account)
}

// answer returns a tagged answer as an error, which is how the library wants
// it. The text becomes one line of ASCII that cannot be taken for a code.
func answer(typ imap.StatusResponseType, code imap.ResponseCode, text string) *imap.Error {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(clean) > 200 {
		clean = clean[:200]
	}
	if clean = strings.TrimLeft(clean, " ["); clean == "" {
		clean = "Failed"
	}
	return &imap.Error{Type: typ, Code: code, Text: clean}
}

// badArgument is the answer to what is well formed and makes no sense.
func badArgument(text string) *imap.Error {
	return answer(imap.StatusResponseTypeBad, imap.ResponseCodeClientBug, text)
}
