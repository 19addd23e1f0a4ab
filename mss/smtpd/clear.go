package smtpd

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// clearLine bounds a command line before TLS, in bytes.
const clearLine = 1024

// clearPart talks to a client in clear up to STARTTLS, and reports whether TLS
// begins. Nothing but the greeting is answered here; whatever was sent in
// clear behind STARTTLS ends the connection (RFC 3207 6).
func (l *link) clearPart() bool {
	in := bufio.NewReaderSize(l.wire, clearLine)
	if !l.say("220 " + l.s.cfg.Hostname + " ESMTP\r\n") {
		return false
	}
	for range l.s.cfg.Limits.MaxErrors * 4 {
		l.wire.awaitCommand()
		line, err := in.ReadSlice('\n')
		if err != nil {
			l.clearFailed(err)
			return false
		}
		line, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok || bytes.ContainsAny(line, "\r\x00") {
			l.say("500 5.5.2 a command is one line that ends in CRLF\r\n")
			return false
		}
		word, arg := splitCommand(line)
		reply, end := l.clearReply(word, arg)
		if word == "STARTTLS" && arg == "" {
			// RFC 3207 6: nothing that was known before TLS counts after it.
			return in.Buffered() == 0 && l.say("220 2.0.0 ready for TLS\r\n")
		}
		if !l.say(reply) || end {
			return false
		}
	}
	l.say("421 4.7.0 too many commands before STARTTLS\r\n")
	return false
}

// clearReply answers one command in clear.
func (l *link) clearReply(word, arg string) (reply string, end bool) {
	switch word {
	case "EHLO":
		var b strings.Builder
		for _, ext := range []string{l.s.cfg.Hostname, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "STARTTLS", "SMTPUTF8", "DSN"} {
			b.WriteString("250-" + ext + "\r\n")
		}
		fmt.Fprintf(&b, "250 SIZE %d\r\n", l.s.cfg.Service.Limits().MaxMessage)
		return b.String(), false
	case "HELO":
		return "250 " + l.s.cfg.Hostname + "\r\n", false
	case "NOOP", "RSET":
		return "250 2.0.0 nothing done\r\n", false
	case "QUIT":
		return "221 2.0.0 bye\r\n", true
	case "STARTTLS":
		return "501 5.5.4 STARTTLS takes no argument\r\n", false
	case "BDAT": // its content would follow
		return "530 5.7.0 STARTTLS first\r\n", true
	}
	return "530 5.7.0 STARTTLS first\r\n", false // RFC 3207 4
}

// clearFailed ends the clear-text part after a read that failed.
func (l *link) clearFailed(err error) {
	switch {
	case err == bufio.ErrBufferFull:
		l.say("500 5.5.2 the line is too long\r\n")
	case timedOut(err) && l.s.draining.Load():
		l.say("421 4.3.2 shutting down; come back later\r\n")
	case timedOut(err):
		l.say("421 4.4.2 that took too long\r\n")
	}
}

// say sends a reply in clear.
func (l *link) say(reply string) bool {
	_, err := l.wire.Write([]byte(reply))
	return err == nil
}
