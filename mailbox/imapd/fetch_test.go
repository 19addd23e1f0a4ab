package imapd_test

import (
	"fmt"
	"strings"
	"testing"

	"pli/mailbox/imapd"
)

const nested = "From: a@b.test\r\nTo: c@d.test\r\nSubject: =?utf-8?q?r=C3=A9sultats?=\r\nX-Two: 1\r\nX-Two: 2\r\n" +
	" folded\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n" +
	"--o\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n" +
	"--o\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"in.eml\"\r\n\r\n" +
	"Subject: inner\r\nFrom: e@f.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n" +
	"--i\r\nContent-Type: text/plain\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--i--\r\n" +
	"\r\n--o\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: x-odd\r\n\r\nabc\r\n--o--\r\nepilogue\r\n"

// literal returns the literal of a one-section FETCH answer.
func literal(t *testing.T, said []string) string {
	t.Helper()
	_, rest, ok := strings.Cut(said[0], "}\r\n")
	if !ok {
		t.Fatalf("no literal in %q", said)
	}
	return rest[:len(rest)-1]
}

// Sections are cut from the message by the stored offsets. RFC 9051 6.4.5
func TestSections(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(nested)
	w := h.inbox()
	head, _, _ := strings.Cut(nested, "preamble")
	inner := nested[strings.Index(nested, "Subject: inner"):strings.Index(nested, "\r\n--o\r\nContent-Type: application")]
	innerHead, innerText, _ := strings.Cut(inner, "\r\n\r\n")
	for _, c := range []struct{ section, want string }{
		{"", nested},
		{"HEADER", head},
		{"TEXT", nested[len(head):]},
		{"1", "aGVsbG8="},
		{"1.MIME", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"},
		{"2", inner},
		{"2.HEADER", innerHead + "\r\n\r\n"},
		{"2.TEXT", innerText},
		{"2.1", "plain"},
		{"2.2", "<p>html"},
		{"2.2.MIME", "Content-Type: text/html\r\n\r\n"},
		{"2.HEADER.FIELDS (FROM)", "From: e@f.test\r\n\r\n"},
		{"HEADER.FIELDS (subject x-two)", "Subject: =?utf-8?q?r=C3=A9sultats?=\r\nX-Two: 1\r\nX-Two: 2\r\n folded\r\n\r\n"},
		{"HEADER.FIELDS.NOT (Subject X-Two \"Content-Type\" MIME-Version)", "From: a@b.test\r\nTo: c@d.test\r\n\r\n"},
		{"HEADER.FIELDS (absent)", "\r\n"},
		{"9", ""}, {"1.1.1.1", ""}, {"0", ""}, {"4294967295", ""}, {"1.HEADER", ""}, {"3.TEXT", ""},
	} {
		if got := literal(t, w.ok("FETCH 1 BODY.PEEK[%s]", c.section)); got != c.want {
			t.Errorf("BODY[%s]: %q, want %q", c.section, got, c.want)
		}
	}
	w.expect("BAD", "FETCH 1 BODY[MIME]")
	w.expect("BAD", "FETCH 1 BODY[NONSENSE]")
	if got := literal(t, w.ok("FETCH 1 BINARY.PEEK[1]")); got != "hello" {
		t.Errorf("BINARY: %q", got)
	}
	if said := w.ok("FETCH 1 BINARY.SIZE[1]"); said[0] != "* 1 FETCH (BINARY.SIZE[1] 5)" {
		t.Errorf("BINARY.SIZE: %q", said)
	}
	w.expect("NO [UNKNOWN-CTE]", "FETCH 1 BINARY.PEEK[3]")
}

// Partials stay within the message, and those beyond 32 bits are refused.
func TestPartials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	raw := letter("partial", "0123456789")
	h.deliver(raw)
	w := h.inbox()
	for _, c := range []struct{ partial, want, echo string }{
		{"0.4", raw[:4], "<0>"},
		{"1.9223372036854775807", raw[1:], "<1>"},
		{"4294967295.9223372036854775807", "", "<4294967295>"},
		{fmt.Sprintf("%d.1", len(raw)-1), "\n", fmt.Sprintf("<%d>", len(raw)-1)},
		{fmt.Sprintf("%d.1", len(raw)), "", fmt.Sprintf("<%d>", len(raw))},
	} {
		said := w.ok("FETCH 1 BODY.PEEK[]<%s>", c.partial)
		if got := literal(t, said); got != c.want || !strings.Contains(said[0], "BODY[]"+c.echo) {
			t.Errorf("<%s>: %q", c.partial, said)
		}
	}
	if got := literal(t, w.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]<3.9223372036854775807>")); got != "ject: partial\r\n\r\n" {
		t.Errorf("of fields: %q", got)
	}
	for _, p := range []string{"4294967296.1", "9223372036854775807.9223372036854775807", "0.0", "1.99999999999999999999"} {
		w.expect("BAD", "FETCH 1 BODY.PEEK[]<%s>", p)
	}
	w.expect("NO [LIMIT]", "FETCH 1 (%s)", strings.TrimSpace(strings.Repeat("BODY.PEEK[] ", 65)))
	w.ok("FETCH 1 (%s)", strings.TrimSpace(strings.Repeat("BODY.PEEK[]<0.1> ", 64)))
}

