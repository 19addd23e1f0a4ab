package imapd

import (
	"io"

	"github.com/emersion/go-imap/v2"
)

// Append answers APPEND (RFC 9051 6.3.12). What it reads comes from the guard
// (see incoming), which bounds it.
func (s *session) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	s.enter()
	defer s.leave()
	flags, err := readFlags(o.Flags)
	if err != nil {
		return nil, err
	}
	if err := s.account.Room(s.ctx, r.Size()); err != nil {
		return nil, s.reply(err) // the library reads the message all the same, to stay in step
	}
	added, err := s.account.Append(s.ctx, name, flags, o.Time, &wholeReader{r: r, left: r.Size()})
	if err != nil {
		return nil, s.replyWith(err, toMissingBox)
	}
	return &imap.AppendData{UIDValidity: added.UIDValidity, UID: imap.UID(added.UID)}, nil
}

// wholeReader reads a literal that must be whole: the library's reader takes
// the end of the connection for the end of the literal.
type wholeReader struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (w *wholeReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.left -= int64(n)
	if err == io.EOF && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
