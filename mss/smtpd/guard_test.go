package smtpd_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"pli/mss"
	"pli/mss/smtpd"
	"pli/space"
)

// terminators are what some server or other has taken for the end of a
// message, none of which is: thirty and more.
func terminators() (all []string) {
	for _, before := range []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r", "\r\n\x00"} {
		for _, after := range []string{"\n", "\r", "\r\n", "\r\r\n", "\n\r", "\x00\r\n"} {
			if t := before + "." + after; t != "\r\n.\r\n" {
				all = append(all, t)
			}
		}
	}
	return all
}

// SMTP smuggling: never two messages from one.
func TestNeverTwoMessagesFromOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, second := h.member("first"), h.member("second")
	smuggled := fmt.Sprintf("MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\nFrom: %s\r\nSubject: smuggled\r\n\r\nx", "admin@"+peerDomain, second.address, "admin@"+peerDomain)
	if n := len(terminators()); n < 30 {
		t.Fatalf("%d variants", n)
	}
	for _, end := range terminators() {
		message := mailText("From: "+labo) + "one" + end + smuggled
		c := h.peer().begin(labo, first.address.String())
		c.cmd("354", "DATA")
		c.write(message + "\r\n.\r\nQUIT\r\n")
		if got := c.read(); !strings.HasPrefix(got, "554 5.6.0") {
			t.Errorf("DATA, %q: %q", end, got)
		}
		c.ended()
		c = h.peer().begin(labo, first.address.String())
		c.write(fmt.Sprintf("BDAT %d LAST\r\n%s\r\nQUIT\r\n", len(message)+2, message))
		if got := c.read(); !strings.HasPrefix(got, "554 5.6.0") {
			t.Errorf("BDAT, %q: %q", end, got)
		}
		c.ended()
	}
	if a, b := len(first.letters()), len(second.letters()); a+b != 0 {
		t.Errorf("%d and %d letters", a, b)
	}
	// In BDAT even the true end is content.
	message := mailText("From: "+labo) + "one\r\n.\r\n" + smuggled
	h.peer().begin(labo, first.address.String()).bdat("250", message, 1<<20)
	if a, b := len(first.letters()), len(second.letters()); a != 1 || b != 0 {
		t.Errorf("%d and %d letters", a, b)
	}
}

// What was sent in clear behind STARTTLS ends the connection.
func TestStartTLSInjection(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, addr := range []string{h.mx, h.submit} {
		for _, text := range []string{"STARTTLS\r\nEHLO x\r\n", "EHLO x\r\nSTARTTLS\r\nMAIL FROM:<" + labo + ">\r\n", "STARTTLS\r\n\x16\x03\x01"} {
			c := h.dial(addr)
			c.reply("220")
			c.write(text)
			for got := c.read(); got != ""; got = c.read() {
				if !strings.HasPrefix(got, "250-") {
					t.Errorf("%q: %q", text, got)
				}
			}
		}
		c := h.dial(addr)
		c.reply("220")
		c.cmd("220", "STARTTLS")
		c.write("MAIL FROM:<" + labo + ">\r\n")
		rest, _ := io.ReadAll(c.r)
		if bytes.Contains(rest, []byte("MAIL")) || bytes.HasPrefix(rest, []byte("2")) || bytes.HasPrefix(rest, []byte("5")) {
			t.Errorf("in clear instead of TLS: %q", rest)
		}
	}
}

// A message that breaks off is none, and what comes late is never a command.
func TestAMessageThatStopsComing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(l *smtpd.Limits) { l.DataTimeout = 300 * time.Millisecond })
	doctor := h.member("louise.moreau")
	head := mailText("From: " + labo)
	for _, start := range []string{"DATA\r\n", fmt.Sprintf("BDAT %d LAST\r\n", len(head)+100)} {
		c := h.peer().begin(labo, doctor.address.String())
		c.write(start)
		if start == "DATA\r\n" {
			c.reply("354")
		}
		c.write(head)
		c.reply("421 4.4.2")
		c.c.Write([]byte(fmt.Sprintf("RSET\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n", labo, doctor.address)))
		c.ended()
		c = h.peer().begin(labo, doctor.address.String()) // the line goes dead
		c.write(start + head)
		c.c.Close()
	}
	c := h.peer().begin(labo, doctor.address.String()) // a whole chunk, and no last one
	c.write(fmt.Sprintf("BDAT %d\r\n%s", len(head), head))
	c.reply("250")
	c.c.Close()
	time.Sleep(100 * time.Millisecond)
	if got := len(doctor.letters()); got != 0 {
		t.Errorf("%d letters", got)
	}
}

