package mss

import (
	"bytes"
	"strings"
	"time"
)

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
	if t.params.SMTPUTF8 && strings.HasSuffix(strings.TrimRight(name, "AS"), "SMTP") { // RFC 6531 4.3; the portal is no SMTP
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
