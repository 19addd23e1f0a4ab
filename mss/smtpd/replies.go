package smtpd

import (
	"bytes"
	"strings"
)

// readFailed ends the link after a read that failed, with a word where time
// was the reason.
func (l *link) readFailed(err error) {
	switch {
	case !timedOut(err):
		l.flush() // whoever only stopped sending still hears what was done
		l.end()
	case l.s.draining.Load():
		l.bye("421 4.3.2 shutting down; come back later")
	case l.signedOut.Load():
		l.bye("421 4.7.0 this sign-in has ended")
	default:
		l.bye("421 4.4.2 that took too long")
	}
}

// reply answers in the library's place.
func (l *link) reply(line string) {
	l.out = append(l.out, line...)
	l.out = append(l.out, '\r', '\n')
	l.count(line)
}

// bye answers for the last time.
func (l *link) bye(line string) {
	l.out = append(l.out, line...)
	l.out = append(l.out, '\r', '\n')
	l.flush()
	l.end()
}

// end closes the connection with TLS's own goodbye.
func (l *link) end() {
	l.dead = true
	if l.tls != nil {
		l.tls.Close()
		return
	}
	l.wire.Close()
}

// flush sends the replies that wait.
func (l *link) flush() bool {
	if l.dead {
		return false
	}
	if len(l.out) == 0 {
		return true
	}
	_, err := l.tls.Write(l.out)
	l.out = l.out[:0]
	if err != nil {
		l.die()
		return false
	}
	return true
}

// maxOut bounds the replies that wait.
const maxOut = 16 << 10

// Write takes the library's replies, line by line.
func (l *link) Write(p []byte) (int, error) {
	l.start()
	rest := p
	for {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			l.partial = append(l.partial, rest...)
			return len(p), nil
		}
		l.partial = append(l.partial, rest[:i+1]...)
		l.takeReply(l.partial)
		l.partial, rest = l.partial[:0], rest[i+1:]
	}
}

// takeReply takes one line of a reply of the library's.
func (l *link) takeReply(line []byte) {
	final := len(line) < 4 || line[3] != '-'
	switch {
	case l.dead:
		return
	case l.override != nil:
		if final {
			l.out = append(l.out, *l.override...)
			l.override, l.drop354 = nil, false
		}
		return
	case l.drop354 && bytes.HasPrefix(line, []byte("354")):
		l.drop354 = false
		return
	}
	for _, c := range l.worded(line) { // the library repeats what clients say
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' {
			c = '?' // RFC 5321 4.2
		}
		l.out = append(l.out, c)
	}
	if len(l.out) > maxOut {
		l.flush()
	}
	if !final {
		return
	}
	l.drop354 = false
	l.answer = bytes.HasPrefix(line, []byte("334"))
	if l.count(string(line)); l.last && l.flush() {
		l.end()
	}
}

// wordings are replies of the library's that say less than they should, by how
// they begin, and what stands for them; % is the server's name. The first line
// of EHLO and HELO begins with it (RFC 5321 4.1.1.1), and codes say what was
// accepted (RFC 3463 3.2).
var wordings = []struct{ library, ours string }{
	{"250-Hello ", "250-%"},
	{"250 2.0.0 Hello ", "250 %"},
	{"250 2.0.0 Roger, accepting mail from ", "250 2.1.0 sender accepted"},
	{"250 2.0.0 I'll make sure ", "250 2.1.5 recipient accepted"},
	{"250 2.0.0 I have successfully done nothing", "250 2.0.0 ok"},
}

// worded returns a line of the library's in our words.
func (l *link) worded(line []byte) []byte {
	for _, w := range wordings {
		if bytes.HasPrefix(line, []byte(w.library)) {
			return []byte(strings.Replace(w.ours, "%", l.s.cfg.Hostname, 1) + "\r\n")
		}
	}
	return line
}

// count ends the link after too many refusals.
func (l *link) count(line string) {
	switch {
	case strings.HasPrefix(line, "50"), strings.HasPrefix(line, "53"):
		l.errors++
	case line[0] == '4' || line[0] == '5':
		l.refusals++
	}
	if l.errors > l.s.cfg.Limits.MaxErrors || l.refusals > l.s.cfg.Limits.MaxRefusals {
		l.bye("421 4.7.0 too many errors")
	}
}
