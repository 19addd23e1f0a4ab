// Package compose writes the message that a form describes, as it flows by.
//
// Nothing is held: attachments pass through while they arrive, so that a
// message of 25 MB costs a few kilobytes of memory.
package compose

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"
)

// Person is one who writes or is written to.
type Person struct {
	Name    string
	Address string // local@domain
}

// Letter is a message before its attachments.
type Letter struct {
	From       Person
	To         []Person
	Subject    string
	Date       time.Time
	MessageID  string   // without angle brackets
	InReplyTo  string   // without angle brackets, "" if it answers none
	References []string // oldest first, without angle brackets
	Text       string   // plain text, lines ended as one likes
	Boundary   string   // a random word for the limit between parts, [0-9a-z]+
	// Ends says in the header that the exchange is over
	// (MSSanté #2 ECO.2.2.8, X-MSS-MES: FIN).
	Ends bool
}

// Writer writes one message: NewWriter, any number of Attach, Close.
type Writer struct {
	w       *bufio.Writer
	letter  Letter
	parts   int
	started bool
	err     error
}

// The failures of a letter that cannot be written.
var (
	ErrHeader = errors.New("compose: a control character in a header value")
	ErrEmpty  = errors.New("compose: no sender")
)

// NewWriter checks the letter's header values and returns a writer of it.
// Nothing is written before Attach or Close.
func NewWriter(w io.Writer, l Letter) (*Writer, error) {
	if l.From.Address == "" {
		return nil, ErrEmpty
	}
	values := append([]string{l.From.Name, l.From.Address, l.Subject, l.MessageID, l.InReplyTo, l.Boundary}, l.References...)
	for _, p := range l.To {
		values = append(values, p.Name, p.Address)
	}
	for _, v := range values {
		if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return nil, ErrHeader
		}
	}
	return &Writer{w: bufio.NewWriterSize(w, 32*1024), letter: l}, nil
}

// Attach writes one attachment, read to its end. The name is shortened where
// a header line would grow over its limit.
func (w *Writer) Attach(name, mediaType string, r io.Reader) error {
	if w.err != nil {
		return w.err
	}
	w.begin(true)
	w.part(mediaType, name)
	lines := &lineWriter{w: w.w}
	enc := base64.NewEncoder(base64.StdEncoding, lines)
	if _, err := io.Copy(enc, r); err != nil {
		w.err = err
		return err
	}
	enc.Close()
	w.print("\r\n")
	return w.err
}

// Close ends the message.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.begin(false); w.parts > 0 {
		w.print("--" + w.letter.Boundary + "--\r\n")
	}
	if err := w.w.Flush(); w.err == nil {
		w.err = err
	}
	return w.err
}

func (w *Writer) print(s string) {
	if _, err := w.w.WriteString(s); err != nil && w.err == nil {
		w.err = err
	}
}

// begin writes the header and the text, once.
func (w *Writer) begin(multipart bool) {
	if w.started {
		return
	}
	w.started = true
	w.header()
	if multipart {
		w.print("Content-Type: multipart/mixed;\r\n boundary=\"" + w.letter.Boundary + "\"\r\n\r\n")
		w.print("--" + w.letter.Boundary + "\r\n")
		w.parts++
	}
	w.print("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	qp := quotedprintable.NewWriter(w.w)
	text := strings.ReplaceAll(strings.ReplaceAll(w.letter.Text, "\r\n", "\n"), "\r", "\n")
	io.WriteString(qp, strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\n", "\r\n"))
	qp.Close()
	w.print("\r\n")
}

func (w *Writer) header() {
	l := w.letter
	w.print("Date: " + l.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\n")
	w.print("From: " + person(l.From) + "\r\n")
	to := make([]string, len(l.To))
	for i, p := range l.To {
		to[i] = person(p)
	}
	if len(to) > 0 { // a draft may have none yet
		w.print("To: " + strings.Join(to, ",\r\n ") + "\r\n")
	}
	w.print("Subject: " + encoded(l.Subject) + "\r\n")
	w.print("Message-ID: <" + l.MessageID + ">\r\n")
	if l.InReplyTo != "" {
		w.print("In-Reply-To: <" + l.InReplyTo + ">\r\n")
	}
	if len(l.References) > 0 {
		w.print("References: <" + strings.Join(l.References, ">\r\n <") + ">\r\n")
	}
	if l.Ends {
		w.print("X-MSS-MES: FIN\r\n")
	}
	w.print("MIME-Version: 1.0\r\n")
}

// part writes the limit and the header of one attachment.
func (w *Writer) part(mediaType, name string) {
	if w.parts > 0 {
		w.print("--" + w.letter.Boundary + "\r\n")
	}
	w.parts++
	w.print("Content-Type: " + mediaType + "\r\nContent-Transfer-Encoding: base64\r\n")
	w.print("Content-Disposition: " + disposition(name) + "\r\n\r\n")
}

// disposition names an attachment (RFC 2183, RFC 2231), within the length of
// a header line (RFC 5322 2.1.1).
func disposition(name string) string {
	name = FileName(name)
	for {
		s := strings.Replace(mime.FormatMediaType("attachment", map[string]string{"filename": name}), "; ", ";\r\n ", 1)
		if len(s) < 900 {
			return s
		}
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
}

// person writes a name and an address (RFC 5322 3.4; RFC 6532 where the
// address is not ASCII).
func person(p Person) string {
	if p.Name == "" {
		return "<" + p.Address + ">"
	}
	if isASCII(p.Name) && len(p.Name) < 60 {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.Name)
		return `"` + quoted + `" <` + p.Address + ">"
	}
	return encoded(p.Name) + "\r\n <" + p.Address + ">"
}

// encoded writes a header value in encoded words where it must (RFC 2047),
// folded between words. Base64 suits phrases and free text alike.
func encoded(s string) string {
	if !isASCII(s) {
		return strings.ReplaceAll(mime.BEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
	}
	if len(s) < 900 && !strings.Contains(s, "=?") {
		return s
	}
	var words []string
	for len(s) > 0 { // what is ASCII may be cut anywhere
		n := min(45, len(s))
		words = append(words, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(words, "\r\n ")
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// FileName makes a file's name fit to travel: its last element, without
// controls, "fichier" if nothing is left.
func FileName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '"' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.Trim(name, " .")
	if name == "" {
		return "fichier"
	}
	return name
}

// lineWriter breaks base64 into lines of 76 characters (RFC 2045 6.8).
type lineWriter struct {
	w   *bufio.Writer
	col int
}

func (l *lineWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(76-l.col, len(p))
		if _, err := l.w.Write(p[:n]); err != nil {
			return 0, fmt.Errorf("compose: %w", err)
		}
		p, l.col = p[n:], l.col+n
		if l.col == 76 {
			l.col = 0
			if _, err := l.w.WriteString("\r\n"); err != nil {
				return 0, fmt.Errorf("compose: %w", err)
			}
		}
	}
	return total, nil
}