// ENVELOPE and BODYSTRUCTURE come from the stored index.
func TestStructure(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(nested)
	w := h.inbox()
	said := w.ok("FETCH 1 (ENVELOPE BODYSTRUCTURE)")[0]
	for _, want := range []string{
		`"=?utf-8?q?r=C3=A9sultats?=" ((NIL NIL "a" "b.test")) ((NIL NIL "a" "b.test")) ((NIL NIL "a" "b.test")) ((NIL NIL "c" "d.test")) NIL NIL NIL NIL)`,
		`BODYSTRUCTURE (("text" "plain" ("charset" "utf-8") NIL NIL "base64" 8 0 NIL NIL NIL NIL)("message" "rfc822" NIL NIL NIL "7bit"`,
		`(NIL "inner" ((NIL NIL "e" "f.test"))`,
		`"alternative" ("boundary" "i") NIL NIL NIL)`,
		`("attachment" ("filename" "in.eml"))`,
		`"mixed" ("boundary" "o") NIL NIL NIL)`,
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in %s", want, said)
		}
	}
	if said := w.ok("FETCH 1 BODY")[0]; strings.Contains(said, "attachment") || !strings.Contains(said, `"mixed"))`) {
		t.Errorf("BODY: %s", said)
	}
}

// Mail that broke other servers comes through.
func TestHostileStructures(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	deep := "Content-Type: message/rfc822\r\n\r\n"
	for _, raw := range []string{
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n", // no child
		"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
		strings.Repeat(deep, 2000) + "Subject: deep\r\n\r\nx",
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQo=\r\n",
		"From: group: a@b, c;\r\nTo: nobody\r\nSubject: a\x00b\rc\r\nContent-Type: te xt; =; charset=\"\r\n\r\nx",
		"", "\r\n", "x",
	} {
		h.deliver(raw)
	}
	w := h.inbox()
	if said := w.ok("FETCH 1:* (ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[1] BODY.PEEK[1.1.1.TEXT] BODY.PEEK[HEADER] BINARY.PEEK[])"); len(said) != 8 {
		t.Errorf("%d answers", len(said))
	}
	w.ok("NOOP")
}

// A fetch without PEEK marks the message, and says so once. RFC 9051 6.4.5
func TestSeen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("one", "x"))
	w := h.inbox()
	for _, c := range []string{"BODY.PEEK[]", "RFC822.HEADER", "BINARY.PEEK[1]", "BINARY.SIZE[1]", "ENVELOPE", "BODY"} {
		if said := w.ok("FETCH 1 %s", c); strings.Contains(said[0], "FLAGS") {
			t.Errorf("%s: %q", c, said)
		}
	}
	if said := w.ok("FETCH 1 BODY[TEXT]"); len(said) != 1 || !strings.HasPrefix(said[0], `* 1 FETCH (FLAGS (\Seen) BODY[TEXT]`) {
		t.Errorf("first: %q", said)
	}
	if said := w.ok("UID FETCH 1 BODY[TEXT]"); strings.Contains(said[0], "FLAGS") {
		t.Errorf("second: %q", said)
	}
	for _, c := range []string{"BODY[]", "RFC822", "RFC822.TEXT", "BINARY[1]"} {
		w.ok("STORE 1 FLAGS.SILENT ()")
		if said := w.ok("FETCH 1 %s", c); !strings.Contains(said[0], `FLAGS (\Seen)`) {
			t.Errorf("%s: %q", c, said)
		}
	}
}

// A message of the largest size comes in and goes out.
func TestLargeMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(cfg *imapd.Config) { cfg.MaxAppend = 5 << 20 })
	raw := letter("large", "")
	raw += strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n", (5<<20-len(raw))/64)
	raw += strings.Repeat("x", 5<<20-len(raw))
	w := h.inbox()
	w.append("INBOX", raw)
	if got := literal(t, w.ok("FETCH 1 BODY.PEEK[]")); got != raw {
		t.Errorf("%d bytes came back", len(got))
	}
	w.send(fmt.Sprintf("a APPEND INBOX {%d}\r\n", len(raw)+1))
	if said := w.ends(); !strings.HasPrefix(said, "a NO [TOOBIG]") {
		t.Errorf("one byte more: %q", said)
	}
}
