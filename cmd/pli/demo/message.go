package demo

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"strings"
	"time"
)

// Attachment is one file of a Message.
type Attachment struct {
	Type, Name string // media type, file name
	Content    []byte
}

// Message is a mail as a practice's software composes it.
type Message struct {
	From, To, Subject string
	Header            [][2]string // further fields, in order
	Text              string
	Attachments       []Attachment
	ID                string // Message-ID without the angle brackets
	Date              time.Time
}

// Bytes returns the message in RFC 5322 form with CRLF line ends: plain text,
// or multipart/mixed when there is an attachment.
func (m Message) Bytes() []byte {
	var b bytes.Buffer
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	field("From", m.From)
	field("To", m.To)
	field("Subject", mime.QEncoding.Encode("utf-8", m.Subject))
	field("Date", m.Date.Format(time.RFC1123Z))
	field("Message-ID", "<"+m.ID+">")
	for _, h := range m.Header {
		field(h[0], h[1])
	}
	field("MIME-Version", "1.0")
	if len(m.Attachments) == 0 {
		writePart(&b, "text/plain; charset=utf-8", "", "", []byte(crlf(m.Text)))
		return b.Bytes()
	}
	boundary := "=_pli_" + strings.Map(alphanumeric, m.ID)
	field("Content-Type", `multipart/mixed; boundary="`+boundary+`"`)
	fmt.Fprintf(&b, "\r\n--%s\r\n", boundary)
	writePart(&b, "text/plain; charset=utf-8", "", "", []byte(crlf(m.Text)))
	for _, a := range m.Attachments {
		fmt.Fprintf(&b, "--%s\r\n", boundary)
		writePart(&b, a.Type, "attachment", a.Name, a.Content)
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}

// writePart writes one base64 part, its header first.
func writePart(b *bytes.Buffer, mediaType, disposition, name string, content []byte) {
	fmt.Fprintf(b, "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", mediaType)
	if disposition != "" {
		fmt.Fprintf(b, "Content-Disposition: %s\r\n", mime.FormatMediaType(disposition, map[string]string{"filename": name}))
	}
	b.WriteString("\r\n")
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func alphanumeric(r rune) rune {
	if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}
