package message_test

import (
	"fmt"
	"strings"
	"testing"

	"pli/mailbox/message"
	"pli/store"
)

// Each limit, on both sides: what is within it is read whole; beyond it
// Truncated names it, and the message stays readable.
func TestLimits(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { // n entities within each other
		var b strings.Builder
		for i := range n - 1 {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n", i)
		}
		return b.String() + "\r\nx"
	}
	messages := func(n int) string {
		return strings.Repeat("Content-Type: message/rfc822\r\n\r\n", n-1) + "Subject: s\r\n\r\nx"
	}
	parts := func(n int) string { // the message and n-1 parts
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", n-1)
	}
	list := func(unit string, n int) string { return strings.Repeat(unit, n) }
	for _, c := range []struct {
		name    string
		limits  message.Limits
		in, out string
	}{
		{"header", message.Limits{MaxHeaderBytes: 100}, "X: " + list("y", 93) + "\r\n\r\nbody", "X: " + list("y", 94) + "\r\n\r\nbody"},
		{"header", message.Limits{}, "X: " + list("y", 1<<20-7) + "\r\n\r\nbody", "X: " + list("y", 1<<20-6) + "\r\n\r\nbody"},
		{"header", message.Limits{MaxHeaderBytes: 60}, // lines that turn out to be body count for nothing
			"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + list("--b\r\nBody\r\n", 99), "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + list("--b\r\nX: y\r\n", 99)},
		{"parts", message.Limits{MaxParts: 5}, parts(5), parts(6)},
		{"parts", message.Limits{MaxParts: 4}, messages(4), messages(5)},
		{"parts", message.Limits{}, parts(10_000), parts(10_001)},
		{"depth", message.Limits{MaxDepth: 4}, nested(4), nested(5)},
		{"depth", message.Limits{MaxDepth: 4}, messages(4), messages(5)},
		{"depth", message.Limits{}, nested(100), nested(101)},
		{"depth", message.Limits{}, messages(100), messages(101)},
		{"params", message.Limits{MaxParams: 3}, "Content-Type: a/b; a=1; b=2; c=3\r\n\r\n", "Content-Type: a/b; a=1; b=2; c=3; d=4\r\n\r\n"},
		{"params", message.Limits{}, "Content-Type: a/b" + list("; a*1=x", 200) + "\r\n\r\n", "Content-Type: a/b" + list("; a*1=x", 201) + "\r\n\r\n"},
		{"addresses", message.Limits{MaxAddresses: 3}, "From: a@b\r\nTo: a@b, c@d\r\n\r\n", "From: a@b\r\nTo: a@b, c@d, e@f\r\n\r\n"},
		{"addresses", message.Limits{}, "To: " + list("a@b,", 10_000) + "\r\n\r\n", "To: " + list("a@b,", 10_001) + "\r\n\r\n"},
		{"index", message.Limits{MaxIndex: 200}, "Subject: " + list("x", 64) + "\r\n\r\n", "Subject: " + list("x", 200) + "\r\n\r\n"},
		{"index", message.Limits{MaxIndex: 200}, parts(2), parts(9)},
		{"index", message.Limits{MaxHeaderBytes: 2 << 20}, "Subject: " + list("x", 896<<10-69) + "\r\n\r\n", "Subject: " + list("x", 896<<10) + "\r\n\r\n"},
	} {
		if ix := scan([]byte(c.in), c.limits, 0); ix.Truncated != "" {
			t.Errorf("%s %+v: %q within the limit", c.name, c.limits, ix.Truncated)
		} else {
			check(t, c.name, []byte(c.in), ix)
		}
		ix := scan([]byte(c.out), c.limits, 0)
		if ix.Truncated != c.name {
			t.Errorf("%s %+v: %q beyond the limit", c.name, c.limits, ix.Truncated)
		}
		check(t, c.name, []byte(c.out), ix)
	}
}

