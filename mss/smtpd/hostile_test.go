package smtpd_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Cut off at whichever byte, by DATA or BDAT, a message is taken if its end
// has come, and else no part of it, and nothing of it is run as commands.
func TestCutOffAtEveryByte(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	one, two := h.member("one"), h.member("two")
	evil := fmt.Sprintf("RSET\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", labo, two.address)
	for _, by := range []string{"DATA", "BDAT"} {
		head := fmt.Sprintf("MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n", labo, one.address)
		whole := 0
		before := len(one.letters())
		for n := 0; ; n++ {
			text := mailText("From: "+labo, fmt.Sprintf("X-Cut: %s %03d", by, n)) + evil
			script := head + "DATA\r\n" + text + ".\r\n"
			if by == "BDAT" {
				script = head + fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text)
			}
			if n > len(script) {
				break
			}
			c := h.peer()
			c.write(script[:n])
			h.must(c.c.(*tls.Conn).CloseWrite())
			said, _ := io.ReadAll(c.r)
			taken := strings.Contains(string(said), "250 2.0.0 taken as ")
			if taken != (n == len(script)) {
				t.Errorf("%s, %d of %d bytes: said %q", by, n, len(script), said)
			}
			if taken {
				whole++
			}
		}
		if got := len(one.letters()) - before; got != whole || whole != 1 {
			t.Errorf("%s: %d letters, %d were said to be taken", by, got, whole)
		}
	}
	if got := len(two.letters()); got != 0 {
		t.Errorf("%d letters came of a message's content", got)
	}
}

// What is pipelined behind a sign-in that fails is not done, whichever way it
// was sent.
func TestPipelinedBehindASignInThatFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	message := fmt.Sprintf("MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n%s.\r\nQUIT\r\n", doctor.address, doctor.address, mailText("From: "+doctor.address.String()))
	for _, signIn := range []string{
		"AUTH PLAIN AHgAeQ==\r\n",
		"AUTH PLAIN\r\nAHgAeQ==\r\n",
		"AUTH PLAIN\r\n*\r\n",
		"AUTH PLAIN\r\n", // the next line is the answer to the challenge
		"AUTH LOGIN\r\neA==\r\neQ==\r\n",
		"AUTH LOGIN\r\n",
		"AUTH EXTERNAL =\r\n",
		"AUTH NONE\r\n",
		"",
	} {
		c := h.dial(h.submits).secure()
		c.reply("220")
		c.cmd("250", "EHLO x")
		c.write(signIn + message)
		said, _ := io.ReadAll(c.r)
		if text := string(said); strings.Contains(text, "taken as") || strings.Contains(text, "354") || strings.Contains(text, "235") {
			t.Errorf("%q: said %q", signIn, said)
		}
	}
	if got := len(doctor.letters()); got != 0 {
		t.Errorf("%d letters", got)
	}
}
