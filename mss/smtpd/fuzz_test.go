package smtpd_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"pli/mss/smtpd"
)

var replyLine = regexp.MustCompile(`^[2345]\d\d[ -][ -~]*\r\n$`)

// Whatever a peer says, each line of the answer is a reply, and the messages
// taken are as many as the client was told.
func FuzzSession(f *testing.F) {
	h := newHouse(f, func(l *smtpd.Limits) { l.CommandTimeout, l.DataTimeout = 2*time.Second, 2*time.Second })
	doctor := h.member("louise.moreau")
	begin := fmt.Sprintf("EHLO x\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n", labo, doctor.address)
	text := mailText("From: " + labo)
	for _, s := range []string{
		begin + "DATA\r\n" + text + ".\r\nQUIT\r\n",
		begin + fmt.Sprintf("BDAT %d\r\n%sBDAT 0 LAST\r\nQUIT\r\n", len(text), text),
		begin + fmt.Sprintf("BDAT %d LAST\r\n%sRSET\r\n", len(text), text) + begin + "BDAT 5\r\nFrom:RSET\r\nNOOP\r\n",
		begin + "DATA\r\n" + text + "\n.\r\nMAIL FROM:<>\r\n.\r\n",
		"EHLO x\r\nAUTH PLAIN\r\nSTARTTLS\r\nVRFY x\r\nHELP\r\n", "MAIL FROM:<a@b> SIZE=99999999 BODY=8BITMIME RET=FULL ENVID=a+2Bb\r\n",
		begin + "RCPT TO:<\"a b\"@c> NOTIFY=NEVER ORCPT=rfc822;a\r\nBDAT 99999999999999 LAST\r\n", "\n\r\n\x00\r\nLHLO x\r\n",
	} {
		f.Add([]byte(s))
	}
	cfg := &tls.Config{RootCAs: h.roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{h.caller}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	f.Fuzz(func(t *testing.T, input []byte) {
		before := h.mss.Stats().Accepted
		told, replies := talk(t, h.mx, cfg, input)
		if taken := h.mss.Stats().Accepted - before; int(taken) != told {
			t.Errorf("%d taken, %d told: %q", taken, told, replies)
		}
	})
}

// talk sends input after STARTTLS, half-closes, and returns how many messages
// the server says it has taken.
func talk(t *testing.T, addr string, cfg *tls.Config, input []byte) (taken int, replies []byte) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	r.ReadString('\n')
	fmt.Fprintf(c, "STARTTLS\r\n")
	r.ReadString('\n')
	tc := tls.Client(c, cfg)
	go func() {
		tc.Write(input)
		tc.CloseWrite()
	}()
	replies, _ = io.ReadAll(tc)
	for _, line := range bytes.SplitAfter(replies, []byte("\n")) {
		if len(line) > 0 && !replyLine.Match(line) {
			t.Fatalf("no reply: %q", line)
		}
		if strings.HasPrefix(string(line), "250 2.0.0 taken") {
			taken++
		}
	}
	return taken, replies
}
