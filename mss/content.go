package mss

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"

	"pli/mailbox/message"
)

// content reads a message as it arrives: it bounds it, refuses what could be
// read differently elsewhere, and takes the keyed digest by which a repeat is
// known.
type content struct {
	r    io.Reader
	max  int64
	n    int64
	mac  hash.Hash
	pool *sync.Pool
	buf  *[chunkSize]byte
	cr   bool // the last byte was a CR that waits for its LF
	done bool
}

const chunkSize = 32 << 10

func newContent(r io.Reader, max int64, secret []byte, pool *sync.Pool) *content {
	c := &content{r: r, max: max, mac: hmac.New(sha256.New, secret), pool: pool}
	if c.buf, _ = pool.Get().(*[chunkSize]byte); c.buf == nil {
		c.buf = new([chunkSize]byte)
	}
	return c
}

// free gives the buffer back, without the message that it held.
func (c *content) free() {
	if c.buf != nil {
		clear(c.buf[:])
		c.pool.Put(c.buf)
		c.buf = nil
	}
}

// next returns the next bytes, valid until the next call, or io.EOF.
func (c *content) next() ([]byte, error) {
	for !c.done {
		n, err := c.r.Read(c.buf[:])
		if err == io.EOF {
			c.done = true
		} else if err != nil {
			return nil, &readError{err}
		}
		if n == 0 {
			continue
		}
		b := c.buf[:n]
		if c.n += int64(n); c.n > c.max {
			return nil, refuse(TooLarge)
		}
		if !c.clean(b) {
			return nil, refuse(BareNewline)
		}
		c.mac.Write(b)
		return b, nil
	}
	if c.cr {
		return nil, refuse(BareNewline)
	}
	return nil, io.EOF
}

// clean reports whether every CR in b is followed by LF, every LF follows CR,
// and no byte is NUL. RFC 5321 2.3.8, RFC 5322 2.3: "CR and LF MUST only occur
// together as CRLF".
func (c *content) clean(b []byte) bool {
	if bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	pairs, rest := 0, b
	if c.cr {
		if b[0] != '\n' {
			return false
		}
		pairs, c.cr = 1, false
	}
	for {
		i := bytes.IndexByte(rest, '\r')
		if i < 0 {
			break
		}
		if i+1 == len(rest) {
			c.cr = true
			break
		}
		if rest[i+1] != '\n' {
			return false
		}
		pairs++
		rest = rest[i+2:]
	}
	return bytes.Count(b, []byte{'\n'}) == pairs
}

// header reads up to the end of the message's header, its blank line
// included, and returns its bytes and those of the body that came along; both
// are valid until the next call of next.
func (c *content) header(max int) (head, body []byte, err error) {
	b, err := c.next()
	if err == io.EOF {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var buffer message.HeaderBuffer
	buffer.Max = max
	for {
		n, done, err := buffer.Feed(b)
		if err != nil {
			return nil, nil, refuse(BadHeader, "the header is too large")
		}
		if done {
			return buffer.Bytes(), b[n:], nil
		}
		if b, err = c.next(); err == io.EOF {
			return buffer.Bytes(), nil, nil
		} else if err != nil {
			return nil, nil, err
		}
	}
}

// copyTo writes what was read already, then the rest of the message.
func (c *content) copyTo(w io.Writer, read ...[]byte) error {
	for _, b := range read {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	for {
		b, err := c.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

// sum returns the keyed digest of what was read.
func (c *content) sum() []byte { return c.mac.Sum(nil) }

// readError is a failure of whoever gives us the message, not of ours.
type readError struct{ cause error }

func (e *readError) Error() string { return "mss: the message broke off: " + e.cause.Error() }
func (e *readError) Unwrap() error { return e.cause }

// IsReadError reports whether Data failed because its reader did.
func IsReadError(err error) bool {
	var r *readError
	return errors.As(err, &r)
}
