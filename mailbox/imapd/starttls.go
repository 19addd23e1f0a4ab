package imapd

import (
	"net"
	"strings"
)

// The dialogue before STARTTLS (RFC 9051 6.2.1) is ours alone: the library
// begins with a fresh state above TLS, so nothing said in clear can outlive it.
const (
	clearCaps = "CAPABILITY IMAP4rev2 IMAP4rev1 STARTTLS LOGINDISABLED"

	maxClearLine  = 512 // bytes of one line
	maxClearLines = 8   // lines before STARTTLS
)

// startTLS talks in clear until the client asks for TLS. It returns false where
// the connection must close: at LOGOUT, at anything malformed, and when even
// one byte had come behind STARTTLS, which somebody else may have put there.
func startTLS(c net.Conn) bool {
	if !say(c, "* OK ["+clearCaps+"] IMAP server ready") {
		return false
	}
	buf := make([]byte, 0, maxClearLine)
	for range maxClearLines {
		line, rest, ok := clearLine(c, buf)
		tag, name := nameOf([]byte(line))
		if !ok || name == "" || strings.HasSuffix(line, "}") {
			say(c, "* BYE Malformed command")
			return false
		}
		switch name {
		case "STARTTLS":
			if len(line) == len(tag)+len(" STARTTLS") {
				return len(rest) == 0 && say(c, tag+" OK Begin TLS negotiation now")
			}
			ok = say(c, tag+" BAD [CLIENTBUG] STARTTLS has no argument")
		case "CAPABILITY":
			ok = say(c, "* "+clearCaps) && say(c, tag+" OK CAPABILITY completed")
		case "NOOP":
			ok = say(c, tag+" OK NOOP completed")
		case "LOGOUT":
			_ = say(c, "* BYE Logging out") && say(c, tag+" OK LOGOUT completed")
			return false
		case "LOGIN", "AUTHENTICATE": // RFC 9051 6.2.3
			ok = say(c, tag+" NO [PRIVACYREQUIRED] STARTTLS first")
		default:
			ok = say(c, tag+" BAD [CLIENTBUG] STARTTLS first")
		}
		if !ok {
			return false
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
	}
	say(c, "* BYE STARTTLS first")
	return false
}

// clearLine reads one line, without its end, into buf, which may hold what has
// come already; rest is what came behind the line.
func clearLine(c net.Conn, buf []byte) (line string, rest []byte, ok bool) {
	for {
		head, tail, found := strings.Cut(string(buf), "\r\n")
		if found {
			return head, []byte(tail), !strings.ContainsAny(head, "\r\n\x00")
		}
		if len(buf) == cap(buf) {
			return "", nil, false
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		if buf = buf[:len(buf)+n]; n == 0 && err != nil {
			return "", nil, false
		}
	}
}

func say(c net.Conn, line string) bool {
	_, err := c.Write([]byte(line + "\r\n"))
	return err == nil
}
