package extract_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/mailbox/extract"
)

// pdf writes a PDF of one page whose content stream is given, compressed, with
// further objects from 6 on.
func pdf(content string, more ...string) []byte {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	w.Write([]byte(content))
	w.Close()
	return rawPDF(fmt.Sprintf("<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream", z.Len(), z.String()), more...)
}

func rawPDF(stream string, more ...string) []byte {
	objects := append([]string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> /XObject << /X1 6 0 R >> >> >>",
		stream,
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
	}, more...)
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	at := make([]int, len(objects))
	for i, o := range objects {
		at[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// The words of a PDF are apart where its reader sees them apart.
func TestPDF(t *testing.T) {
	t.Parallel()
	form := "<< /Subtype /Form /Length 34 >>\nstream\nBT /F1 9 Tf (dans un cadre) Tj ET \nendstream"
	for _, c := range []struct{ name, content, want string }{
		{"one string", "BT /F1 12 Tf 72 700 Td (Compte rendu) Tj ET", "Compte rendu"},
		{"WinAnsi accents", "BT /F1 12 Tf (\x8ccho \xe9t\xe9) Tj ET", "Œcho été"},
		{"kerning within a word", "BT /F1 12 Tf [(An) 20 (alyse) -300 (sanguine)] TJ ET", "Analyse sanguine"},
		{"lines", "BT /F1 12 Tf (un) Tj 0 -14 Td (deux) Tj T* (trois) Tj ET", "un deux trois"},
		{"text matrix", "BT /F1 12 Tf 1 0 0 1 72 700 Tm (gauche) Tj 1 0 0 1 300 700 Tm (droite) Tj ET", "gauche droite"},
		{"a form", "BT /F1 12 Tf (avant) Tj ET /X1 Do BT (apres) Tj ET", "avant dans un cadre apres"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := extract.Text(t.Context(), extract.PDF, pdf(c.content, form))
			if err != nil || words(got) != c.want {
				t.Errorf("%q, %v; want %q", words(got), err, c.want)
			}
		})
	}
}

// A stranger's PDF costs its worker, and nobody else.
func TestHostilePDF(t *testing.T) {
	t.Parallel()
	loop := "<< /Subtype /Form /Resources << /XObject << /X1 6 0 R >> >> /Length 20 >>\nstream\n/X1 Do /X1 Do /X1 Do\nendstream"
	for _, c := range []struct {
		name     string
		document []byte
		refused  bool
	}{
		{"nothing", nil, true},
		{"no PDF", []byte("MZ, this is something else"), true},
		{"cut off", pdf("BT (x) Tj ET")[:200], true},
		{"a form within itself", pdf("/X1 Do", loop), false},
		{"a bomb", pdf("BT /F1 12 Tf (" + strings.Repeat("A", 400<<20) + ") Tj ET"), false},
		{"a table of two thousand million", []byte("%PDF-1.5\n1 0 obj\n<< /Type /XRef /Size 2000000000 /W [1 2 1] /Root 1 0 R /Length 0 >>\nstream\n\nendstream\nendobj\nstartxref\n9\n%%EOF\n"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := time.Now()
			text, err := extract.Text(t.Context(), extract.PDF, c.document)
			if c.refused && !errs.Is(err, errs.Invalid) {
				t.Errorf("%v, want refused", err)
			}
			if len(text) > extract.MaxText {
				t.Errorf("%d bytes of text", len(text))
			}
			if took := time.Since(begun); took > 25*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A pass that ends does not wait for a document.
func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := extract.Text(ctx, extract.PDF, pdf("BT (x) Tj ET")); err == nil {
		t.Error("read all the same")
	}
}

// Documents over the limit are not read; at the limit they are looked at.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	at := []byte("<a>oui</a>" + strings.Repeat(" ", extract.MaxInput-10))
	if text, err := extract.Text(t.Context(), extract.XML, at); err != nil || words(text) != "oui" {
		t.Errorf("at the limit: %q %v", words(text), err)
	}
	if _, err := extract.Text(t.Context(), extract.XML, append(at, ' ')); !errs.Is(err, errs.TooLarge) {
		t.Errorf("beyond: %v", err)
	}
}

// HL7 CDA R2: narrative, titles and display names are words; entities from
// outside are none; a PDF in base64 is read.
func TestXML(t *testing.T) {
	t.Parallel()
	embedded := base64.StdEncoding.EncodeToString(pdf("BT /F1 12 Tf (conclusion du scanner) Tj ET"))
	deep := func(n int) string { return strings.Repeat("<a>", n) + "fond" + strings.Repeat("</a>", n) }
	for _, c := range []struct {
		name, xml, want, not string
		refused              bool
	}{
		{"narrative", `<d><title>Compte rendu</title><text>Glyc&#233;mie <b>&#224; jeun</b></text></d>`, "Compte rendu Glycémie à jeun", "", false},
		{"display name", `<c code="1" displayName="Créatinine"/>`, "Créatinine", "code", false},
		{"latin 1", "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9t\xe9</a>", "été", "", false},
		{"embedded PDF", `<nonXMLBody><text mediaType="application/pdf" representation="B64">` + embedded + `</text></nonXMLBody>`, "conclusion du scanner", embedded[:20], false},
		{"entity from outside", `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>avant &x; apres</a>`, "avant", "root:", false},
		{"200 levels", deep(200), "fond", "", false},
		{"201 levels", deep(201), "", "fond", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := extract.Text(t.Context(), extract.XML, []byte(c.xml))
			if !strings.Contains(words(got), c.want) || c.not != "" && strings.Contains(got, c.not) || c.refused != errs.Is(err, errs.Invalid) {
				t.Errorf("%q, %v; want %q and not %q", words(got), err, c.want, c.not)
			}
		})
	}
}

// The sample CDAs, good and bad, give their words.
func TestSampleCDA(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("../../../shared/samples/cda/*/*.xml")
	if len(files) < 10 {
		t.Fatalf("%d samples", len(files))
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := extract.Text(t.Context(), extract.XML, b)
		hostile := strings.Contains(f, "hostile")
		if len(words(text)) < 100 && !hostile || strings.Contains(text, "root:x:0") {
			t.Errorf("%s: %d bytes of words, %v", filepath.Base(f), len(words(text)), err)
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mediaType, name string
		want            extract.Kind
	}{
		{"application/pdf", "", extract.PDF},
		{"application/octet-stream", "CR.PDF", extract.PDF},
		{"application/octet-stream", "doc.xml", extract.XML},
		{"application/hl7-sda+xml", "", extract.XML},
		{"text/xml", "", extract.XML},
		{"application/zip", "a.pdf", extract.None},
		{"image/png", "x.xml", extract.None},
		{"application/octet-stream", "", extract.None},
	} {
		if got := extract.KindOf(c.mediaType, c.name); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.mediaType, c.name, got, c.want)
		}
	}
}

// Whatever the bytes, XML is read within bounds and without a panic.
func FuzzXML(f *testing.F) {
	f.Add([]byte(`<a b="c">d<e/></a>`))
	f.Add([]byte("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"))
	f.Add([]byte(`<t representation="B64">JVBERi0=</t>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Contains(b, []byte("B64")) && bytes.Contains(b, []byte("JVBERi")) {
			return // a worker each time is too slow
		}
		if text, _ := extract.Text(t.Context(), extract.XML, b); len(text) > extract.MaxText {
			t.Errorf("%d bytes", len(text))
		}
	})
}
