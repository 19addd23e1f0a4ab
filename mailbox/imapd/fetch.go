package imapd

import (
	"errors"
	"io"
	"math"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/internal/errs"
	"pli/mailbox"
)

// fetching is one FETCH command.
type fetching struct {
	s         *session
	view      *mailbox.View
	w         *imapserver.FetchWriter
	o         *imap.FetchOptions
	withIndex bool
	withBody  bool
	seen      bool // marks what it sends as \Seen
	buf       []byte
	gone      bool // a message has been expunged meanwhile
	lost      bool // a message could not be read
	cte       bool // an encoding was not known
}

// Fetch answers FETCH and UID FETCH (RFC 9051 6.4.5). A message that cannot be
// read does not keep the others back; the tagged answer says so.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	s.enter()
	defer s.leave()
	view, err := s.selected()
	if err != nil {
		return err
	}
	if err := checkSections(o, s.srv.cfg.MaxSections); err != nil {
		return err
	}
	uids, err := s.resolve(view, set)
	if err != nil {
		return err
	}
	f := newFetching(s, view, w, o)
	if err := f.messages(uids); err != nil {
		return s.reply(err)
	}
	switch {
	case f.cte:
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeUnknownCTE, "A part has an unknown encoding")
	case f.lost:
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeServerBug, "A message could not be read")
	case f.gone:
		return answer(imap.StatusResponseTypeNo, responseCodeExpungeIssued, "A message is no longer there")
	}
	return nil
}

func newFetching(s *session, view *mailbox.View, w *imapserver.FetchWriter, o *imap.FetchOptions) *fetching {
	f := &fetching{s: s, view: view, w: w, o: o}
	f.withBody = len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > 0
	f.withIndex = o.Envelope || o.BodyStructure != nil
	for _, b := range o.BodySection {
		f.withIndex = f.withIndex || len(b.Part) > 0 || b.Specifier != imap.PartSpecifierNone
		f.seen = f.seen || !b.Peek
	}
	for _, b := range o.BinarySection {
		f.withIndex = f.withIndex || len(b.Part) > 0
		f.seen = f.seen || !b.Peek
	}
	for _, b := range o.BinarySectionSize {
		f.withIndex = f.withIndex || len(b.Part) > 0
	}
	f.seen = f.seen && !view.ReadOnly()
	return f
}

// messages fetches uids. The mailbox reads some of them at a time and holds
// nothing open while the client takes its time.
func (f *fetching) messages(uids []mailbox.UID) error {
	found := 0
	err := f.view.Messages(f.s.ctx, uids, f.withIndex, func(m mailbox.Message) error {
		found++
		return f.message(&m)
	})
	f.gone = f.gone || found < len(uids)
	return err
}

// message writes one message. All that can fail is done before the first byte
// is written, but for reading the body on.
func (f *fetching) message(m *mailbox.Message) error {
	flags := f.o.Flags
	if f.seen && !slices.Contains(m.Flags, mailbox.Seen) {
		// Before a byte is shown: in a space this is what passes the gate.
		changed, err := f.view.Store(f.s.ctx, []mailbox.UID{m.UID}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
		if err != nil {
			return err
		}
		if len(changed) == 1 {
			m.Flags, flags = changed[0].Flags, true // RFC 9051 6.4.5: told as part of the answer
		}
	}
	if !f.withBody {
		return f.write(m, flags, nil, nil)
	}
	body, err := f.view.Open(f.s.ctx, m.UID)
	if err != nil {
		return f.skip(m, err)
	}
	defer body.Close()
	parts, sizes, err := f.sections(m, body)
	if err != nil {
		return f.skip(m, err)
	}
	return f.write(m, flags, parts, sizes)
}

// skip leaves a message out for err; the next ones follow, unless the store
// does not answer at all.
func (f *fetching) skip(m *mailbox.Message, err error) error {
	switch {
	case f.s.ctx.Err() != nil, errs.Is(err, errs.Unavailable):
		return err
	case errors.Is(err, errUnknownEncoding):
		f.cte = true
	case errs.Is(err, errs.NotFound):
		f.gone = true
	default:
		f.lost = true
		f.s.srv.cfg.Log.Error("imap: message not readable", "account", f.s.owner(), "message", m.ID, "error", err)
	}
	return nil
}

// sections readies the sections of the body, in the order that write has.
func (f *fetching) sections(m *mailbox.Message, body *mailbox.Body) (parts []section, sizes []int64, err error) {
	for _, b := range f.o.BodySection {
		p, err := bodySection(b, m.Index, body, body.Size())
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, p)
	}
	for _, b := range f.o.BinarySection {
		p, err := binarySection(b, m.Index, body, body.Size())
		if err != nil {
			return nil, nil, err
		}
		parts = append(parts, p)
	}
	for _, b := range f.o.BinarySectionSize {
		_, n, err := decoded(b.Part, m.Index, body, body.Size())
		if err != nil {
			return nil, nil, err
		}
		sizes = append(sizes, n)
	}
	return parts, sizes, nil
}

// write writes one FETCH response.
func (f *fetching) write(m *mailbox.Message, flags bool, parts []section, sizes []int64) (err error) {
	w := f.w.CreateMessage(m.Seq)
	defer func() {
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
	}()
	if f.o.UID {
		w.WriteUID(imap.UID(m.UID))
	}
	if flags {
		w.WriteFlags(writeFlags(m.Flags))
	}
	if f.o.InternalDate {
		w.WriteInternalDate(m.Date)
	}
	if f.o.RFC822Size {
		w.WriteRFC822Size(m.Size)
	}
	if f.o.Envelope {
		w.WriteEnvelope(envelope(&m.Index.Envelope))
	}
	if f.o.BodyStructure != nil {
		w.WriteBodyStructure(structure(&m.Index.Root))
	}
	for i, b := range f.o.BodySection {
		if err := f.stream(w.WriteBodySection(b, parts[i].size), parts[i]); err != nil {
			return err
		}
	}
	parts = parts[len(f.o.BodySection):]
	for i, b := range f.o.BinarySection {
		if err := f.stream(w.WriteBinarySection(b, parts[i].size), parts[i]); err != nil {
			return err
		}
	}
	for i, b := range f.o.BinarySectionSize {
		w.WriteBinarySectionSize(b, uint32(min(sizes[i], math.MaxUint32)))
	}
	return nil
}

// copyBuffer is how much of a body is in memory while it is written.
const copyBuffer = 32 << 10

// stream writes a section as a literal. If it breaks off, so does the
// connection: the client has been promised its size.
func (f *fetching) stream(w io.WriteCloser, p section) error {
	if want := min(p.size+1, copyBuffer); int64(len(f.buf)) < want {
		f.buf = make([]byte, want)
	}
	n, err := io.CopyBuffer(w, p.r, f.buf)
	if err == nil && n < p.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		f.s.srv.cfg.Log.Error("imap: a body broke off", "account", f.s.owner(), "error", err)
		f.s.guard.cut()
	}
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	return err
}
