package mss

import (
	"bytes"
	"io"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"time"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox/message"
	"pli/mss/directory"
)

// facts is what the law needs to know of a message, read from its header.
type facts struct {
	from      identity.Address
	name      string             // beside From, for display
	replyTo   []identity.Address // as written; which of them count is for the exchange to say
	auto      bool               // a machine's answer (RFC 3834 5)
	fin       bool               // its sender ends the exchange
	messageID string             // without angle brackets, "" if there is none
	answers   []string           // the messages that it answers
	holders   map[string]bool    // holders' addresses in the fields that name people, by Key
	header    []byte             // what is kept: fields, added and taken away, and the blank line
}

// maxAnswers bounds the ids that are read from In-Reply-To and References.
const maxAnswers = 200

// maxReplyTo bounds the addresses of a Reply-To that are read.
const maxReplyTo = 5

// once names the fields that a header holds at most once. RFC 5322 3.6, RFC
// 2045 3: two would let two programs see two different messages.
var once = []string{"from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id",
	"in-reply-to", "references", "content-type", "content-transfer-encoding"}

// people names the fields whose addresses a reader sees.
var people = []string{"from", "sender", "reply-to", "to", "cc", "resent-from", "resent-sender", "resent-to", "resent-cc",
	"mail-followup-to", "mail-reply-to", "disposition-notification-to", "return-receipt-to", "apparently-to", "delivered-to", "x-original-to", "envelope-to"}

// examine reads a header, refuses one that breaks a rule, and rewrites it. id
// names the transaction.
func (t *Transaction) examine(head []byte, id string) (*facts, error) {
	h, end, err := message.ReadHeader(head)
	if err != nil || end != len(head) {
		return nil, refuse(BadHeader, "the header has a line that is no field")
	}
	f := &facts{holders: make(map[string]bool)}
	counts := make(map[string]int, len(h))
	out := bytes.NewBuffer(make([]byte, 0, len(head)+512))
	t.writeTrace(out, id)
	for i := range h {
		name := strings.ToLower(h[i].Name)
		if !fieldName(name) {
			return nil, refuse(BadHeader, "the header has a field whose name is not one")
		}
		counts[name]++
		if slices.Contains(people, name) {
			t.s.holdersIn(f.holders, h[i].Value)
		}
		if !t.s.dropped(name, h[i].Value) {
			out.Write(h[i].Raw)
		}
	}
	if counts["from"] != 1 {
		return nil, refuse(HeaderFrom, "the message needs exactly one From field")
	}
	for _, name := range once {
		if counts[name] > 1 {
			return nil, refuse(BadHeader, "the header has more than one "+name+" field")
		}
	}
	if counts["received"] > t.s.cfg.Limits.MaxReceived {
		return nil, refuse(Loop)
	}
	if err := t.readPeople(f, h); err != nil {
		return nil, err
	}
	readExchange(f, h)
	if len(h) > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\r\n")) {
		out.WriteString("\r\n") // the message ended within its header
	}
	t.complete(out, counts, id)
	out.WriteString("\r\n")
	f.header = out.Bytes()
	return f, nil
}

// fieldName reports whether s is a field name: printable ASCII but for the
// colon. RFC 5322 2.2.
func fieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// dropped reports whether a field is taken away: what tells of hidden
// recipients, what only the last server may say (RFC 5321 4.4), and what
// claims to be a finding of ours (RFC 8601 5).
func (s *Service) dropped(name, value string) bool {
	switch name {
	case "bcc", "resent-bcc", "return-path":
		return true
	case "authentication-results", "arc-authentication-results":
		return strings.Contains(strings.ToLower(value), strings.ToLower(s.cfg.Hostname))
	}
	return false
}

// writeTrace writes the fields that this server adds on top. RFC 5321 4.4.
func (t *Transaction) writeTrace(out *bytes.Buffer, id string) {
	date := t.s.cfg.Now().Format(time.RFC1123Z)
	out.WriteString("Return-Path: <" + t.from.String() + ">\r\n")
	if t.peer == nil { // RFC 5321 7.6: where a member is when writing is nobody's business
		out.WriteString("Received: by " + t.s.cfg.Hostname + " with " + t.protocol() + " id " + id + ";\r\n\t" + date + "\r\n")
		return
	}
	from := "unknown"
	if hello(t.params.Helo) {
		from = t.params.Helo
	}
	if hello(t.params.Remote) && t.params.Remote != "" {
		from += " ([" + t.params.Remote + "])"
	}
	out.WriteString("Received: from " + from + "\r\n\tby " + t.s.cfg.Hostname + " with " + t.protocol() + " id " + id + ";\r\n\t" + date + "\r\n")
}

// protocol names how the message came (RFC 3848, RFC 6531 4.3).
func (t *Transaction) protocol() string {
	name := t.params.Protocol
	if name == "" {
		name = "ESMTPS"
		if t.peer == nil {
			name = "ESMTPSA"
		}
	}
	if t.params.SMTPUTF8 {
		name = "UTF8" + strings.TrimPrefix(name, "E")
	}
	return name
}

// hello reports whether s may stand in a Received field as it is.
func hello(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(".-:[]_", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 255
}

// complete adds what a submitted message lacks. RFC 6409 8.
func (t *Transaction) complete(out *bytes.Buffer, counts map[string]int, id string) {
	if t.peer != nil {
		return
	}
	if counts["date"] == 0 {
		out.WriteString("Date: " + t.s.cfg.Now().Format(time.RFC1123Z) + "\r\n")
	}
	if counts["message-id"] == 0 {
		out.WriteString("Message-ID: <" + id + "@" + t.s.cfg.Hostname + ">\r\n")
	}
	if counts["x-mss-nil"] == 0 && t.s.cfg.Product != "" { // ECO.2.4.3
		out.WriteString("X-MSS-NIL: " + t.s.cfg.Product + "\r\n")
	}
}

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

// readExchange reads what bears on exchanges.
func readExchange(f *facts, h message.Header) {
	for _, v := range h.Values("auto-submitted") {
		word, _, _ := strings.Cut(v, ";")
		word, _, _ = strings.Cut(word, "(")
		f.auto = f.auto || !strings.EqualFold(strings.TrimSpace(word), "no") // RFC 3834 5
	}
	for _, v := range h.Values("x-mss-mes") {
		f.fin = f.fin || strings.EqualFold(strings.TrimSpace(v), "FIN") // ECO.2.2.8
	}
	// mssante.md 2: exactly, in upper case.
	f.fin = f.fin || message.DecodeHeader(h.Get("subject")) == "[FIN]"
	if ids := messageIDs(h.Get("message-id"), 1); len(ids) > 0 {
		f.messageID = ids[0]
	}
	f.answers = messageIDs(h.Get("in-reply-to")+" "+h.Get("references"), maxAnswers)
}

// messageIDs returns at most max ids in angle brackets, without these.
func messageIDs(s string, max int) []string {
	var out []string
	for len(out) < max {
		_, rest, ok := strings.Cut(s, "<")
		if !ok {
			break
		}
		id, rest, ok := strings.Cut(rest, ">")
		if !ok {
			break
		}
		if id != "" {
			out = append(out, id)
		}
		s = rest
	}
	return out
}

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
