package mss

import (
	"io"
	"mime"
	"net/mail"
	"strings"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox/message"
	"pli/mss/directory"
)

// maxReplyTo bounds the addresses of a Reply-To that are read.
const maxReplyTo = 5

// people names the fields whose addresses a reader sees.
var people = []string{"from", "sender", "reply-to", "to", "cc", "resent-from", "resent-sender", "resent-to", "resent-cc",
	"mail-followup-to", "mail-reply-to", "disposition-notification-to", "return-receipt-to", "apparently-to", "delivered-to", "x-original-to", "envelope-to"}

// readPeople reads From and Reply-To, and checks that From, MAIL FROM and
// whoever is at the door agree.
func (t *Transaction) readPeople(f *facts, h message.Header) error {
	var err error
	if f.from, f.name, err = oneAddress(h.Get("from")); err != nil {
		return refuse(HeaderFrom, "From must hold exactly one address")
	}
	if !t.mayWriteAs(f.from) {
		if t.peer != nil {
			return refuse(HeaderFrom, "the domain of From is not one of those that your certificate speaks for")
		}
		return refuse(HeaderFrom, "From is not the address of the one who signed in, or not that of MAIL FROM")
	}
	if sender := h.Get("sender"); sender != "" && t.peer == nil {
		if a, _, err := oneAddress(sender); err != nil || !t.mayWriteAs(a) {
			return refuse(HeaderFrom, "Sender is not the address of the one who signed in")
		}
	}
	for _, a := range message.ParseAddresses(h.Get("reply-to"), maxReplyTo) {
		if a, err := identity.ParseAddress(a.String()); err == nil {
			f.replyTo = append(f.replyTo, a)
		}
	}
	return nil
}

// mayWriteAs reports whether a may stand in From.
func (t *Transaction) mayWriteAs(a identity.Address) bool {
	if t.peer != nil {
		return t.peer.owns(a.Domain())
	}
	return t.sender.has(a) && (t.from.IsZero() || t.from.Key() == a.Key())
}

// oneAddress reads a field that holds exactly one address. What the law reads
// and what the mailbox will show must be the same.
func oneAddress(value string) (identity.Address, string, error) {
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: asItIs}}
	strict, err := parser.ParseList(value)
	shown := message.ParseAddresses(value, 2)
	if err != nil || len(strict) != 1 || len(shown) != 1 || strict[0].Address != shown[0].String() {
		return identity.Address{}, "", errNotOne
	}
	a, err := identity.ParseAddress(strict[0].Address)
	return a, shown[0].Name, err
}

var errNotOne = errs.New(errs.Invalid, "the field does not hold one address")

// asItIs reads a name in whatever character set: only the address counts.
func asItIs(_ string, r io.Reader) (io.Reader, error) { return r, nil }

// holdersIn adds the holders' addresses that stand anywhere in a field's
// value, in names and comments too, encoded words decoded.
func (s *Service) holdersIn(set map[string]bool, value string) {
	texts := []string{value}
	if strings.Contains(value, "=?") {
		texts = append(texts, message.DecodeHeader(value))
	}
	for _, domain := range s.cfg.Directory.Of(directory.Patient) {
		for _, text := range texts {
			addressesAt(set, lowerASCII(text), "@"+domain)
		}
	}
}

// addressesAt adds every local part that stands before at in lower-case text.
func addressesAt(set map[string]bool, text, at string) {
	for from := 0; ; {
		i := strings.Index(text[from:], at)
		if i < 0 {
			return
		}
		i += from
		from = i + len(at)
		rest := strings.TrimPrefix(text[from:], ".")
		if rest != "" && alphanumeric(rest[0]) || strings.HasPrefix(text[from:], "-") {
			continue // a longer domain
		}
		local := strings.TrimRight(text[:i], " \t\r\n\"")
		start := len(local)
		for start > 0 && localByte(local[start-1]) {
			start--
		}
		if local = strings.TrimLeft(local[start:], "'"); local != "" {
			set[local+at] = true
		}
	}
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// localByte reports whether c may stand in a local part. RFC 5322 3.2.3, RFC 6532.
func localByte(c byte) bool {
	return alphanumeric(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
