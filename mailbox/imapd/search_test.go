package imapd_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("alpha", "one"))
	h.deliver(letter("beta not smaller", strings.Repeat("two ", 400)))
	h.deliver(letter("gamma", "three"))
	w := h.inbox()
	w.ok("STORE 2 +FLAGS.SILENT (\\Flagged $Label1)")
	for _, c := range []struct{ keys, want string }{
		{"ALL", "1 2 3"},
		{"SUBJECT ALPHA", "1"},
		{"FROM rose TEXT three", "3"},
		{"NOT SUBJECT alpha", "2 3"},
		{"OR SUBJECT alpha BODY three", "1 3"},
		{"FLAGGED", "2"}, {"KEYWORD $label1", "2"}, {"UNKEYWORD $Label1", "1 3"},
		{"NEW", ""}, {"RECENT", ""}, {"OLD", "1 2 3"},
		{"2:*", "2 3"}, {"*", "3"}, {"UID 2,3:9", "2 3"}, {"UID *", "3"}, {"UID 9:*", "3"}, {"UID 9", ""},
		{"SMALLER 1000 SINCE 1-Jan-2020", "1 3"}, // the library forgets SMALLER here
		{"SMALLER 1000 LARGER 100", "1 3"},
		{"NOT SMALLER 1000 LARGER 100", "2"},
		{"SUBJECT SMALLER", "2"}, {"SUBJECT \"NOT SMALLER\"", "2"}, {"(SUBJECT NOT SUBJECT SMALLER)", "2"},
		{"BEFORE 1-Jan-2020", ""}, {"SENTON 2-Mar-2026", "1 2 3"}, {"SENTBEFORE 2-Mar-2026", ""},
		{"CHARSET UTF-8 SUBJECT {5+}\r\ngamma", "3"},
		{"HEADER Message-ID alpha@", "1"}, {"HEADER Bcc \"\"", ""},
		{"(OR (SUBJECT alpha) (NOT (OR SUBJECT alpha FLAGGED))) UNDELETED", "1 3"},
	} {
		said := w.ok("SEARCH %s", c.keys)
		if want := strings.TrimSpace("* SEARCH " + c.want); len(said) != 1 || said[0] != want {
			t.Errorf("SEARCH %s: %q, want %q", c.keys, said, want)
		}
	}
	for _, keys := range []string{"NONSENSE", "SUBJECT", "NOT", "(ALL", "1:x", "SINCE yesterday", "LARGER many"} {
		w.expect("BAD", "SEARCH %s", keys)
	}
	w.expect("NO [BADCHARSET]", "SEARCH CHARSET KOI8-R ALL")
}

// RFC 4731, RFC 5182
func TestExtendedSearch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 5 {
		h.deliver(letter("x", ""))
	}
	w := h.inbox()
	w.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
	w.ok("EXPUNGE") // so that numbers and UIDs differ
	w.ok("STORE 1,3:4 +FLAGS.SILENT (\\Flagged)")
	for _, c := range []struct{ command, want string }{
		{"SEARCH RETURN (MIN MAX COUNT) FLAGGED", " MIN 1 MAX 4 COUNT 3"},
		{"UID SEARCH RETURN () FLAGGED", " UID ALL 2,4:5"},
		{"SEARCH RETURN (ALL) DRAFT", ""},
		{"SEARCH RETURN (COUNT) DRAFT", " COUNT 0"},
	} {
		said := w.ok("%s", c.command)
		if _, rest, _ := strings.Cut(said[0], ")"); rest != c.want {
			t.Errorf("%s: %q, want %q", c.command, said, c.want)
		}
	}
	saved := func(want string) {
		t.Helper()
		said := w.ok("UID SEARCH $")
		if said[0] != strings.TrimSpace("* SEARCH "+want) {
			t.Errorf("saved: %q, want %q", said, want)
		}
	}
	w.ok("SEARCH RETURN (SAVE) FLAGGED")
	saved("2 4 5")
	if said := w.ok("FETCH $ UID"); len(said) != 3 || said[1] != "* 3 FETCH (UID 4)" {
		t.Errorf("FETCH $: %q", said)
	}
	w.ok("UID STORE $ +FLAGS.SILENT (\\Seen)")
	w.ok("UID SEARCH RETURN (SAVE MIN) FLAGGED")
	saved("2")
	w.ok("UID SEARCH RETURN (SAVE MIN MAX) FLAGGED")
	saved("2 5")
	w.ok("UID SEARCH RETURN (SAVE COUNT) FLAGGED")
	saved("2 4 5")
	w.ok("UID STORE 4 +FLAGS.SILENT (\\Deleted)")
	w.ok("UID EXPUNGE $")
	saved("2 5")
	w.ok("COPY $ Archive")
	w.ok("MOVE $ Trash")
	saved("")
	w.ok("FETCH $ FLAGS")
	w.ok("SELECT INBOX")
	saved("")
}

