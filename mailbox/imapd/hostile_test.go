package imapd_test

import (
	"crypto/tls"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"pli/mailbox/imapd"
)

// Cut off at whichever byte, a client has had done the commands that it ended,
// and no part of another.
func TestCutOffAtEveryByte(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	script := "b CREATE One%[1]d\r\nc APPEND One%[1]d {5+}\r\nhello\r\nd CREATE {%[2]d+}\r\nTwo%[1]d\r\ne RENAME Two%[1]d Six%[1]d\r\n"
	n := 0
	for ; ; n++ {
		text := fmt.Sprintf(script, n, len(fmt.Sprint("Two", n)))
		if n > len(text) {
			break
		}
		w := h.login()
		w.send(text[:n])
		h.must(w.conn.(*tls.Conn).CloseWrite())
		w.ends()
	}
	names, _ := h.boxes()
	w := h.login()
	for i := range n {
		text := fmt.Sprintf(script, i, len(fmt.Sprint("Two", i)))
		lines := strings.SplitAfter(text, "\r\n")
		sent := func(lastLine int) bool { return i >= len(strings.Join(lines[:lastLine+1], "")) }
		two := sent(4) && !sent(5)
		for folder, want := range map[string]bool{"One": sent(0), "Two": two, "Six": sent(5)} {
			if got := strings.Contains(names, fmt.Sprintf("%s%d ", folder, i)); got != want {
				t.Errorf("%d of %d bytes: folder %s is there: %v", i, len(text), folder, got)
			}
		}
		if !sent(0) {
			continue
		}
		want := "(MESSAGES 0)"
		if sent(2) {
			want = "(MESSAGES 1)"
		}
		if said := w.ok("STATUS One%d (MESSAGES)", i); !strings.HasSuffix(said[0], want) {
			t.Errorf("%d of %d bytes: %q, want %s", i, len(text), said, want)
		}
	}
}

// Commands that were sent behind a sign-in which fails are not executed,
// whichever way it was sent.
func TestPipelinedBehindASignInThatFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.FailureDelay = time.Millisecond })
	h.deliver(letter("one", "x"))
	for _, signIn := range []string{
		"a LOGIN x y\r\n",
		"a LOGIN {1+}\r\nx {1+}\r\ny\r\n",
		"a LOGIN {1+}\r\nx \"y\r\n", // closes
		"a LOGIN x\r\n",
		"a AUTHENTICATE PLAIN AHgAeQ==\r\n",
		"a AUTHENTICATE PLAIN\r\nAHgAeQ==\r\n",
		"a AUTHENTICATE PLAIN\r\n*\r\n",
		"a AUTHENTICATE PLAIN\r\n", // the next line is the answer to the challenge
		"a AUTHENTICATE EXTERNAL =\r\n",
		"a STARTTLS\r\n",
	} {
		w := h.dial()
		w.send(signIn + "b SELECT INBOX\r\nc CREATE Evil\r\nd FETCH 1 BODY[]\r\ne APPEND INBOX {4+}\r\nevil\r\nf LOGOUT\r\n")
		said := w.ends()
		for _, bad := range []string{"b OK", "c OK", "d OK", "e OK", "Subject: one"} {
			if strings.Contains(said, bad) {
				t.Errorf("%q: said %q", signIn, said)
			}
		}
		if !strings.Contains(said, "* BYE") {
			t.Errorf("%q: no end: %q", signIn, said)
		}
	}
	if names, n := h.boxes(); strings.Contains(names, "Evil") || n != 1 {
		t.Errorf("afterwards: %s, %d messages", names, n)
	}
}

// Before sign-in time, depth and size are bounded too, and what comes by drops
// holds no longer than what does not come.
func TestHostileBeforeSignIn(t *testing.T) {
	t.Parallel()
	hasty := newHouse(t, func(cfg *imapd.Config) {
		cfg.SignInTimeout, cfg.CommandTimeout = 1500*time.Millisecond, 500*time.Millisecond
	})
	for name, text := range map[string]string{
		"half a command":       "a LOG",
		"half a quoted string": `a LOGIN "x`,
		"half a literal":       "a LOGIN {5+}\r\nab",
		"no literal":           "a LOGIN {5}\r\n",
		"half a challenge":     "a AUTHENTICATE PLAIN\r\nAHg",
		"no answer at all":     "a AUTHENTICATE PLAIN\r\n",
		"a carriage return":    "a NOOP\r",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := hasty.dial()
			w.send(text)
			if said := w.ends(); !strings.HasSuffix(said, "* BYE Timeout\r\n") {
				t.Errorf("said %q", said)
			}
		})
	}
	t.Run("byte by byte", func(t *testing.T) {
		t.Parallel()
		w := hasty.dial()
		start := time.Now()
		for time.Since(start) < 10*time.Second {
			if _, err := w.conn.Write([]byte("a NOOP\r\n")); err != nil { // whole commands, and no sign-in
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("borne for %v", took)
		}
	})
	h := newHouse(t) // with time enough
	w := h.dial()
	for depth, answer := range map[int]string{32: "BAD [CLIENTBUG] Syntax error", 33: "BAD [CLIENTBUG] Parentheses nested too deep"} {
		w.expect(answer, "LOGIN %sx%s y", strings.Repeat("(", depth), strings.Repeat(")", depth))
	}
	w.expect("BAD", "LOGIN %s", strings.Repeat("(", 8000))
	w.expect("BAD", "NOOP %s", strings.Repeat(")", 8000))
	w.ok("LOGIN %s %s", h.user, h.pass)
}

// Connections that have sent as much as one may before sign-in, and wait, hold
// little memory. Measured: 42 kB each, the client's end included.
func TestMemoryBeforeSignIn(t *testing.T) {
	const conns, most = 100, 100 << 10
	h := newHouse(t)
	open := func(n int) {
		for range n {
			w := h.dial()
			w.send("a LOGIN \"" + strings.Repeat("x", 8000))
		}
	}
	open(5) // what is made once
	before := inUse()
	open(conns)
	if each := (inUse() - before) / conns; each > most {
		t.Errorf("%d bytes a connection", each)
	}
}

// inUse returns the bytes of heap and stacks after a collection.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// 192 kB of messages within each other, whose structure go-imap would take
// 809 MB to find, cost little. Hostile mail of 10 MB is delivered, listed and
// read in little memory beside itself.
func TestMemoryOfHostileMail(t *testing.T) {
	h := newHouse(t)
	h.deliver(strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 6000))
	h.deliver("Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 1_400_000))
	w := h.inbox()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	w.ok("FETCH 1:2 (ENVELOPE BODYSTRUCTURE BODY)")
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
