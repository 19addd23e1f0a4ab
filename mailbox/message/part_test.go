package message_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pli/mailbox/message"
)

// tree writes each part with its number, type and content.
func tree(msg string, ix *message.Index) string {
	var b strings.Builder
	ix.Walk(func(path string, p *message.Part) bool {
		b.WriteString(path + " " + p.MediaType())
		if len(p.Children) == 0 && p.Message == nil {
			b.WriteString(" [" + msg[p.BodyStart:p.End] + "]")
		}
		b.WriteByte('\n')
		return true
	})
	return b.String()
}

// RFC 2046 5.1: how a multipart is cut, in order and out of it. Each case is
// read with CRLF and with LF.
func TestTree(t *testing.T) {
	t.Parallel()
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	for name, c := range map[string]struct{ in, want string }{
		"two parts":                 {mixed + "preamble\n--b\n\none\n--b\n\ntwo\n--b--\nepilogue", " multipart/mixed\n1 text/plain [one]\n2 text/plain [two]\n"},
		"no closing line":           {mixed + "--b\n\none\n", " multipart/mixed\n1 text/plain [one\n]\n"},
		"closing line at the end":   {mixed + "--b\n\none\n--b--", " multipart/mixed\n1 text/plain [one]\n"},
		"boundary line at the end":  {mixed + "--b\n\none\n--b", " multipart/mixed\n1 text/plain [one]\n2 text/plain []\n"},
		"blanks after it":           {mixed + "--b \t\n\none\n--b-- \nx", " multipart/mixed\n1 text/plain [one]\n"},
		"nearly a boundary":         {mixed + "--b\n\n--bb\n--b--x\n --b\n-b\n--\n---\n--b-\n--b--", " multipart/mixed\n1 text/plain [--bb\n--b--x\n --b\n-b\n--\n---\n--b-]\n"},
		"after the closing line":    {mixed + "--b\n\none\n--b--\n--b\n\ntwo\n", " multipart/mixed\n1 text/plain [one]\n"},
		"empty parts":               {mixed + "--b\n--b\n\n--b\n\n\n--b--\n", " multipart/mixed\n1 text/plain []\n2 text/plain []\n3 text/plain []\n"},
		"ends with blank lines":     {mixed + "--b\n\none\n\n\n--b--\n", " multipart/mixed\n1 text/plain [one\n\n]\n"},
		"header without blank line": {mixed + "--b\nContent-Type: text/html\n--b\nContent-Type: a/b\nbody\n--b--", " multipart/mixed\n1 text/html []\n2 a/b [body]\n"},
		"no header, no blank line":  {mixed + "--b\nbody: no\nsecond\n--b--", " multipart/mixed\n1 text/plain [second]\n"},
		"boundary in the header":    {"Content-Type: multipart/mixed; boundary=b\n--b\n\none\n--b--", " multipart/mixed\n1 text/plain [one]\n"},
		"no part":                   {mixed + "only text\n", " text/plain [only text\n]\n"},
		"no boundary":               {"Content-Type: multipart/mixed\n\n--b\n\none\n", " text/plain [--b\n\none\n]\n"},
		"boundary of the outer ends the inner": {mixed + "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--",
			" multipart/mixed\n1 multipart/mixed\n1.1 text/plain [one]\n2 text/plain [two]\n"},
		"one begins with the other": {mixed + "--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--",
			" multipart/mixed\n1 multipart/mixed\n1.1 text/plain [one]\n2 text/plain [two]\n"},
		"ends in dashes": {"Content-Type: multipart/mixed; boundary=\"b--\"\n\n--b--\n\none\n--b----\nx", " multipart/mixed\n1 text/plain [one]\n"},
		"the same twice": {mixed + "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\nx\n--b\n\ntwo\n--b--",
			" multipart/mixed\n1 multipart/mixed\n1.1 text/plain [one]\n2 text/plain [two]\n"},
		"boundary by RFC 2231": {"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\none\n--ab--", " multipart/mixed\n1 text/plain [one]\n"},
		"message":              {mixed + "--b\nContent-Type: message/rfc822\n\nSubject: s\n\none\n--b--", " multipart/mixed\n1 message/rfc822\n1.1 text/plain [one]\n"},
		"message that is a multipart": {mixed + "--b\nContent-Type: message/global\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--c--\n\n--b--",
			" multipart/mixed\n1 message/global\n1.TEXT multipart/mixed\n1.1 text/plain [one]\n"},
		"message without body":        {mixed + "--b\nContent-Type: message/rfc822\n\nSubject: s\n\n--b\n\ntwo\n--b--", " multipart/mixed\n1 message/rfc822\n1.1 text/plain []\n2 text/plain [two]\n"},
		"message without header":      {mixed + "--b\nContent-Type: message/rfc822\n--b\n\ntwo\n--b--", " multipart/mixed\n1 message/rfc822\n1.1 text/plain []\n2 text/plain [two]\n"},
		"message encoded":             {mixed + "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\neA==\n--b--", " multipart/mixed\n1 application/octet-stream [eA==]\n"},
		"message alone":               {"Content-Type: message/rfc822\n\nSubject: s\n\none", " message/rfc822\n1.1 text/plain [one]\n"},
		"digest":                      {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: s\n\none\n--b\nContent-Type: text/plain\n\ntwo\n--b--", " multipart/digest\n1 message/rfc822\n1.1 text/plain [one]\n2 text/plain [two]\n"},
		"mbox line first":             {"From a@b Tue Mar 3 08:15:00 2026\nSubject: s\n\nbody", " text/plain [body]\n"},
		"no header at all":            {"Hello you\nbody\n", " text/plain [Hello you\nbody\n]\n"},
		"junk in a message's header":  {"Subject: s\njunk here\nContent-Type: text/html\n\nbody", " text/html [body]\n"},
		"only a header":               {"Subject: s\nContent-Type: text/html", " text/html []\n"},
		"nothing":                     {"", " text/plain []\n"},
		"only a blank line":           {"\n", " text/plain []\n"},
		"blank line first":            {"\nbody", " text/plain [body]\n"},
		"boundary longer than a line": {"Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 1100) + "\n\n--x", " text/plain [--x]\n"},
	} {
		if got := tree(c.in, scan([]byte(c.in), message.Limits{}, 0)); got != c.want {
			t.Errorf("%s:\n%swant\n%s", name, got, c.want)
		}
		crlf := strings.ReplaceAll(c.in, "\n", "\r\n")
		ix := scan([]byte(crlf), message.Limits{}, 1)
		if got, want := tree(crlf, ix), c.want; strings.ReplaceAll(got, "\r\n", "\n") != want {
			t.Errorf("%s, with CRLF:\n%swant\n%s", name, got, want)
		}
		check(t, name, []byte(crlf), ix)
	}
}

// What is read for searching and previews: what its reader sees.
func TestText(t *testing.T) {
	t.Parallel()
	part := func(ct, body string) string { return "--b\r\nContent-Type: " + ct + "\r\n\r\n" + body + "\r\n" }
	alt := "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
	for name, c := range map[string]struct{ in, preview, text string }{
		"plain":               {"\r\nBonjour,\r\n  à   vous \u00a0 \r\n", "Bonjour, à vous", "bonjour, a vous"},
		"html":                {"Content-Type: text/html\r\n\r\n<title>no</title><style>p{}</style><p>R&eacute;sul<b>tats</b><br>du&nbsp;jour &lt;3 &unknown; &#233; &amp</p><!-- no --><script>no()</script>", "Résultats du jour <3 &unknown; é &amp", "resultats du jour <3 &unknown; e &amp"},
		"open tag":            {"Content-Type: text/html\r\n\r\n1 < 2 <b >is <b bold <", "1 < 2 is <b bold <", "1 < 2 is <b bold <"},
		"both say the same":   {alt + part("text/plain", "plain") + part("text/html", "<p>html</p>"), "plain", "plain"},
		"plain says nothing":  {alt + part("text/plain", " \r\n") + part("text/html", "<p>html</p>"), "html", "html"},
		"html in a related":   {alt + part("text/plain", "plain") + "--b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: text/html\r\n\r\nhtml\r\n--c--\r\n", "plain", "plain"},
		"two texts":           {"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part("text/plain", "one") + part("text/html", "<p>two"), "one", "one two"},
		"attachment":          {"Content-Disposition: attachment\r\n\r\ntext", "", ""},
		"calendar":            {"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR", "", ""},
		"base64, latin-1":     {"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: BASE64\r\n\r\nUulzdWx0\r\nYXRz", "Résultats", "resultats"},
		"quoted-printable":    {"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\nR=C3=A9sul=\r\ntats", "Résultats", "resultats"},
		"wrong charset":       {"Content-Type: text/plain; charset=us-ascii\r\n\r\nR\xe9sultats", "Résultats", "resultats"},
		"utf-16":              {"Content-Type: text/plain; charset=utf-16le\r\n\r\nR\x00\xe9\x00s\x00", "Rés", "res"},
		"iso-2022-jp":         {"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B%F\x1b(B", "テ", "テ"},
		"within":              {"Content-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nbody", "body", "inner body"},
		"preamble is no text": {"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n" + part("text/plain", "one") + "--b--\r\nepilogue", "one", "one"},
	} {
		for _, n := range []int{0, 1} {
			ix := scan([]byte(c.in), message.Limits{}, n)
			if ix.Preview != c.preview || ix.Text != c.text {
				t.Errorf("%s: %q %q, want %q %q", name, ix.Preview, ix.Text, c.preview, c.text)
			}
		}
	}
}

// Attachments are what is not the message's text.
func TestAttachments(t *testing.T) {
	t.Parallel()
	msg := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	for _, head := range []string{
		"Content-Type: text/plain", "Content-Type: text/html; name=body.html\r\nContent-Disposition: inline",
		"Content-Type: text/plain; name=1.txt", "Content-Type: text/html\r\nContent-Disposition: attachment; filename=2.html",
		"Content-Type: application/pdf; name=3.pdf", "Content-Type: image/jpeg; name=4.jpg\r\nContent-Disposition: inline\r\nContent-ID: <4>",
		"Content-Type: text/calendar; method=REQUEST; name=5.ics",
		"Content-Type: message/rfc822; name=6.eml\r\n\r\nContent-Type: application/pdf; name=not-this.pdf",
	} {
		msg += "--b\r\n" + head + "\r\n\r\nx\r\n"
	}
	var got []string
	for _, p := range scan([]byte(msg+"--b--\r\n"), message.Limits{}, 0).Attachments() {
		got = append(got, p.Filename())
	}
	if s := strings.Join(got, " "); s != "1.txt 2.html 3.pdf 4.jpg 5.ics 6.eml" {
		t.Errorf("%s", s)
	}
	if a := headerOf("Content-Type: application/pdf").Attachments(); len(a) != 1 {
		t.Errorf("a message that is a PDF: %v", a)
	}
	if a := headerOf("Subject: s").Attachments(); len(a) != 0 {
		t.Errorf("a message that is text: %v", a)
	}
}

// RFC 9051 6.4.5: the example's part numbers.
func TestByPath(t *testing.T) {
	t.Parallel()
	in := "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: application/octet-stream\n\ntwo\n" +
		"--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\n3.1\n--c\n\n3.2\n--c--\n" +
		"--b\nContent-Type: multipart/mixed; boundary=d\n\n--d\nContent-Type: image/gif\n\n4.1\n--d\nContent-Type: message/rfc822\n\n" +
		"Content-Type: multipart/mixed; boundary=e\n\n--e\n\n4.2.1\n--e\nContent-Type: multipart/alternative; boundary=f\n\n--f\n\n4.2.2.1\n--f\n\n4.2.2.2\n--f--\n--e--\n--d--\n--b--\n"
	ix := scan([]byte(in), message.Limits{}, 0)
	for path, want := range map[string]string{"1": "one", "2": "two", "3.1": "3.1", "3.2": "3.2", "4.1": "4.1", "4.2.1": "4.2.1", "4.2.2.1": "4.2.2.1", "4.2.2.2": "4.2.2.2"} {
		p := ix.ByPath(path)
		if p == nil || in[p.BodyStart:p.End] != want {
			t.Errorf("%s: %v", path, p)
		}
	}
	for path, want := range map[string]string{"": "multipart/mixed", "TEXT": "multipart/mixed", "3": "message/rfc822", "3.TEXT": "multipart/mixed", "4.2": "message/rfc822", "4.2.2": "multipart/alternative"} {
		if p := ix.ByPath(path); p == nil || p.MediaType() != want {
			t.Errorf("%s: %v", path, p)
		}
	}
	for _, path := range []string{"0", "5", "1.1", "3.3", "-1", "x", "1.TEXT", "4.TEXT", "TEXT.1", "1.", ".", "99999999999999999999"} {
		if p := ix.ByPath(path); p != nil {
			t.Errorf("%q is %s", path, p.MediaType())
		}
	}
	single := headerOf("Subject: s")
	if single.ByPath("1") != &single.Root || single.ByPath("2") != nil || single.ByPath("1.1") != nil {
		t.Error("a message of one part has part 1 alone")
	}
}

// RFC 2045 6.7 and 6.8, leniently, and the same however the bytes come.
func TestDecodePart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cte, in, want string }{
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", " a!G\x00V-s_b@G8=", "hello"},
		{"base64", "aGVsbG8=aGVsbG8=", "hello"},
		{"base64", "=aGVsbG8=", "hello"},
		{"base64", "a", ""},
		{"base64", "", ""},
		{"quoted-printable", "=C3=a9t=C3=A9", "été"},
		{"quoted-printable", "a =\r\nb=\nc", "a bc"},
		{"quoted-printable", "a  \r\nb\t\nc ", "a\r\nb\nc "},
		{"quoted-printable", "a= \t\r\nb", "ab"},
		{"quoted-printable", "a=zz=4 =", "a=zz=4 ="},
		{"quoted-printable", "a\rb \r c", "a\rb \r c"},
		{"quoted-printable", "=3D=3", "==3"},
		{"8bit", "=3D \r\n", "=3D \r\n"},
		{"x-unknown", "aGVsbG8=", "aGVsbG8="},
	} {
		p := &message.Part{Encoding: c.cte}
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in)), "late end": iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			if got := readAll(t, message.DecodePart(r, p)); got != c.want {
				t.Errorf("%s %q, %s: %q, want %q", c.cte, c.in, name, got, c.want)
			}
		}
	}
	r := message.DecodePart(iotest.ErrReader(io.ErrUnexpectedEOF), &message.Part{Encoding: "base64"})
	if _, err := io.ReadAll(r); err != io.ErrUnexpectedEOF {
		t.Errorf("the reader's error: %v", err)
	}
}

// TextOf gives text a face can show, and no more than it asked for.
func TestTextOf(t *testing.T) {
	t.Parallel()
	p := &message.Part{Type: "text", Subtype: "plain", Encoding: "8bit", Params: map[string]string{"charset": "iso-8859-1"}}
	for max, want := range map[int]string{100: "é\nà", 3: "é\n", 1: ""} {
		if got, err := message.TextOf(strings.NewReader("\xe9\r\n\xe0"), p, max); got != want || err != nil {
			t.Errorf("max %d: %q %v, want %q", max, got, err, want)
		}
	}
	pdf := report(4600)
	ix := scan(pdf, message.Limits{}, 0)
	a := ix.Attachments()
	if len(a) != 1 || a[0].Filename() != "20260303_CR_CORSE.pdf" {
		t.Fatalf("%v", a)
	}
	if got := readAll(t, message.DecodePart(a[0].Content(bytes.NewReader(pdf)), a[0])); !strings.HasPrefix(got, "%PDF-1.7 \x00\xff") || len(got) != 4370 {
		t.Errorf("%d bytes of PDF", len(got))
	}
}
