package message_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/mailbox/message"
)

// headerOf reads a header of lines, which end in CRLF, as a message's.
func headerOf(lines ...string) *message.Index {
	return scan([]byte(strings.Join(lines, "\r\n")+"\r\n\r\nbody\r\n"), message.Limits{}, 0)
}

// RFC 5322 3.4, 4.4, A.1.2 to A.6.3; RFC 2047 8; RFC 6532.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{`John Doe <jdoe@machine.example>`, `John Doe|jdoe@machine.example`},
		{`"Joe Q. Public" <john.q.public@example.com>`, `Joe Q. Public|john.q.public@example.com`},
		{`Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>`, `Mary Smith|mary@x.test, |jdoe@example.org, Who?|one@y.test`},
		{`<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>`, `|boss@nil.test, Giant; "Big" Box|sysservices@example.net`},
		{`A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;`, `Ed Jones|c@a.test, |joe@where.test, John|jdoe@one.test`},
		{`Undisclosed recipients:;`, ``},
		{`Pete(A nice \) chap) <pete(his account)@silly.test(his host)>`, `Pete|pete@silly.test`},
		{`jdoe@test   . example`, `|jdoe@test.example`},
		{`Mary Smith <@node.test,@b.test:mary@example.net>, , x@y`, `Mary Smith|mary@example.net, |x@y`},
		{`jdoe@machine.example (John Doe)`, `John Doe|jdoe@machine.example`},
		{`"john doe"@host.test`, `|john doe@host.test`},
		{`<"a@b"@host.test>`, `|a@b@host.test`},
		{`x <user@[192.0.2.1]>`, `x|user@[192.0.2.1]`},
		{`Jean Dupont jean@dupont.test`, `Jean Dupont|jean@dupont.test`},
		{`MAILER-DAEMON`, `|MAILER-DAEMON`},
		{`<>`, ``},
		{`Jean <>`, `|Jean`},
		{`Jean <jean@dupont.test, Anne <anne@x.test>`, `Jean|jean@dupont.test, Anne|anne@x.test`},
		{`=?utf-8?Q?Laboratoire_des_Tr=C3=A9filiers?= <l@x.test>`, `Laboratoire des Tréfiliers|l@x.test`},
		{`=?utf-8?Q?Dupont,_Jean?= <j@x.test>`, `Dupont, Jean|j@x.test`},
		{`"=?iso-8859-1?Q?Andr=E9?= P" <a@x.test>`, `André P|a@x.test`},
		{`François <françois@exemple.test>`, `François|françois@exemple.test`},
		{"Fran\xe7ois <f@x.test>", `François|f@x.test`},
		{`<a@good.test> <b@evil.test>`, `|a@good.test, |b@evil.test`},
		{"<a@go\x00od.test>, a@go\x01od.test, a\u202Eb@x.test", "|a@go\uFFFDod.test, |a@go\uFFFDod.test, |a\uFFFDb@x.test"},
		{"Jean\u202Efdp <j@x.test>", `Jeanfdp|j@x.test`},
		{"=?utf-8?Q?a=0D=0ABcc:_x=40y?= <j@x.test>", `a  Bcc: x@y|j@x.test`},
	} {
		var got []string
		for _, a := range headerOf("To: " + c.in).Envelope.To {
			got = append(got, a.Name+"|"+a.String())
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: %s, want %s", c.in, s, c.want)
		}
	}
	if got := message.ParseAddresses("a@b, c@d, e@f", 2); len(got) != 2 {
		t.Errorf("at most 2: %v", got)
	}
}

// RFC 2047: encoded words where they may be, and where senders put them.
func TestDecodeHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"=?ISO-8859-1?Q?a?=", "a"},
		{"=?ISO-8859-1?Q?a?= b", "a b"},
		{"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
		{"=?ISO-8859-1?Q?a?=   =?utf-8?b?w6k=?=", "aé"},
		{"=?ISO-8859-1?Q?a_b?=", "a b"},
		{"=?utf-8?B?w6kg?= =?utf-8?B?4oKs?=", "é €"},
		{"=?utf-8?Q?=C3?= =?utf-8?Q?=A9t=C3=A9?=", "été"},         // a character cut in two
		{"=?utf-8?B?UsOpc3Vs?==?utf-8?B?dGF0cw==?=", "Résultats"}, // nothing between them
		{"=?utf-8?B?UsOpc3VsdGF0cw?=", "Résultats"},               // padding forgotten
		{"=?utf-8*fr?Q?=C3=A9?=", "é"},                            // RFC 2231 5
		{"=?windows-1252?Q?=80?= =?iso-8859-15?Q?=A4?=", "€€"},    //
		{"=?utf-8?Q?=e9t=e9?=", "été"},                            // not the charset that it says
		{"=?x-none?Q?=C3=A9?=", "é"},                              // no charset that we know
		{"[KO] =?utf-8?Q?Hello there?= x", "[KO] Hello there x"},  // blanks inside
		{"=?", "=?"}, {"=?utf-8?", "=?utf-8?"}, {"=?a?q?b", "=?a?q?b"}, // no words
		{"R\xe9sultats", "Résultats"}, {"Résultats", "Résultats"},
		{"a\x00b\x1b[31m", "ab[31m"},
		{"=?utf-8?Q?a=00b=0Ac?=", "ab c"},
	} {
		if got := message.DecodeHeader(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
		if got := headerOf("Subject: " + c.in).Envelope.Subject; got != c.want {
			t.Errorf("Subject: %q: %q, want %q", c.in, got, c.want)
		}
	}
}

