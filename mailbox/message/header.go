package message

// Field is one header field as it stands in a message.
type Field struct {
	Name  string // as written; compare with strings.EqualFold
	Raw   []byte // the whole field: name, folding, last line end; part of what was read
	Value string // unfolded, trimmed; not decoded (see DecodeHeader)
}

// Header is a message's fields in their order.
type Header []Field

// Get returns the first value of a field, "" if there is none.
func (h Header) Get(name string) string { return "" }

// Values returns the values of all fields of that name, in order.
func (h Header) Values(name string) []string { return nil }

// ReadHeader reads a message's header from b, under the default Limits, and
// returns its fields and where the body begins (after the blank line; len(b)
// if there is none). Errors: errs.TooLarge beyond MaxHeaderBytes;
// errs.Invalid for a line that is no field, with the fields before it and its
// offset: there the Scanner lets the body begin.
func ReadHeader(b []byte) (Header, int, error) { return nil, len(b), nil }

// HeaderBuffer gathers a message's header while it arrives.
type HeaderBuffer struct {
	Max int // bytes of the header at most; 0: the default MaxHeaderBytes
	buf []byte
}

// Feed takes the message's next bytes until the header is whole, its blank
// line included. It returns how many it took: less than len(p) only where the
// header ends within p. errs.TooLarge beyond Max.
func (h *HeaderBuffer) Feed(p []byte) (n int, done bool, err error) { return len(p), false, nil }

// Bytes returns what was taken.
func (h *HeaderBuffer) Bytes() []byte { return h.buf }

// DecodeHeader returns an unfolded field value with its encoded words decoded
// (RFC 2047), as UTF-8 without control characters.
func DecodeHeader(value string) string { return value }

// ParseAddresses reads an address list (RFC 5322 3.4, RFC 6532), leniently, at
// most max addresses of it. Names are decoded; groups are flattened.
func ParseAddresses(value string, max int) []Address { return nil }