// withAttachment writes a message with one document.
func withAttachment(subject, mediaType, name string, document []byte) string {
	return "From: Labo <labo@chu.pli.test>\r\nTo: rose@medecin.pli.test\r\nSubject: " + subject + "\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nCi-joint.\r\n--b\r\n" +
		"Content-Type: " + mediaType + "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\n\r\n" +
		base64.StdEncoding.EncodeToString(document) + "\r\n--b--\r\n"
}

// pdfOf writes a PDF of one line, in WinAnsiEncoding.
func pdfOf(line string) []byte {
	content := "BT /F 12 Tf 72 700 Td (" + line + ") Tj ET"
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var at []int
	for i, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(content), content),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	} {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	xref := b.Len()
	b.WriteString("xref\n0 6\n0000000000 65535 f \n")
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", xref)
	return b.Bytes()
}

// A person searches among the sample mails for what they remember: a word of a
// report that came as PDF or as CDA, the name of a file, any letters of a text.
// Attachments are read behind the session (issue 4, 7), so that answer may wait.
func TestSearchInSampleMails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	w := h.login()
	n := 0
	add := func(raw string) (number string) {
		w.append("INBOX", raw)
		n++
		return fmt.Sprint(n)
	}
	var samples []string
	for _, dir := range []string{"ruby-mail/*", "mail-parser-thirdparty", "fr-mssante", "mime4j-testmsgs"} {
		samples = append(samples, get(filepath.Glob("../../../shared/samples/mail/"+dir+"/*.eml"))(h)...)
	}
	if len(samples) < 15 {
		t.Fatalf("%d sample mails", len(samples))
	}
	at := make(map[string]string)
	for _, f := range samples {
		at[filepath.Base(f)] = add(string(get(os.ReadFile(f))(h)))
	}
	cda := get(os.ReadFile("../../../shared/samples/cda/fr-drimbox/IMG_CR_IMG_2023.11_CDA-R2-Niveau-1.xml"))(h)
	withCDA := add(withAttachment("compte rendu", "application/octet-stream", "CR.XML", cda))
	withPDF := add(withAttachment("biologie", "application/pdf", "résultats.pdf", pdfOf(`Cr\351atinine sanguine \351lev\351e`)))

	w.ok("SELECT INBOX")
	search := func(keys string) string {
		said := w.ok("SEARCH %s", keys)
		for _, line := range said {
			if rest, ok := strings.CutPrefix(line, "* SEARCH"); ok {
				return strings.TrimSpace(rest)
			}
		}
		t.Fatalf("SEARCH %s: %q", keys, said)
		return ""
	}
	for deadline := time.Now().Add(time.Minute); search("BODY creatinine") == ""; {
		if time.Now().After(deadline) {
			t.Fatal("the PDF's text is not searched")
		}
		w.conn.SetDeadline(time.Now().Add(time.Minute))
	}
	for _, c := range []struct{ keys, want string }{
		{"BODY \"CREATININE SANGUINE\"", withPDF},
		{"CHARSET UTF-8 BODY {24+}\r\nCréatinine sanguine él", withPDF},
		{"BODY \"injection\" SUBJECT compte", withCDA},
		{"BODY cr.xml", withCDA},
		{"BODY figatellix", at["courriel-ko-902.eml"] + " " + at["mdn-ko-902.eml"]}, // the name of a file
		{"BODY ci-joint NOT BODY creatinine SUBJECT compte", withCDA},
		{"BODY introuvable", ""},
		{"TEXT introuvable", ""},
		{"HEADER From labo@chu SUBJECT biologie", withPDF},
	} {
		if got := search(c.keys); got != c.want {
			t.Errorf("SEARCH %s: %q, want %q", c.keys, got, c.want)
		}
	}
}