// RFC 2045 5.1, RFC 2183, RFC 2231, and how file names come in practice.
func TestFilename(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{`attachment; filename=a.pdf`, "a.pdf"},
		{`attachment; filename="compte rendu.pdf"`, "compte rendu.pdf"},
		{`attachment; filename=compte rendu (1).pdf; size=3`, "compte rendu (1).pdf"},
		{`attachment; filename="a\"b.pdf"`, `a"b.pdf`},
		{`attachment; filename=a.pdf (comment)`, "a.pdf"},
		{`attachment size=3 filename=a.pdf`, "a.pdf"},
		{`attachment; filename*=utf-8''r%C3%A9sultat.pdf`, "résultat.pdf"},
		{`attachment; filename*=iso-8859-1'fr'r%E9sultat.pdf; filename=resultat.pdf`, "résultat.pdf"},
		{`attachment; filename*1*=sultat.pdf; filename*0*=utf-8''r%C3%A9`, "résultat.pdf"},
		{`attachment; filename*0="a b"; filename*1=c.pdf; filename*3=lost`, "a bc.pdf"},
		{`attachment; filename="=?utf-8?B?csOpc3VsdGF0LnBkZg==?="`, "résultat.pdf"},
		{`attachment; filename==?utf-8?Q?r=C3=A9sultat.pdf?=`, "résultat.pdf"},
		{`attachment; filename="../../etc/passwd"`, "passwd"},
		{`attachment; filename="C:\\Users\\a\\b.pdf"`, "b.pdf"},
		{`attachment; filename=".."`, ""},
		{"attachment; filename=\"a\u202Efdp.exe\"", "afdp.exe"},
		{`attachment; filename="` + strings.Repeat("é", 200) + `"`, strings.Repeat("é", 127)},
		{`attachment`, "from-type.pdf"},
	} {
		p := headerOf(`Content-Type: application/pdf; name="from-type.pdf"`, "Content-Disposition: "+c.in).Root
		if got := p.Filename(); got != c.want || p.Disposition != "attachment" {
			t.Errorf("%s: %q %q, want %q", c.in, p.Disposition, got, c.want)
		}
	}
}

// RFC 2045 5: content types, right and wrong.
func TestContentType(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"TEXT/HTML; Charset=UTF-8", "text/html map[charset:UTF-8]"},
		{"application / pdf", "application/pdf map[]"},
		{"text/plain/x", "text/plain map[]"},
		{"text/plain;;; ;name=\"\"", "text/plain map[name:]"},
		{"text/plain; a=1; A=2", "text/plain map[a:1]"},
		{"text", "text/plain map[charset:us-ascii]"},
		{"/plain", "text/plain map[charset:us-ascii]"},
		{"", "text/plain map[charset:us-ascii]"},
		{"multipart/mixed", "text/plain map[charset:us-ascii]"},             // no boundary
		{"multipart/mixed; boundary=x", "text/plain map[charset:us-ascii]"}, // no part
		{"application/x;\r\n\tname=a", "application/x map[name:a]"},
	} {
		p := headerOf("Content-Type: " + c.in).Root
		if got := p.MediaType() + " " + fmt.Sprint(p.Params); got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

// RFC 5322 3.3, 4.3 and A.6.2.
func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"Fri, 21 Nov 1997 09:55:06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Tue, 3 Mar 2026 08:15:00 +0100 (CET)", "2026-03-03T08:15:00+01:00"},
		{"3 Mar 2026 08:15 +0000", "2026-03-03T08:15:00Z"},
		{"21 Nov 97 09:55:06 GMT", "1997-11-21T09:55:06Z"},
		{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Sat, 31 Dec 2016 23:59:60 +0000", "2016-12-31T23:59:59Z"},
		{"Sun, 27 Oct 2002 23:57:07 EST", "2002-10-27T23:57:07-05:00"},
		{"1 jan 2021 09:55:06", "2021-01-01T09:55:06Z"},
		{"23-Jan-2026 10:00:00 +0100", "2026-01-23T10:00:00+01:00"},
		{"31 Feb 2026 10:00:00 +0100", ""}, {"1 Zzz 2026 10:00:00 +0100", ""}, {"1 Jan 2026", ""},
		{"1 Jan 2026 24:00:00 +0100", ""}, {"1 Jan 999999 10:00", ""}, {"now", ""}, {"", ""}, {"0 Jan 2026 10:00", ""},
	} {
		got := ""
		if d := message.ParseDate(c.in); !d.IsZero() {
			got = d.Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// The envelope takes the first of what may stand once, and decodes all.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	ix := headerOf("From: a@b.test", "From: evil@c.test", "Subject: one", "Subject: two", "To: d@e.test", "To: f@g.test",
		"Message-ID: <1234   @   x>", "In-Reply-To: <a@b> <c@d>", "References: <a@b>\r\n <c@d>\r\n\t<e@f>",
		"X-MSS-MES: FIN", "x-mss-mes: other", "X-MSS-NIL: DEV935997", "List-Id: =?utf-8?Q?=C3=A9?= <l.x>", "X-Other: no")
	e := ix.Envelope
	want := message.Envelope{
		Subject: "one", From: []message.Address{{Mailbox: "a", Host: "b.test"}},
		To:        []message.Address{{Mailbox: "d", Host: "e.test"}, {Mailbox: "f", Host: "g.test"}},
		MessageID: "1234   @   x", InReplyTo: []string{"a@b", "c@d"}, References: []string{"a@b", "c@d", "e@f"},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("%+v\nwant %+v", e, want)
	}
	if fields := map[string]string{"x-mss-mes": "FIN", "x-mss-nil": "DEV935997", "list-id": "é <l.x>"}; !reflect.DeepEqual(ix.Fields, fields) {
		t.Errorf("fields %v", ix.Fields)
	}
}

