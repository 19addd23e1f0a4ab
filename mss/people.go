package mss

import (
	"io"
	"mime"
	"net/mail"
	"strings"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox/message"
)

// maxReplyTo bounds the addresses of a Reply-To that are read.
const maxReplyTo = 5

// people names the fields whose addresses a reader sees.
var people = []string{"from", "sender", "reply-to", "to", "cc", "resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc",
	"mail-followup-to", "mail-reply-to", "disposition-notification-to", "return-receipt-to", "errors-to", "apparently-to", "delivered-to",
	"x-original-to", "x-envelope-to", "x-rcpt-to", "envelope-to"}

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
		if a, err := addressOf(a); err == nil {
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

// addressOf returns an address as the house compares them: its domain in the
// one form that all its spellings have, white space gone from the rest.
func addressOf(a message.Address) (identity.Address, error) {
	return identity.ParseAddress(strings.Join(strings.Fields(a.Mailbox), "") + "@" + strings.TrimSuffix(a.Host, "."))
}

var errNotOne = errs.New(errs.Invalid, "the field does not hold one address")

// asItIs reads a name in whatever character set: only the address counts.
func asItIs(_ string, r io.Reader) (io.Reader, error) { return r, nil }
