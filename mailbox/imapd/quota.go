package imapd

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"

	"pli/mailbox"
)

// The library knows nothing of quotas: GETQUOTA and GETQUOTAROOT (RFC 9208
// 4.2) are answered in its stead, and its lists of capabilities get two more.
// All mail of an account has one quota root, whose name is empty; an account
// without a limit has none.
const quotaCaps = " QUOTA QUOTA=RES-STORAGE"

// withQuota returns a whole answer of the library's with quotaCaps in its list
// of capabilities, if it has one.
func withQuota(b []byte) []byte {
	at := -1
	if bytes.HasPrefix(b, []byte("* CAPABILITY ")) {
		at = bytes.Index(b, []byte("\r\n"))
	} else if code := bytes.Index(b, []byte(" OK [CAPABILITY ")); code >= 0 {
		at = code + bytes.IndexByte(b[code:], ']')
	}
	if at < 0 {
		return b
	}
	return slices.Concat(b[:at], []byte(quotaCaps), b[at:])
}

// isQuota reports whether a command is one of those answered here.
func isQuota(name string) bool { return name == "GETQUOTA" || name == "GETQUOTAROOT" }

// quotaAnswer answers a command that isQuota.
func (s *session) quotaAnswer(tag, name string, line []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	arg, ok := onlyArgument(line, len(tag)+1+len(name))
	if !ok {
		return tag + " BAD [CLIENTBUG] Syntax error\r\n"
	}
	q, err := s.account.Quota(s.ctx)
	if err != nil {
		e := s.reply(err).(*imap.Error)
		return fmt.Sprintf("%s %s [%s] %s\r\n", tag, e.Type, e.Code, e.Text)
	}
	const root = `""`
	// Units of 1 024 octets, rounded so that what is not full does not seem so
	// (RFC 9208 5.1).
	resource := fmt.Sprintf("* QUOTA %s (STORAGE %d %d)\r\n", root, q.Used>>10, (q.Limit+1023)>>10)
	switch {
	case name == "GETQUOTA" && (arg != root || q.Limit == 0):
		return tag + " NO [NONEXISTENT] There is no such quota root\r\n"
	case name == "GETQUOTA":
		return resource + tag + " OK GETQUOTA completed\r\n"
	case q.Limit == 0:
		return "* QUOTAROOT " + arg + "\r\n" + tag + " OK GETQUOTAROOT completed\r\n"
	}
	return "* QUOTAROOT " + arg + " " + root + "\r\n" + resource + tag + " OK GETQUOTAROOT completed\r\n"
}

// onlyArgument returns the one astring (RFC 9051 9) of a command, as the client
// wrote it.
func onlyArgument(line []byte, start int) (arg string, ok bool) {
	text, ended := bytes.CutSuffix(line[min(start, len(line)):], []byte("\r\n"))
	text, spaced := bytes.CutPrefix(text, []byte(" "))
	if !ended || !spaced || len(text) == 0 || !ascii(text) {
		return "", false
	}
	if text[0] != '"' {
		return string(text), !bytes.ContainsAny(text, `(){ %*"\`)
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return string(text), i == len(text)-1
		}
	}
	return "", false
}

// deletedStorage returns the bytes of a box's messages that are flagged
// \Deleted (RFC 9208 5.1, which a server with STORAGE must tell).
func (s *session) deletedStorage(ctx context.Context, box string) (n int64, err error) {
	view, err := s.account.Select(ctx, box, true)
	if err != nil {
		return 0, err
	}
	defer view.Close()
	err = view.Messages(ctx, nil, false, func(m mailbox.Message) error {
		if slices.Contains(m.Flags, mailbox.Deleted) {
			n += m.Size
		}
		return nil
	})
	return n, err
}
