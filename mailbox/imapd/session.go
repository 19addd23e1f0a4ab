package imapd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/mailbox"
	"pli/signin"
)

// session is one connection's, for the library to call. The library runs one
// command at a time; IDLE has a goroutine of its own, which on some errors the
// library does not wait for: mu keeps the two apart.
type session struct {
	srv    *Server
	guard  *guard
	conn   *imapserver.Conn
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	opened   *signin.Opened // nil before sign-in
	unwatch  func()
	checked  time.Time // when the sign-in was last known to stand
	account  *mailbox.Account
	view     *mailbox.View // nil unless a box is selected
	saved    []mailbox.UID // what "$" stands for (RFC 5182)
	owes     bool          // expunges may have been withheld from the client
	failures int           // failed sign-ins
}

var _ interface {
	imapserver.SessionIMAP4rev2
	imapserver.SessionAppendLimit
	imapserver.SessionUnauthenticate
} = (*session)(nil)

// newSession is called by the library for each guard that it was handed.
func (s *Server) newSession(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	g, ok := c.NetConn().(*guard)
	if !ok || !g.tls.ConnectionState().HandshakeComplete {
		return nil, nil, errors.New("imapd: a connection that is not guarded")
	}
	g.mu.Lock()
	g.session = true
	g.mu.Unlock()
	ctx, cancel := context.WithCancel(s.ctx)
	return &session{srv: s, guard: g, conn: c, ctx: ctx, cancel: cancel}, nil, nil
}

// enter begins a command. The caller defers leave.
func (s *session) enter() {
	s.guard.mu.Lock()
	s.guard.entered = true
	s.guard.mu.Unlock()
	s.mu.Lock()
}

func (s *session) leave() { s.mu.Unlock() }

// Close ends the session. The library calls it once.
func (s *session) Close() error {
	s.cancel()
	s.guard.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signOut()
	s.srv.forget(s.guard)
	return nil
}

func (s *session) closeView() {
	if s.view != nil {
		s.view.Close()
	}
	s.view, s.saved = nil, nil
}

// selected returns the view, or the answer to a client that has none.
func (s *session) selected() (*mailbox.View, error) {
	if s.view == nil {
		return nil, answer(imap.StatusResponseTypeBad, imap.ResponseCodeClientBug, "Select a mailbox first")
	}
	return s.view, nil
}

// rev2 reports whether the client has enabled IMAP4rev2 (RFC 9051 6.3.1).
func (s *session) rev2() bool { return s.conn.EnabledCaps().Has(imap.CapIMAP4rev2) }

// utf8 reports whether the client has enabled names in UTF-8 (RFC 6855 3,
// RFC 9051 5.1).
func (s *session) utf8() bool { return s.rev2() || s.conn.EnabledCaps().Has(imap.CapUTF8Accept) }

// libraryLog takes what the library has to say. Its arguments can hold bytes
// that the client sent: only the sentence is logged, and the stack of a panic.
type libraryLog struct{ log *slog.Logger }

// Printf implements imapserver.Logger.
func (l libraryLog) Printf(format string, args ...any) {
	sentence, _, _ := strings.Cut(format, ":")
	if !strings.HasPrefix(format, "panic") {
		l.log.Debug("imap: " + sentence)
		return
	}
	stack := ""
	if len(args) > 1 {
		stack = fmt.Sprintf("%s", args[1])
	}
	l.log.Error("imap: "+sentence, "stack", stack)
}
