package mss

import (
	"bytes"
	"slices"
	"strings"

	"pli/identity"
	"pli/mailbox/message"
)

// facts is what the law needs to know of a message, read from its header.
type facts struct {
	from      identity.Address
	name      string             // beside From, for display
	replyTo   []identity.Address // as written; which of them count is for the exchange to say
	auto      bool               // a machine's answer (RFC 3834 5)
	fin       bool               // its sender ends the exchange
	ownID     bool               // it came with a Message-ID
	messageID string             // without angle brackets, "" if there is none
	answers   []string           // the messages that it answers
	holders   map[string]bool    // holders' addresses in the fields that name people, by Key
	header    []byte             // what is kept: fields, added and taken away, and the blank line
}

// maxAnswers bounds the ids that are read from In-Reply-To and References.
const maxAnswers = 200

// once names the fields that a header holds at most once. RFC 5322 3.6, RFC
// 2045 3: two would let two programs see two different messages.
var once = []string{"from", "sender", "reply-to", "to", "cc", "subject", "date", "message-id",
	"in-reply-to", "references", "content-type", "content-transfer-encoding"}

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
			if err := t.s.holdersIn(f.holders, h[i].Value); err != nil {
				return nil, err
			}
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
	f.ownID = strings.TrimSpace(h.Get("message-id")) != ""
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
