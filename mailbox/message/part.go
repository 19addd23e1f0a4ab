package message

import "io"

// Filename returns the name that the sender gave the part (RFC 2183 2.3, RFC
// 2231), made harmless: no folder, no control character, at most 255 bytes;
// empty if it has none.
func (p *Part) Filename() string { return "" }

// Walk calls fn for each part in document order with its IMAP part number
// ("" for the message as a whole, "1.2"); where fn returns false, the parts
// within are left out. It goes into embedded messages.
func (ix *Index) Walk(fn func(path string, p *Part) bool) {}

// ByPath returns the part with an IMAP part number (RFC 9051 6.4.5), the whole
// message for "", nil if there is none.
func (ix *Index) ByPath(path string) *Part { return nil }

// Attachments returns the parts that are not the text of the message: each
// leaf that is no plain or HTML text, or says that it is an attachment, and
// each embedded message as a whole.
func (ix *Index) Attachments() []*Part { return nil }

// Content returns the part's content, still encoded, from the whole message.
func (p *Part) Content(r io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(r, p.BodyStart, p.Size())
}

// DecodePart undoes the content transfer encoding of r, which reads p's content
// (RFC 2045 6). It is lenient: what cannot be decoded is left out, base64 goes
// on after padding and strange bytes. It reads only what is asked of it.
func DecodePart(r io.Reader, p *Part) io.Reader { return r }

// TextOf returns the text of a part as UTF-8, at most max bytes of it, from r,
// which reads p's content, still encoded. Bytes that p's charset does not
// know become U+FFFD. Line ends are LF. The only errors are r's own.
func TextOf(r io.Reader, p *Part, max int) (string, error) { return "", nil }