// Beyond a bound the rest is one opaque part, to the end of the message.
func TestLimitsOpaque(t *testing.T) {
	t.Parallel()
	const msg = "Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b--\r\n"
	ix := scan([]byte(msg), message.Limits{MaxParts: 3}, 0)
	if n := len(ix.Root.Children); n != 3 {
		t.Fatalf("%d children", n)
	}
	last := ix.Root.Children[2]
	if last.MediaType() != "application/octet-stream" || msg[last.BodyStart:last.End] != "\r\nthree\r\n--b--\r\n" {
		t.Errorf("%s %q", last.MediaType(), msg[last.BodyStart:last.End])
	}
	long := "Subject: s\r\nFrom: a@b\r\nX: " + strings.Repeat("y", 100) + "\r\nContent-Type: text/html\r\n\r\nbody"
	ix = scan([]byte(long), message.Limits{MaxHeaderBytes: 60}, 0)
	if ix.Envelope.Subject != "s" || len(ix.Envelope.From) != 1 || ix.Root.MediaType() != "application/octet-stream" || !strings.HasPrefix(long[ix.Root.BodyStart:], "X: y") {
		t.Errorf("%+v", ix)
	}
}

// MaxText and MaxTextSource cut the text and nothing else.
func TestTextLimits(t *testing.T) {
	t.Parallel()
	msg := "Subject: s\r\n\r\n" + strings.Repeat("é", 100)
	for max, want := range map[int]int{100: 100, 99: 99, 101: 100} {
		if ix := scan([]byte(msg), message.Limits{MaxText: max}, 0); len(ix.Text) != want || ix.Truncated != "" {
			t.Errorf("MaxText %d: %d bytes, %q", max, len(ix.Text), ix.Truncated)
		}
	}
	for max, want := range map[int]int{200: 100, 199: 99, 300: 100} {
		if ix := scan([]byte(msg), message.Limits{MaxTextSource: max}, 0); len(ix.Text) != want {
			t.Errorf("MaxTextSource %d: %d bytes", max, len(ix.Text))
		}
	}
	if ix := scan([]byte("\r\n"+strings.Repeat("x", 1<<20)), message.Limits{}, 0); len(ix.Text) != 64<<10 || len(ix.Preview) != 200 {
		t.Errorf("%d bytes of text, %d of preview", len(ix.Text), len(ix.Preview))
	}
}

// The largest index that the default limits allow fits in one record, also
// where each byte of it is spent on what costs most to encode.
func TestIndexFitsRecord(t *testing.T) {
	t.Parallel()
	text := "\r\n" + strings.Repeat("x ", 1<<17)
	var parts, params strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&parts, "--b\r\nContent-Type: a/b; c=d\r\nContent-Disposition: x; y=%d\r\nContent-ID: x\r\nContent-MD5: x\r\nContent-Language: a,b,c\r\n\r\n", i)
		fmt.Fprintf(&params, "--b\r\nContent-Type: multipart/x; boundary=c\r\n\r\n--c\r\n--c--\r\n")
	}
	mixed := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + text + "\r\n"
	for name, msg := range map[string]string{
		"addresses":  "To: " + strings.Repeat("a,", 10_000) + "\r\nReferences: " + strings.Repeat("a ", 1000) + "\r\nSubject: " + strings.Repeat("é", 390_000) + "\r\n" + text,
		"names":      "To: " + strings.Repeat("a <b@c>,", 10_000) + "\r\nSubject: " + strings.Repeat("x", 890_000) + "\r\n" + text,
		"parts":      mixed + parts.String(),
		"multiparts": mixed + params.String(),
		"messages":   "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n" + text + strings.Repeat("\r\n--b\r\n\r\nTo: a\r\nSubject: b\r\n\r\n", 10_000),
	} {
		ix := scan([]byte(msg), message.Limits{MaxHeaderBytes: 4 << 20}, 0)
		enc, err := store.Encode(ix)
		if err != nil || len(enc) > store.MaxValue-32<<10 {
			t.Errorf("%s: %d bytes, %v", name, len(enc), err)
		}
		t.Logf("%s: %d bytes (%s)", name, len(enc), ix.Truncated)
	}
}
