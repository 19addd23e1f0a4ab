package testenv

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"pli/cmd/pli/demo"
)

// Run runs a program that nobody here wrote and returns what it printed, both
// streams together, and its error.
func (e *Env) Run(name string, args ...string) (string, error) {
	e.T.Helper()
	cmd := exec.Command(Tool(e.T, name), args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Submit sends a message as a member or holder signed in with a mail password.
func (e *Env) Submit(address, password string, to []string, message []byte) error {
	c, err := smtp.DialTLS(e.File.Submissions, e.TLS("", ""))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", address, password)); err != nil {
		return err
	}
	return c.SendMail(address, to, bytes.NewReader(message))
}

// Write sends a message of m's sender, whose mail password is given, to m's
// recipient, and fails the test if it is refused.
func (e *Env) Write(password string, m demo.Message) {
	e.T.Helper()
	if err := e.Submit(m.From, password, []string{m.To}, e.Complete(m).Bytes()); err != nil {
		e.T.Fatalf("%s could not write to %s: %v", m.From, m.To, err)
	}
}

// Complete gives m a Message-ID and a date where it has none.
func (e *Env) Complete(m demo.Message) demo.Message {
	if m.ID == "" {
		m.ID = unique() + "@test.invalid"
	}
	if m.Date.IsZero() {
		m.Date = e.Clock.Now()
	}
	return m
}

// PeerClient connects to the MX as the peer operator with that certificate
// (none if empty), up to EHLO after STARTTLS.
func (e *Env) PeerClient(cert, key string) (*smtp.Client, error) {
	return smtp.DialStartTLS(e.File.MX, e.TLS(cert, key))
}

// Deliver sends a message on the MX as the demo's peer operator.
func (e *Env) Deliver(from string, to []string, message []byte) error {
	op := e.File.Operators[0]
	c, err := e.PeerClient(op.Cert, op.Key)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.SendMail(from, to, bytes.NewReader(message))
}

// SMTPCode returns the codes of an SMTP refusal as "550 5.7.1", "" for none.
func SMTPCode(err error) string {
	var e *smtp.SMTPError
	if !errors.As(err, &e) {
		return ""
	}
	return strings.TrimSpace(strings.Join([]string{itoa(e.Code), strings.Join([]string{itoa(e.EnhancedCode[0]), itoa(e.EnhancedCode[1]), itoa(e.EnhancedCode[2])}, ".")}, " "))
}

// IMAP signs in to the IMAPS port with a mail password, and enables names in
// UTF-8, which the client writes from then on.
func (e *Env) IMAP(address, password string, options ...func(*imapclient.Options)) *imapclient.Client {
	e.T.Helper()
	o := &imapclient.Options{TLSConfig: e.TLS("", "")}
	for _, f := range options {
		f(o)
	}
	c, err := imapclient.DialTLS(e.File.IMAPS, o)
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { c.Close() })
	if err := c.Login(address, password).Wait(); err != nil {
		e.T.Fatalf("IMAP sign-in of %s: %v", address, err)
	}
	if _, err := c.Enable(imap.CapUTF8Accept).Wait(); err != nil {
		e.T.Fatalf("ENABLE: %v", err)
	}
	return c
}

// Letter is one message as an IMAP client sees it.
type Letter struct {
	Subject, MessageID string
	Flags              []imap.Flag
	Raw                string
}

// Mailbox reads a whole mailbox without setting any flag.
func (e *Env) Mailbox(address, password, box string) []Letter {
	e.T.Helper()
	c := e.IMAP(address, password)
	defer c.Close()
	if _, err := c.Select(box, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		e.T.Fatal(err)
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	section := &imap.FetchItemBodySection{Peek: true}
	list, err := c.Fetch(all, &imap.FetchOptions{Envelope: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		e.T.Fatal(err)
	}
	var out []Letter
	for _, m := range list {
		out = append(out, Letter{m.Envelope.Subject, m.Envelope.MessageID, m.Flags, string(m.FindBodySection(section))})
	}
	return out
}

// Raw is a bare TLS connection to a port, for what no well-bred client says.
type Raw struct {
	*tls.Conn
	env *Env
}

// RawTLS opens a TLS connection to a port.
func (e *Env) RawTLS(addr string) *Raw {
	e.T.Helper()
	c, err := tls.Dial("tcp", addr, e.TLS("", ""))
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { c.Close() })
	return &Raw{c, e}
}

// Say writes bytes and reads until the answer contains want, or fails.
func (r *Raw) Say(text, want string) string {
	r.env.T.Helper()
	r.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(r, text); err != nil {
		r.env.T.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(got), want) {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			r.env.T.Fatalf("waiting for %q: %v; got %q", want, err, got)
		}
	}
	return string(got)
}

// Hold opens a bare TCP connection and leaves it silent until the test ends.
func (e *Env) Hold(addr string) {
	e.T.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		e.T.Fatal(err)
	}
	e.T.Cleanup(func() { c.Close() })
}