// The deadline moves as bytes arrive, but not for a trickle.
func TestMinimumRate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(l *smtpd.Limits) {
		l.DataTimeout, l.RateGrace, l.MinRate = 400*time.Millisecond, time.Second, 1000
	})
	doctor := h.member("louise.moreau")
	c := h.peer().begin(labo, doctor.address.String())
	c.cmd("354", "DATA")
	c.write(mailText("From: " + labo))
	for range 8 { // longer than timeout and grace, 5 kB a second
		time.Sleep(200 * time.Millisecond)
		c.write(strings.Repeat("0123456789\r\n", 90))
	}
	c.cmd("250", ".")
	c.begin(labo, doctor.address.String())
	c.cmd("354", "DATA")
	start := time.Now()
	for time.Since(start) < 5*time.Second {
		if _, err := c.c.Write([]byte("x\r\n")); err != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("a trickle was borne for %v", took)
	}
	if got := len(doctor.letters()); got != 1 {
		t.Errorf("%d letters", got)
	}
}

// Story 2: too large is refused at MAIL where SIZE says so, else at the end
// with the connection in step.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	const max = 20_000
	h := newHouse(t, func(c *mss.Config) { c.Limits.MaxMessage = max }, func(l *smtpd.Limits) { l.MaxDiscard = 200_000 })
	doctor := h.member("louise.moreau")
	c := h.peer()
	c.cmd("250", "MAIL FROM:<%s> SIZE=%d", labo, max)
	c.cmd("250", "RSET")
	c.cmd("552 5.3.4", "MAIL FROM:<%s> SIZE=%d", labo, max+1)
	sized := func(n int) string {
		text := mailText("From: "+labo, fmt.Sprint("X-Size: ", n))
		for len(text) < n-2 {
			text += strings.Repeat("x", min(70, n-2-len(text)))
			if n-2-len(text) > 2 {
				text += "\r\n"
			}
		}
		return text + "\r\n"
	}
	for _, send := range []func(want, text string){
		func(want, text string) { c.data(want, text) },
		func(want, text string) { c.bdat(want, text, 1<<20) },
	} {
		c.begin(labo, doctor.address.String())
		if text := sized(max); len(text) != max {
			t.Fatal(len(text))
		} else {
			send("250", text)
		}
		c.begin(labo, doctor.address.String())
		send("552 5.3.4", sized(max+1))
		c.alive(labo, doctor)
		c.begin(labo, doctor.address.String())
		send("552 5.3.4", sized(150_000))
		c.alive(labo, doctor)
	}
	// In small chunks: the chunk that passes the limit is refused, and those
	// behind it too, by the bytes that they announce.
	c.begin(labo, doctor.address.String())
	text := sized(3 * max)
	c.write(fmt.Sprintf("BDAT %d\r\n%sBDAT %d\r\n%sBDAT %d LAST\r\n%s", max, text[:max], max, text[max:2*max], max, text[2*max:]))
	c.reply("250")
	c.reply("552 5.3.4")
	c.reply("502")
	c.alive(labo, doctor)
	// Whoever goes on and on is cut.
	c.begin(labo, doctor.address.String())
	c.cmd("354", "DATA")
	line := strings.Repeat("x", 998) + "\r\n"
	for range 400 {
		if _, err := c.c.Write([]byte(line)); err != nil {
			break
		}
	}
	if got := c.read(); got != "" && !strings.HasPrefix(got, "552 5.3.4") {
		t.Errorf("%q", got)
	}
	for got := c.read(); got != ""; got = c.read() {
		t.Errorf("%q", got)
	}
	if got := len(doctor.letters()); got != 7-1 { // two whole, and what showed that the line lives; one of the two is a repeat
		t.Errorf("%d letters", got)
	}
}

