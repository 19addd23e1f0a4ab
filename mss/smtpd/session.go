package smtpd

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"

	"pli/identity"
	"pli/internal/errs"
	"pli/mss"
	"pli/mss/directory"
	"pli/signin"
)

// session is one client after its greeting. The library calls its methods one
// after another.
type session struct {
	s    *Server
	l    *link
	conn *smtp.Conn
	ctx  context.Context
	end  context.CancelFunc

	peer     *mss.Peer           // MX: who calls, once known
	sender   *mss.Sender         // submission: who has signed in
	boxes    []directory.Mailbox // instead: a certificate's, of which MAIL chooses
	held     []held              // what it signed in by
	unwatch  []func()            // of each
	checked  time.Time           // when they were last known to stand
	failures int                 // of signing in
	tx       *mss.Transaction    // nil: no message has begun
}

func newSession(s *Server, c *smtp.Conn) (smtp.Session, error) {
	l, ok := c.Conn().(*link)
	if !ok || l.dead {
		return nil, errInternal
	}
	ctx := s.ctx
	if addr, err := netip.ParseAddr(l.host); err == nil {
		ctx = signin.From(ctx, addr)
	}
	ses := &session{s: s, l: l, conn: c}
	ses.ctx, ses.end = context.WithCancel(ctx)
	if l.role == roleMX {
		return ses, nil
	}
	return &member{ses}, nil
}

// member is a session in which one can sign in.
type member struct{ *session }

// Mail begins a message.
func (s *session) Mail(from string, opts *smtp.MailOptions) error {
	switch {
	case s.tx != nil:
		return errNested // RFC 5321 4.1.4
	case !opts.UTF8 && !ascii(from):
		return errNeedUTF8 // RFC 6531 3.5
	}
	p := mss.Params{Size: opts.Size, Body: string(opts.Body), SMTPUTF8: opts.UTF8, Ret: string(opts.Return), EnvID: opts.EnvelopeID,
		Helo: s.conn.Hostname(), Remote: s.l.host}
	if err := s.still(); err != nil {
		return err
	}
	tx, err := s.begin(from, p)
	if err != nil {
		return reply(err)
	}
	if s.l.role == roleMX {
		s.l.wire.known()
	}
	s.tx = tx
	return nil
}

func (s *session) begin(from string, p mss.Params) (*mss.Transaction, error) {
	if s.l.role != roleMX {
		sender := s.senderFor(from)
		if sender == nil {
			return nil, refusal(mss.AuthRequired, "sign in first")
		}
		return s.s.cfg.Service.FromMember(s.ctx, *sender, from, p)
	}
	if s.peer == nil {
		peer, err := s.s.cfg.Service.Peer(s.l.tls.ConnectionState())
		if err != nil {
			return nil, err
		}
		s.peer = peer
	}
	return s.s.cfg.Service.FromPeer(s.ctx, s.peer, from, p)
}

// senderFor returns who has signed in. A certificate that opens several
// mailboxes speaks for the one that MAIL names, else for the first.
func (s *session) senderFor(from string) *mss.Sender {
	if s.sender != nil || len(s.boxes) == 0 {
		return s.sender
	}
	box := s.boxes[0]
	if a, err := identity.ParseAddress(from); err == nil {
		for _, b := range s.boxes {
			if b.Address.Key() == a.Key() {
				box = b
			}
		}
	}
	return &mss.Sender{Actor: box.Actor, Addresses: []identity.Address{box.Address}, Account: box.Account}
}

// Rcpt adds a recipient.
func (s *session) Rcpt(to string, opts *smtp.RcptOptions) error {
	if s.tx == nil {
		return errNoMail
	}
	if !ascii(to) && !s.tx.UTF8() {
		return errNeedUTF8
	}
	if err := s.still(); err != nil {
		return err
	}
	p := mss.RcptParams{ORcpt: opts.OriginalRecipient}
	for _, n := range opts.Notify {
		p.Notify = append(p.Notify, string(n))
	}
	err := s.tx.Rcpt(s.ctx, to, p)
	if err == nil {
		s.l.fruitless = 0
	}
	return s.told(err)
}

// Data takes the message, from the link and not from the library's reader,
// which then finds the end of an empty message.
func (s *session) Data(io.Reader) error {
	b := s.l.body()
	s.l.pending = []byte(".\r\n")
	if s.tx == nil {
		b.drain()
		return errNoMail
	}
	if err := s.still(); err != nil {
		b.drain()
		return err
	}
	id, err := s.tx.Data(s.ctx, b)
	if err != nil {
		// Bytes that another server might take for the end of the message:
		// what follows may not be this client's own words.
		s.l.last = mss.ReasonOf(err) == mss.BareNewline
		b.drain()
		return s.told(err)
	}
	s.l.instead("250 2.0.0 taken as " + id + "\r\n")
	return nil
}

// told turns a failure outward, and logs one of ours.
func (s *session) told(err error) error {
	if err != nil && mss.ReasonOf(err) == 0 && !mss.IsReadError(err) && !errors.Is(err, context.Canceled) {
		s.s.cfg.Log.Error("a message could not be taken", "kind", errs.KindOf(err).String(), "error", err)
	}
	return reply(err)
}

// Reset gives up the message that has begun.
func (s *session) Reset() {
	if s.tx != nil {
		s.tx.Close()
		s.tx = nil
	}
}

// Logout ends the session.
func (s *session) Logout() error {
	s.Reset()
	s.end()
	for _, stop := range s.unwatch {
		stop()
	}
	s.unwatch = nil
	return nil
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
