// Package folder drops notices as e-mail files into a folder, for
// demonstrations and tests.
package folder

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"mime"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"pli/internal/errs"
	"pli/notify"
)

// Sender writes each notice as one .eml file (RFC 5322, RFC 6532), named by
// its time so that a listing is in order. What goes to a telephone number is
// addressed to number@sms.invalid.
type Sender struct {
	dir  string
	from string
	now  func() time.Time
}

// New returns a sender that writes into dir, which it makes if need be. from
// is the address in From.
func New(dir, from string, now func() time.Time) (*Sender, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.Wrap(err, errs.Internal, "the outbox folder cannot be made")
	}
	return &Sender{dir: dir, from: from, now: now}, nil
}

// Send writes one file, whole or not at all, synced to disk. Errors:
// errs.Invalid for an address, subject or kind with control characters.
func (s *Sender) Send(ctx context.Context, n notify.Notice) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if strings.ContainsFunc(n.To+n.Subject+n.Kind, unicode.IsControl) || n.To == "" {
		return errs.New(errs.Invalid, "a notice's address, subject and kind are one line each")
	}
	id := fmt.Sprintf("%s-%s", s.now().UTC().Format("20060102T150405.000"), strings.ToLower(rand.Text()[:10]))
	return s.write(id+".eml", s.message(id, n))
}

// message returns the notice as a mail.
func (s *Sender) message(id string, n notify.Notice) []byte {
	to := n.To
	if !strings.Contains(to, "@") {
		to += "@sms.invalid"
	}
	_, domain, _ := strings.Cut(s.from, "@")
	var b bytes.Buffer
	fmt.Fprintf(&b, "Date: %s\r\n", s.now().Format(time.RFC1123Z))
	fmt.Fprintf(&b, "From: <%s>\r\nTo: <%s>\r\n", s.from, to)
	fmt.Fprintf(&b, "Subject: %s\r\n", strings.ReplaceAll(mime.QEncoding.Encode("utf-8", n.Subject), "?= =?", "?=\r\n =?"))
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\n", id, domain)
	fmt.Fprintf(&b, "Auto-Submitted: auto-generated\r\nX-Pli-Notice: %s\r\n", n.Kind)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	for line := range strings.Lines(n.Body) {
		b.WriteString(strings.TrimRight(line, "\r\n") + "\r\n")
	}
	return b.Bytes()
}

// write puts a file into the folder in one step.
func (s *Sender) write(name string, content []byte) error {
	f, err := os.CreateTemp(s.dir, ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
