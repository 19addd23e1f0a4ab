package imapd_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"pli/mailbox/imapd"
)

// pipeListener accepts the ends of pipes.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// FuzzSession feeds bytes to a signed-in session. Whatever they are, the
// session ends, the server lives, and the mail stays whole (see serve).
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		"a SELECT INBOX\r\nb FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[]<0.10> BODY[1.MIME])\r\n",
		"a SELECT INBOX\r\nb UID SEARCH RETURN (SAVE MIN) OR NOT (SEEN) SMALLER 5 LARGER 3 SUBJECT {3+}\r\nabc\r\nc COPY $ Trash\r\n",
		"a APPEND INBOX (\\Seen) {5+}\r\nhello\r\nb APPEND INBOX UTF8 (~{2+}\r\nhi)\r\n",
		"a IDLE\r\nDONE\r\nb LIST (SUBSCRIBED) \"\" (a* %b) RETURN (STATUS (MESSAGES))\r\nc LOGOUT\r\n",
		"a EXAMINE INBOX\r\nb STORE 1 +FLAGS (a)\r\nc MOVE 1:* Trash\r\nd CLOSE\r\ne STATUS INBOX (SIZE DELETED-STORAGE)\r\n",
		"a CREATE {3+}\r\na/b\r\nb RENAME a c\r\nc DELETE c/b\r\nd ENABLE IMAP4rev2\r\ne SELECT INBOX\r\nf BINARY\r\n",
		"a GETQUOTAROOT \"INBOX\"\r\nb GETQUOTA {0+}\r\n\r\nc CREATE \"\xc3\x89t\xc3\xa9\"\r\nd STATUS INBOX (DELETED-STORAGE)\r\ne UNAUTHENTICATE\r\nf GETQUOTA \"\"\r\n",
		"a SELECT INBOX\r\nb FETCH 1 (BINARY[1]<1.9> BINARY.SIZE[2] BODY[2.HEADER.FIELDS.NOT (a b)])\r\nc UID EXPUNGE 1:*\r\n",
	} {
		f.Add([]byte(seed))
	}
	h := newHouse(f, func(cfg *imapd.Config) {
		cfg.CommandTimeout, cfg.StallTimeout, cfg.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	})
	l := make(pipeListener)
	go h.srv.Serve(l, true)
	f.Cleanup(func() { close(l) })
	h.deliver(nested)
	h.deliver(letter("one", "x"))
	f.Fuzz(func(t *testing.T, script []byte) {
		near, far := net.Pipe()
		l <- far
		cfg := h.tlsConfig()
		cfg.ClientSessionCache = nil
		c := tls.Client(near, cfg)
		w := newWire(t, c)
		w.line()
		w.ok("LOGIN %s %s", h.user, h.pass)
		go func() {
			c.Write(script)
			c.Write([]byte("\r\nend LOGOUT\r\n"))
		}()
		w.ends()
	})
}