// Lines of commands are bounded, on both sides of the limit; long answers of
// AUTH fit.
func TestLineLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	c := h.peer()
	c.cmd("250", "NOOP %s", strings.Repeat("x", 12_288-7))
	c.cmd("500", "NOOP %s", strings.Repeat("x", 12_288-6))
	c.ended()
	c = h.dial(h.submits).secure()
	c.reply("220")
	c.cmd("250", "EHLO x")
	long := base64.StdEncoding.EncodeToString([]byte("\x00" + doctor.address.String() + "\x00" + strings.Repeat("x", 9000)))
	c.cmd("535", "AUTH PLAIN %s", long)
	c.cmd("334", "AUTH PLAIN")
	c.cmd("535", "%s", long)
	c.cmd("501", "EHLO %s", strings.Repeat("x", 256))
	c.cmd("250", "EHLO %s", strings.Repeat("x", 255))
	c = h.dial(h.mx)
	c.reply("220")
	c.cmd("500", "EHLO %s", strings.Repeat("x", 2000))
	c.ended()
}

// A message's lines are as long as its sender makes them.
func TestLongLinesOfAMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	c := h.peer()
	long := mailText("From: "+labo) + strings.Repeat("x", 4095) + "\r\n" + strings.Repeat("y", 4096) + "\r\n" + strings.Repeat("z", 50_001) + "\r\n"
	for extra := range 4 { // whichever way lines and buffers meet
		c.begin(labo, doctor.address.String())
		c.data("250", "X-Shift: "+strings.Repeat("s", extra)+"\r\n"+long+strings.Repeat("."+strings.Repeat("d", 4093+extra)+"\r\n", 3))
	}
	for i, got := range doctor.letters() {
		if !strings.Contains(got, strings.Repeat("z", 50_001)+"\r\n."+strings.Repeat("d", 4093+i)+"\r\n.d") {
			t.Errorf("letter %d is not what was sent", i)
		}
	}
}

// Commands that are no lines, out of order or unknown.
func TestCommandsOutOfOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	c := h.peer()
	c.begin(labo, doctor.address.String())
	c.cmd("503", "MAIL FROM:<%s>", labo) // without RSET
	c.data("250", mailText("From: "+labo))
	c.cmd("502", "DATA")
	c.cmd("502", "RCPT TO:<%s>", doctor.address)
	c.cmd("250", "MAIL FROM:<%s>", labo)
	c.cmd("502", "DATA")
	c.cmd("250", "EHLO again") // resets
	c.alive(labo, doctor)
	for _, line := range []string{"NOOP\n", "NO\rOP\r\n", "NOOP \x00\r\n", "\n"} {
		c = h.peer()
		c.write(line)
		c.reply("500 5.5.2")
		c.alive(labo, doctor)
	}
	c = h.peer()
	for range 20 {
		c.c.Write([]byte("BLAH\r\n"))
	}
	n := 0
	for got := c.read(); got != ""; got = c.read() {
		if n++; got[0] != '5' && got[0] != '4' {
			t.Errorf("%q", got)
		}
	}
	if n == 0 || n > 11 {
		t.Errorf("%d errors before the end", n)
	}
}

// BDAT: what is refused is thrown away in step; what cannot be counted ends
// the connection. RFC 3030
func TestChunks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	c := h.peer()
	c.write("BDAT 6 LAST\r\nQUIT\r\n")
	c.reply("502")
	c.cmd("250", "MAIL FROM:<%s>", labo)
	c.write("BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n")
	c.reply("502")
	c.reply("502")
	c.cmd("250", "RSET")
	text := mailText("From: " + labo)
	for _, between := range []struct{ send, want, after string }{
		{"RSET\r\n", "250", ""},
		{"EHLO x\r\n", "250", ""},
		{"NOOP\r\n", "250", "RSET\r\n"},
		{"DATA\r\n", "503", "RSET\r\n"},
		{"MAIL FROM:<" + labo + ">\r\n", "503", "RSET\r\n"},
	} {
		c.begin(labo, doctor.address.String())
		c.write(fmt.Sprintf("BDAT %d\r\n%s", len(text), text))
		c.reply("250 2.0.0 go on")
		c.write(between.send)
		c.reply(between.want)
		if between.after != "" {
			c.write(between.after)
			c.reply("250")
		}
		c.cmd("502", "DATA") // the message is gone, and its recipients
	}
	c.alive(labo, doctor)
	c.begin(labo, doctor.address.String())
	c.write(fmt.Sprintf("BDAT %d\r\n%sBDAT 0\r\nBDAT 0 LAST\r\n", len(text), text))
	c.reply("250")
	c.reply("250")
	c.reply("250 2.0.0 taken")
	c.begin(labo, doctor.address.String())
	c.write(fmt.Sprintf("BDAT %d\r\n%sQUIT\r\n", len(text), text))
	c.reply("250")
	c.reply("221")
	c.ended()
	for _, arg := range []string{"", " x", " -1", " 5 FIRST", " 5 LAST now", " 99999999999999999999"} {
		c := h.peer().begin(labo, doctor.address.String())
		c.write("BDAT" + arg + "\r\nNOOP\r\n")
		c.reply("501 5.5.4")
		c.ended()
	}
	c = h.peer().begin(labo, doctor.address.String())
	c.data("250", text+"after DATA\r\n")
	c.write("BDAT 5 LAST\r\nhello")
	c.reply("502")
	c.alive(labo, doctor)
}

