package smtpd_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// client is a raw SMTP client: it sends what it is told, bytes for bytes.
type client struct {
	t testing.TB
	h *house
	c net.Conn
	r *bufio.Reader
}

// dial opens a connection in clear.
func (h *house) dial(addr string) *client {
	h.t.Helper()
	c, err := net.Dial("tcp", addr)
	h.must(err)
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{h.t, h, c, bufio.NewReader(c)}
}

// secure begins TLS, showing certificates.
func (c *client) secure(shown ...tls.Certificate) *client {
	c.t.Helper()
	tc := tls.Client(c.c, &tls.Config{RootCAs: c.h.roots, ServerName: "127.0.0.1", Certificates: shown})
	c.h.must(tc.Handshake())
	c.c, c.r = tc, bufio.NewReader(tc)
	return c
}

// peer is a connection of the operator's to the MX, after EHLO.
func (h *house) peer() *client { return h.starttls(h.mx, h.caller) }

// starttls is a connection after STARTTLS and EHLO.
func (h *house) starttls(addr string, shown ...tls.Certificate) *client {
	h.t.Helper()
	c := h.dial(addr)
	c.reply("220")
	c.cmd("250", "EHLO smtp.autre.test")
	c.cmd("220", "STARTTLS")
	c.secure(shown...)
	c.cmd("250", "EHLO smtp.autre.test")
	return c
}

// signedIn is a member's connection with implicit TLS, signed in by password.
func (p *person) signedIn() *client {
	p.h.t.Helper()
	c := p.h.dial(p.h.submits).secure()
	c.reply("220")
	c.cmd("250", "EHLO client.example")
	c.cmd("235", "AUTH PLAIN %s", p.plain())
	return c
}

func (p *person) plain() string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + p.address.String() + "\x00" + p.secret))
}

func (c *client) write(text string) {
	c.t.Helper()
	if _, err := c.c.Write([]byte(text)); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// read returns one reply, its lines joined by a line feed; "" where the
// connection has ended.
func (c *client) read() string {
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n")
		}
		line = strings.TrimSuffix(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// reply reads one reply and checks how it begins.
func (c *client) reply(want string) string {
	c.t.Helper()
	got := c.read()
	last := got[strings.LastIndexByte(got, '\n')+1:]
	if !strings.HasPrefix(last, want) {
		c.t.Fatalf("got %q, want %s", got, want)
	}
	return got
}

// cmd sends one command and checks its reply.
func (c *client) cmd(want, format string, args ...any) string {
	c.t.Helper()
	c.write(fmt.Sprintf(format, args...) + "\r\n")
	got := c.read()
	last := got[strings.LastIndexByte(got, '\n')+1:]
	if !strings.HasPrefix(last, want) {
		c.t.Fatalf("%s: got %q, want %s", fmt.Sprintf(format, args...), got, want)
	}
	return got
}

// ended checks that the server has ended the connection, and said nothing more.
func (c *client) ended() {
	c.t.Helper()
	if got := c.read(); got != "" {
		c.t.Fatalf("the connection lives: %q", got)
	}
}

// begin gives a sender and recipients.
func (c *client) begin(from string, to ...string) *client {
	c.t.Helper()
	c.cmd("250", "MAIL FROM:<%s>", from)
	for _, r := range to {
		c.cmd("250", "RCPT TO:<%s>", r)
	}
	return c
}

// data sends a whole message by DATA and checks the answer.
func (c *client) data(want, text string) string {
	c.t.Helper()
	c.cmd("354", "DATA")
	c.write(strings.ReplaceAll(text, "\r\n.", "\r\n.."))
	return c.cmd(want, ".")
}

// bdat sends a whole message by BDAT in pieces of a size and checks the answer.
func (c *client) bdat(want, text string, size int) string {
	c.t.Helper()
	for len(text) > size {
		c.write(fmt.Sprintf("BDAT %d\r\n%s", size, text[:size]))
		c.reply("250")
		text = text[size:]
	}
	c.write(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
	return c.reply(want)
}

// alive checks that the connection is in step: the next message goes through.
func (c *client) alive(from string, to *person) {
	c.t.Helper()
	before := len(to.letters())
	c.begin(from, to.address.String())
	c.data("250", mailText("From: "+from, fmt.Sprintf("X-Alive: %d", time.Now().UnixNano())))
	if after := len(to.letters()); after != before+1 {
		c.t.Fatalf("%d letters after %d", after, before)
	}
}
