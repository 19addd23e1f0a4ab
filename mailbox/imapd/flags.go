package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"pli/mailbox"
)

// systemFlags are those that are kept (RFC 9051 2.3.2).
var systemFlags = []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft}

// recent is no longer kept (RFC 9051 appendix E); older clients name it.
const recent = `\Recent`

// readFlags translates flags that a client gave. \Recent is left out; a system
// flag that does not exist, or what is no keyword, is refused.
func readFlags(flags []imap.Flag) ([]mailbox.Flag, error) {
	out := make([]mailbox.Flag, 0, len(flags))
	for _, f := range flags {
		if strings.EqualFold(string(f), recent) {
			continue
		}
		if !validFlag(string(f)) {
			return nil, badArgument("No such flag")
		}
		out = append(out, mailbox.Flag(f))
	}
	return out, nil
}

// validFlag reports whether f is a system flag that is kept, or a keyword: an
// atom in ASCII (RFC 9051 9, flag-keyword).
func validFlag(f string) bool {
	if strings.HasPrefix(f, `\`) {
		for _, known := range systemFlags {
			if strings.EqualFold(f, string(known)) {
				return true
			}
		}
		return false
	}
	for _, c := range []byte(f) {
		if c <= ' ' || c > '~' || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return f != ""
}

// writeFlags translates flags for a client. One that the protocol cannot carry
// is left out: the library would break off in the middle of a line.
func writeFlags(flags []mailbox.Flag) []imap.Flag {
	out := make([]imap.Flag, 0, len(flags))
	for _, f := range flags {
		if validFlag(string(f)) {
			out = append(out, imap.Flag(f))
		}
	}
	return out
}
