package smtpd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// body is one message as it arrives, by DATA or by BDAT. It ends with io.EOF
// where the sender ended it, and with errGone where the connection, or the
// sender's patience, ended first: then there is no message.
type body struct {
	l       *link
	bdat    bool
	start   bool   // the last line ended in CRLF, or none has begun
	cr      bool   // the last byte was CR
	rest    []byte // decoded and not read yet, inside l.in's buffer
	ended   bool
	failed  bool
	discard int64 // bytes that may still be thrown away
}

var errGone = errors.New("smtpd: the message broke off")

// body begins the arrival of the message that the library's DATA announced.
func (l *link) body() *body {
	b := &body{l: l, bdat: l.chunk != nil, start: true, discard: l.s.cfg.Limits.MaxDiscard}
	if b.failed = !l.flush(); !b.failed {
		l.wire.message()
	}
	l.fruitless = 0
	return b
}

// Read reads the message, without what transparency added (RFC 5321 4.5.2).
func (b *body) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		switch {
		case b.failed:
			return 0, errGone
		case b.ended:
			return 0, io.EOF
		case b.bdat:
			return b.readChunk(p)
		}
		b.line()
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	// Fill p from whole lines that have arrived: many short lines, few calls.
	for n < len(p) && len(b.rest) == 0 && b.l.lineBuffered() {
		if b.line(); b.ended || b.failed {
			break
		}
		c := copy(p[n:], b.rest)
		n, b.rest = n+c, b.rest[c:]
	}
	return n, nil
}

// line takes the next line, or a piece of a long one, into rest. Only
// CRLF.CRLF ends the message (RFC 5321 4.1.1.4): a dot after a bare CR or LF
// is content, and one before a bare LF or CR too.
func (b *body) line() {
	line, err := b.l.in.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		b.fail(err)
		return
	}
	if b.start {
		if bytes.Equal(line, dotLine) {
			b.ended = true
			return
		}
		if line[0] == '.' {
			line = line[1:]
		}
	}
	n := len(line)
	whole := n >= 2 && line[n-2] == '\r' && line[n-1] == '\n' || n == 1 && b.cr && line[0] == '\n'
	b.start, b.cr = whole, n > 0 && line[n-1] == '\r'
	b.rest = line
}

var dotLine = []byte(".\r\n")

// fail ends the message and the connection: not a byte more of either is read.
func (b *body) fail(err error) {
	b.failed = true
	b.l.readFailed(err)
}

// readChunk reads from the current chunk, and goes on to the next.
func (b *body) readChunk(p []byte) (int, error) {
	for b.l.chunk == nil || b.l.chunk.left == 0 {
		if b.l.chunk != nil && b.l.chunk.last {
			b.l.chunk, b.ended = nil, true
			return 0, io.EOF
		}
		if b.l.chunk = nil; !b.nextChunk() {
			b.failed = true
			return 0, errGone
		}
	}
	c := b.l.chunk
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := b.l.in.Read(p)
	c.left -= int64(n)
	if err != nil {
		b.fail(err)
		return n, errGone
	}
	return n, nil
}

// nextChunk acknowledges a chunk and waits for the next. RFC 3030 2: between
// chunks only few commands make sense; RSET, QUIT and a new greeting give the
// message up.
func (b *body) nextChunk() bool {
	l := b.l
	l.reply("250 2.0.0 go on")
	for {
		line, ok := l.readLine()
		if !ok {
			if l.dead {
				return false
			}
			continue
		}
		word, arg := splitCommand(line)
		switch word {
		case "BDAT":
			if c, ok := l.parseChunk(arg); ok {
				l.chunk = c
				l.wire.more()
				return true
			}
			return false
		case "RSET":
			l.instead("250 2.0.0 the message is given up\r\n")
			return false
		case "QUIT", "EHLO", "HELO":
			l.instead("")
			l.unread = line
			return false
		case "NOOP":
			l.reply("250 2.0.0 still here")
		default:
			l.reply("503 5.5.1 send the rest of the message, or RSET")
		}
		if l.fruitless++; l.fruitless > l.s.cfg.Limits.MaxIdleCommands {
			l.bye("421 4.7.0 too many commands without a message")
			return false
		}
	}
}

// instead makes text stand for the library's next reply.
func (l *link) instead(text string) { l.override = &text }

// announce begins a message, or a refused one's next chunk, that BDAT carries:
// the library is told DATA, and answers whether it may come.
func (l *link) announce(arg string) {
	c, ok := l.parseChunk(arg)
	if !ok {
		return
	}
	l.chunk, l.drop354 = c, true
	l.pending = []byte("DATA\r\n")
}

// parseChunk reads BDAT's argument. One that cannot be read ends the
// connection: nobody knows how many bytes follow.
func (l *link) parseChunk(arg string) (*chunk, bool) {
	f := strings.Fields(arg)
	last := len(f) == 2 && strings.EqualFold(f[1], "LAST")
	if len(f) == 1 || last {
		if n, err := strconv.ParseUint(f[0], 10, 62); err == nil {
			return &chunk{int64(n), last}, true
		}
	}
	l.bye("501 5.5.4 BDAT needs a size, and perhaps LAST")
	return nil, false
}

// discardChunk throws away the content of a BDAT that was refused, and reports
// whether the link lives.
func (l *link) discardChunk() bool {
	b := &body{l: l, bdat: true, discard: l.s.cfg.Limits.MaxDiscard}
	if int64(l.in.Buffered()) < l.chunk.left && !l.flush() {
		return false
	}
	l.wire.message()
	return b.drain()
}

// drain reads what is left of a refused message, so that the next command is
// one: of a BDAT's chunk, or of a DATA up to its end. Beyond the bound it gives
// the connection up.
func (b *body) drain() bool {
	if b.bdat {
		return b.drainChunk()
	}
	b.rest = nil
	for !b.ended && !b.failed {
		b.line()
		b.spend(int64(len(b.rest)))
		b.rest = nil
	}
	return !b.failed
}

func (b *body) drainChunk() bool {
	c := b.l.chunk
	b.l.chunk = nil
	for c != nil && c.left > 0 && !b.failed {
		n, err := b.l.in.Discard(int(min(c.left, inSize)))
		if c.left -= int64(n); err != nil {
			b.fail(err)
			break
		}
		b.spend(int64(n))
	}
	return !b.failed
}

// spend counts bytes thrown away. The first refusal was for a reason; whoever
// sends on and on gets the last word now.
func (b *body) spend(n int64) {
	if b.discard -= n; b.discard < 0 && !b.failed {
		b.failed = true
		b.l.bye("552 5.3.4 far too large")
	}
}