// Connections of one address, and in all.
func TestConnectionLimits(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(l *smtpd.Limits) { l.MaxPerAddress = 3 })
	open := []*client{h.dial(h.mx), h.dial(h.mx), h.dial(h.submit)}
	for _, c := range open {
		c.reply("220")
	}
	h.dial(h.mx).reply("421 4.7.0")
	h.dial(h.submits).ended()
	open[0].cmd("221", "QUIT")
	open[0].ended()
	for range 50 {
		if h.server.Connections() == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.dial(h.mx).reply("220")
	h = newHouse(t, func(l *smtpd.Limits) { l.MaxConns = 1 })
	h.dial(h.mx).reply("220")
	h.dial(h.mx).reply("421 4.3.2")
}

func TestPatienceWithCommands(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(l *smtpd.Limits) {
		l.CommandTimeout, l.Handshake, l.MaxIdleCommands = 300*time.Millisecond, 300*time.Millisecond, 5
	})
	c := h.dial(h.mx)
	c.reply("220")
	c.reply("421 4.4.2")
	c = h.peer()
	c.write("NOO") // half a command
	c.reply("421 4.4.2")
	c.ended()
	c = h.dial(h.mx)
	c.reply("220")
	c.cmd("220", "STARTTLS")
	c.ended() // no handshake comes
	c = h.dial(h.submits)
	c.ended()
	c = h.peer()
	for range 4 {
		c.cmd("250", "NOOP")
	}
	c.cmd("421", "NOOP")
	c.ended()
}

// A failure of ours is 451 with words that tell nothing.
func TestOurFailures(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, holder := h.member("louise.moreau"), h.holder(space.Active)
	c := h.peer().begin(labo, doctor.address.String())
	h.people = nil // the stores are gone: nothing to check at the end
	h.must(h.db.Close())
	got := c.data("451 4.3.0", mailText("From: "+labo))
	for _, to := range []string{doctor.address.String(), holder.address.String()} {
		c = h.peer().begin(labo)
		if other := c.cmd("451 4.3.0", "RCPT TO:<%s>", to); other != got {
			t.Errorf("%q and %q", other, got)
		}
	}
	for _, word := range []string{"store", "bolt", h.folder, "closed"} {
		if strings.Contains(got, word) {
			t.Errorf("%q tells of %q", got, word)
		}
	}
	c = h.dial(h.submits).secure()
	c.reply("220")
	c.cmd("250", "EHLO x")
	c.cmd("454 4.7.0", "AUTH PLAIN %s", doctor.plain())
}

// Stopping answers the message on its way, and sends the others home.
func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	idle, clear := h.peer(), h.dial(h.mx)
	clear.reply("220")
	busy := h.peer().begin(labo, doctor.address.String())
	busy.cmd("354", "DATA")
	busy.write(mailText("From: " + labo))
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- h.server.Shutdown(ctx)
	}()
	idle.reply("421 4.3.2")
	idle.ended()
	clear.reply("421 4.3.2")
	if _, err := net.DialTimeout("tcp", h.mx, time.Second); err == nil {
		t.Error("it still listens")
	}
	busy.cmd("250", ".")
	busy.reply("421 4.3.2")
	busy.ended()
	h.must(<-done)
	if got := len(doctor.letters()); got != 1 {
		t.Errorf("%d letters", got)
	}
}

// When nobody waits any longer, what is left is cut.
func TestShutdownCuts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	c := h.peer().begin(labo, doctor.address.String())
	c.cmd("354", "DATA")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := h.server.Shutdown(ctx); err == nil {
		t.Error("nobody was left")
	}
	c.ended()
	for range 100 {
		if h.server.Connections() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a connection is left")
}
