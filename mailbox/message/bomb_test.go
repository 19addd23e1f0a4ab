package message_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pli/mailbox/message"
)

const bombSize = 10 << 20

// fill repeats unit after head to the size of a bomb; %d in unit counts.
func fill(head, unit string) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for i := 0; b.Len() < bombSize; i++ {
		if strings.Contains(unit, "%d") {
			fmt.Fprintf(&b, unit, i)
		} else {
			b.WriteString(unit)
		}
	}
	return b.Bytes()
}

// header is fill for one header as large as is read.
func header(head, unit string) []byte {
	b := fill(head, unit)[:1<<20-2]
	return append(b, "\r\n\r\n"...)[:1<<20]
}

// bombs returns hostile mail of 10 MB, by what is hostile in it.
func bombs() map[string][]byte {
	const from = "From: a@b.test\r\n"
	deep := new(strings.Builder) // a hundred open boundaries, then lines that nearly match
	for i := range 99 {
		fmt.Fprintf(deep, "Content-Type: multipart/mixed; boundary=\"%c%c\"\r\n\r\n--%c%c\r\n", 'A'+i%26, 'a'+i/26, 'A'+i%26, 'a'+i/26)
	}
	text := func(ct, cte string) string {
		return from + "Content-Type: text/" + ct + "\r\nContent-Transfer-Encoding: " + cte + "\r\n\r\n"
	}
	mixed := from + "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	return map[string][]byte{
		"nested messages":           fill("", "Content-Type: message/rfc822\r\n\r\n"),
		"nested messages in parts":  fill("Content-Type: multipart/digest; boundary=b\r\n\r\n", "--b\r\n\r\nContent-Type: message/rfc822\r\n\r\n"),
		"nested multiparts":         fill("", "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n"),
		"one boundary nested":       fill("", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"),
		"empty parts":               fill(mixed, "--b\r\n"),
		"empty parts and bodies":    fill(mixed, "--b\r\n\r\n\r\n"),
		"small text parts":          fill(mixed, "--b\r\nContent-Type: text/html; charset=utf-16\r\n\r\n<b>x\r\n"),
		"parts with file names":     fill(mixed, "--b\r\nContent-Type: a/b; name=\"f%d\"\r\nContent-Disposition: attachment; filename*0*=utf-8''%%41; filename*1=b\r\n\r\n"),
		"digest":                    fill("Content-Type: multipart/digest; boundary=b\r\n\r\n", "--b\r\n\r\nSubject: s\r\nTo: a@b, c@d\r\n\r\nx\r\n"),
		"near boundaries":           fill(deep.String(), "--Zz\r\n"),
		"short near boundaries":     fill(deep.String(), "--\n"),
		"long near boundaries":      fill(deep.String(), "--"+strings.Repeat("x", 1000)+"\n"),
		"dashes":                    fill(deep.String(), "-"),
		"spaces after a boundary":   fill(deep.String(), "--Zz"+strings.Repeat(" ", 1000)+"\n"),
		"one header line":           fill("X: ", "x"),
		"no header line":            fill("", "x"),
		"folds":                     header("Subject: ", "\r\n x"),
		"fields":                    fill("", "X-%d: y\r\n"),
		"content types":             fill("", "Content-Type: text/plain; a%d=b\r\n"),
		"junk in the header":        fill(from, "x\r\n"),
		"params":                    header(from+"Content-Type: text/plain", ";a%d=b"),
		"params of one name":        header(from+"Content-Type: text/plain", ";a*%d=b"),
		"params without semicolons": header(from+"Content-Type: text/plain; a=", " a=b"),
		"open comments in params":   header(from+"Content-Type: text/plain; a=", " ("),
		"comments in params":        header(from+"Content-Type: text/plain", ";(x)"),
		"quotes in params":          header(from+"Content-Type: text/plain", ";a=\"\\"),
		"equals in params":          header(from+"Content-Type: text/plain", ";="),
		"addresses":                 header("To: ", "a@b,"),
		"addresses in fields":       header("", "To: a@b\r\n"),
		"open angles":               header("To: ", "<"),
		"open angles and commas":    header("To: ", "<,\""),
		"open comments":             header("To: ", "("),
		"comments":                  header("To: ", "a(("),
		"quotes":                    header("To: ", "\"\\"),
		"colons":                    header("To: ", "a:"),
		"encoded words":             header("Subject: ", "=?utf-8?q?=C3=A9?= "),
		"open encoded words":        header("Subject: ", "=?x?q?a"),
		"open encoded words in To":  header("To: ", "=?x?q?a"),
		"words of many charsets":    header("Subject: ", "=?c%d?q?=E9?= =?gb18030?b?/////w==?= "),
		"references":                header("References: ", "<a@b>"),
		"references without angles": header("References: ", "a "),
		"dates":                     header("Date: ", "1 "),
		"open tags":                 fill(text("html", "8bit"), "<a"),
		"open comments in HTML":     fill(text("html", "8bit"), "<!--"),
		"open scripts":              fill(text("html", "8bit"), "<script>"),
		"script ends":               fill(text("html", "8bit")+"<script>", "</"),
		"entities":                  fill(text("html", "8bit"), "&eacute;"),
		"open entities":             fill(text("html", "8bit"), "&"),
		"decomposing text":          fill(text("plain; charset=utf-8", "8bit"), "\uFDFA"),
		"base64":                    fill(text("plain", "base64"), "////\r\n"),
		"padding":                   fill(text("plain", "base64"), "="),
		"quoted-printable":          fill(text("plain", "quoted-printable"), "="),
		"held blanks":               fill(text("plain", "quoted-printable"), strings.Repeat(" ", 1000)+"x"),
		"iso-2022-jp":               fill(text("plain; charset=iso-2022-jp", "8bit"), "\x1b$B"),
		"utf-16":                    fill(text("plain; charset=utf-16", "8bit"), "\xd8"),
		"line feeds":                fill("", "\n"),
		"carriage returns":          fill(mixed, "\r"),
		"zeros":                     fill(mixed, "\x00"),
	}
}

// Hostile mail of 10 MB costs less than a second of CPU and 64 MB, and keeps
// what Index promises (pitfalls: MIME bombs).
func TestBombs(t *testing.T) {
	// Not parallel: it measures.
	for name, b := range bombs() {
		for _, n := range []int{0, 4096} {
			var ix *message.Index
			mem, d := allocated(func() { ix = scan(b, message.Limits{}, n) })
			if n > 0 {
				mem -= uint64(len(b)) // scan's copies
			}
			if mem > 64<<20 || d > slower*time.Second {
				t.Errorf("%s in pieces of %d: %d MB, %v", name, n, mem>>20, d)
			}
			if n == 0 {
				t.Logf("%-26s %3d MB %6.1f ms  %-9s %d parts", name, mem>>20, float64(d.Microseconds())/1000, ix.Truncated, count(ix))
				check(t, name, b, ix)
			}
		}
	}
}

func count(ix *message.Index) (n int) {
	ix.Walk(func(string, *message.Part) bool { n++; return true })
	return n
}
