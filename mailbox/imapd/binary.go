package imapd

import (
	"io"

	"github.com/emersion/go-imap/v2"

	"pli/internal/errs"
	"pli/mailbox/message"
)

// decoded returns a reader of a part's content without its transfer encoding
// (RFC 9051 6.4.5, BINARY), and its length, for which it is decoded once.
// Every call of open gives the content anew.
func decoded(part []int, ix *message.Index, body io.ReaderAt, size int64) (open func() io.Reader, n int64, err error) {
	if len(part) == 0 {
		return func() io.Reader { return io.NewSectionReader(body, 0, size) }, size, nil
	}
	p := ix.ByPath(partPath(part))
	if p == nil {
		return func() io.Reader { return eof{} }, 0, nil
	}
	switch p.Encoding {
	case "", "7bit", "8bit", "binary", "base64", "quoted-printable":
	default:
		return nil, 0, errUnknownEncoding
	}
	sp := within(message.Span{Start: p.BodyStart, End: p.End}, size)
	open = func() io.Reader {
		return message.DecodePart(io.NewSectionReader(body, sp.Start, sp.Len()), p)
	}
	n, err = io.Copy(io.Discard, open())
	return open, n, err
}

var errUnknownEncoding = errs.New(errs.Invalid, "unknown content transfer encoding") // answered UNKNOWN-CTE (RFC 9051 6.4.5)

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// binarySection returns what BINARY[…] asks for.
func binarySection(s *imap.FetchItemBinarySection, ix *message.Index, body io.ReaderAt, size int64) (section, error) {
	open, n, err := decoded(s.Part, ix, body, size)
	if err != nil {
		return section{}, err
	}
	r := open()
	offset, n := clamp(s.Partial, n)
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		return section{}, err
	}
	return section{io.LimitReader(r, n), n}, nil
}
