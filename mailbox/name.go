package mailbox

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"pli/internal/errs"
)

// canonical returns the one spelling of a box's name: NFC, INBOX in capitals
// also at the head of a path (RFC 9051 5.1). It accepts any text: what is no
// name finds no box.
func canonical(name string) string {
	head, rest, below := strings.Cut(norm.NFC.String(name), "/")
	if strings.EqualFold(head, Inbox) {
		head = Inbox
	}
	if below {
		return head + "/" + rest
	}
	return head
}

// checkName returns the canonical form of a name for a new box, or says what is
// wrong with it.
func (s *Service) checkName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", errs.New(errs.Invalid, "the folder's name is not UTF-8")
	}
	name = strings.TrimSuffix(canonical(name), "/") // RFC 9051 6.3.4: a trailing delimiter only announces boxes below
	if len(name) > s.cfg.MaxName {
		return "", errs.New(errs.TooLarge, "a folder's name has at most %d bytes", s.cfg.MaxName)
	}
	levels := strings.Split(name, "/")
	if len(levels) > s.cfg.MaxDepth {
		return "", errs.New(errs.TooLarge, "folders lie at most %d deep", s.cfg.MaxDepth)
	}
	for _, level := range levels {
		if level == "" || strings.TrimSpace(level) != level {
			return "", errs.New(errs.Invalid, "a folder's name is neither empty nor does it begin or end with a space")
		}
		if strings.ContainsFunc(level, badInName) {
			return "", errs.New(errs.Invalid, "a folder's name has no control characters and none of * %% \\")
		}
	}
	return name, nil
}

// badInName finds wildcards, the backslash that begins a special use, and what
// RFC 5198 2 keeps out of net-unicode.
func badInName(r rune) bool {
	return strings.ContainsRune(`*%\`, r) || unicode.Is(unicode.Cc, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// above returns the names of the boxes that name lies below, the nearest last.
func above(name string) []string {
	var out []string
	for i, c := range name {
		if c == '/' {
			out = append(out, name[:i])
		}
	}
	return out
}

// isBelow reports whether a box's name lies below another's.
func isBelow(name, top string) bool {
	return len(name) > len(top) && name[:len(top)] == top && name[len(top)] == '/'
}