// ReadHeader is strict where the scanner is lenient.
func TestReadHeader(t *testing.T) {
	t.Parallel()
	h, at, err := message.ReadHeader([]byte("From: a@b\r\nSubject : x\r\n y\r\nTo:\r\n\r\nbody"))
	if err != nil || at != 35 || len(h) != 3 {
		t.Fatalf("%v %d %v", h, at, err)
	}
	if h[1].Name != "Subject" || string(h[1].Raw) != "Subject : x\r\n y\r\n" || h.Get("SUBJECT") != "x y" || h.Get("x") != "" {
		t.Errorf("%q", h)
	}
	if v := (message.Header{{Name: "From", Value: "1"}, {Name: "from", Value: "2"}}).Values("FROM"); !reflect.DeepEqual(v, []string{"1", "2"}) {
		t.Errorf("%v", v)
	}
	if h, at, err := message.ReadHeader([]byte("From: a@b\r\n")); err != nil || at != 11 || len(h) != 1 {
		t.Errorf("without a body: %v %d %v", h, at, err)
	}
	for _, bad := range []string{"From: a\r\nno field\r\n\r\n", "From: a\r\n: x\r\n\r\n", "From: a\r\n\xe9: x\r\n\r\n"} {
		if h, at, err := message.ReadHeader([]byte(bad)); !errs.Is(err, errs.Invalid) || len(h) != 1 || at != 9 {
			t.Errorf("%q: %v %d %v", bad, h, at, err)
		}
	}
	if _, _, err := message.ReadHeader([]byte(" x\r\nFrom: a\r\n\r\n")); !errs.Is(err, errs.Invalid) {
		t.Errorf("a fold first: %v", err)
	}
}

// ReadHeader and HeaderBuffer: the header's limit, on both sides.
func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	fits := "X: " + strings.Repeat("y", 1<<20-5) + "\r\n"
	if _, _, err := message.ReadHeader([]byte(fits + "\r\n")); err != nil {
		t.Error(err)
	}
	if _, _, err := message.ReadHeader([]byte("Y" + fits + "\r\n")); !errs.Is(err, errs.TooLarge) {
		t.Error(err)
	}
	const text = "From: a\r\nTo: b\r\n\r\nbody\r\n"
	for max, ok := range map[int]bool{18: true, 17: false} {
		for _, n := range []int{1, 2, 5, 100} {
			h := message.HeaderBuffer{Max: max}
			var done bool
			var err error
			for rest := text; rest != "" && !done && err == nil; {
				var took int
				piece := rest[:min(n, len(rest))]
				took, done, err = h.Feed([]byte(piece))
				if rest = rest[took:]; done && rest != "body\r\n"[:len(rest)] && !strings.HasSuffix(text, rest) {
					t.Errorf("left %q", rest)
				}
			}
			if ok && (err != nil || !done || string(h.Bytes()) != text[:18]) {
				t.Errorf("max %d, pieces of %d: %v %v %q", max, n, done, err, h.Bytes())
			}
			if !ok && !errs.Is(err, errs.TooLarge) {
				t.Errorf("max %d, pieces of %d: %v", max, n, err)
			}
		}
	}
}
