// Package message reads a mail's shape in one bounded pass.
//
// A Scanner takes the bytes as they arrive and answers with an Index: envelope,
// tree of parts with their offsets, preview, folded text. It obeys RFC 5322,
// 2045, 2046, 2047, 2231 and 6532, leniently: there is no mail that it
// refuses, and none that costs more than its Limits allow. Lines may end in
// CRLF or in a bare LF; offsets always count the bytes as they came.
package message

import "time"

// Index is what one pass over a message found. It is a value to keep: it
// encodes to at most one record (store.MaxValue), and all its text is UTF-8
// without control characters.
type Index struct {
	Size     int64    `cbor:"1,keyasint"`           // bytes of the whole message
	Header   Span     `cbor:"2,keyasint"`           // the message's own header, its blank line included
	Envelope Envelope `cbor:"3,keyasint"`           // of the message's own header
	Root     Part     `cbor:"4,keyasint"`           // the message's body as a tree
	Preview  string   `cbor:"5,keyasint,omitempty"` // first words of the text, at most 200 runes
	// Text is the message's text under Fold, for searching: text/plain and
	// text/html (without its tags; left out where text/plain says the same),
	// and the subjects of messages within. At most Limits.MaxText bytes.
	Text string `cbor:"6,keyasint,omitempty"`
	// Fields holds the first value, unfolded and decoded, of the few header
	// fields that the house asks about later: x-mss-mes, x-mss-nil,
	// x-mss-codecda, x-mss-ins, auto-submitted, disposition-notification-to,
	// list-id. Names are lower-case; a field that is absent has no entry.
	Fields map[string]string `cbor:"7,keyasint,omitempty"`
	// Truncated names the first bound that was met ("header", "parts",
	// "depth", "params", "addresses", "index"), or is empty. Text that was
	// cut at MaxText does not count.
	Truncated string `cbor:"8,keyasint,omitempty"`
}

// Span is a stretch of the message: bytes Start up to, not including, End.
type Span struct {
	Start int64 `cbor:"1,keyasint"`
	End   int64 `cbor:"2,keyasint"`
}

// Len returns the number of bytes in the span.
func (s Span) Len() int64 { return s.End - s.Start }

// Envelope is what a header says of a message (RFC 9051 7.5.2), decoded to
// UTF-8. Message ids stand without their angle brackets.
type Envelope struct {
	Date       time.Time `cbor:"1,keyasint,omitzero"` // zero if absent or not to be understood
	Subject    string    `cbor:"2,keyasint,omitempty"`
	From       []Address `cbor:"3,keyasint,omitempty"`
	Sender     []Address `cbor:"4,keyasint,omitempty"` // as written: empty if absent
	ReplyTo    []Address `cbor:"5,keyasint,omitempty"` // as written: empty if absent
	To         []Address `cbor:"6,keyasint,omitempty"`
	Cc         []Address `cbor:"7,keyasint,omitempty"`
	Bcc        []Address `cbor:"8,keyasint,omitempty"`
	InReplyTo  []string  `cbor:"9,keyasint,omitempty"`
	MessageID  string    `cbor:"10,keyasint,omitempty"`
	References []string  `cbor:"11,keyasint,omitempty"`
}

// Address is one mailbox of an address field; groups are flattened to their
// members. Mailbox is never empty. Host is empty where the sender wrote none
// (an IMAP face shows a placeholder then: a NIL host means a group there).
type Address struct {
	Name    string `cbor:"1,keyasint,omitempty"`
	Mailbox string `cbor:"2,keyasint"`
	Host    string `cbor:"3,keyasint,omitempty"`
}

// String returns mailbox@host, without the name.
func (a Address) String() string {
	if a.Host == "" {
		return a.Mailbox
	}
	return a.Mailbox + "@" + a.Host
}

// Part is one MIME entity. What holds for each:
//   - 0 <= HeaderStart <= BodyStart <= End; children lie within their parent;
//   - Type "multipart" has at least one child (one without is shown as
//     text/plain, or as application/octet-stream beyond a bound), nothing else has any;
//   - "message/rfc822" and "message/global" have a Message, nothing else has
//     (one whose encoding hides it is shown as application/octet-stream).
type Part struct {
	Type     string            `cbor:"1,keyasint"`           // "text", lower-case
	Subtype  string            `cbor:"2,keyasint"`           // "plain", lower-case
	Params   map[string]string `cbor:"3,keyasint,omitempty"` // names lower-case, values decoded (RFC 2231)
	ID       string            `cbor:"4,keyasint,omitempty"` // Content-ID with its angle brackets
	Encoding string            `cbor:"5,keyasint"`           // lower-case, "7bit" if absent
	// Description, MD5, Language and Location are the header fields of that name.
	Description       string            `cbor:"6,keyasint,omitempty"`
	MD5               string            `cbor:"7,keyasint,omitempty"`
	Disposition       string            `cbor:"8,keyasint,omitempty"` // "attachment", "inline", …, lower-case; empty if absent
	DispositionParams map[string]string `cbor:"9,keyasint,omitempty"`
	Language          []string          `cbor:"10,keyasint,omitempty"`
	Location          string            `cbor:"11,keyasint,omitempty"`

	HeaderStart int64 `cbor:"12,keyasint"` // offset in the message of the part's MIME header
	BodyStart   int64 `cbor:"13,keyasint"` // offset of its content, still encoded
	End         int64 `cbor:"14,keyasint"` // offset after its content; the line end before a boundary is not content
	Lines       int64 `cbor:"15,keyasint"` // line feeds in the content

	Children []Part    `cbor:"16,keyasint,omitempty"`
	Message  *Embedded `cbor:"17,keyasint,omitempty"`
}

// Embedded is a message within a message. Its Root's header is the embedded
// message's own header: bytes HeaderStart up to BodyStart.
type Embedded struct {
	Envelope Envelope `cbor:"1,keyasint"`
	Root     Part     `cbor:"2,keyasint"`
}

// Size returns the number of bytes of the content, still encoded.
func (p *Part) Size() int64 { return p.End - p.BodyStart }

// MediaType returns "type/subtype", lower-case.
func (p *Part) MediaType() string { return p.Type + "/" + p.Subtype }
