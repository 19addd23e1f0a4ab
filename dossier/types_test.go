package dossier_test

import (
	"strings"
	"testing"
	"time"

	"pli/dossier"
	"pli/internal/errs"
)

// B1: the tables are whole, and fit together.
func TestTypes(t *testing.T) {
	t.Parallel()
	s, err := dossier.New(dossier.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]string{"": ""}
	for _, c := range s.Classes() {
		if c.Label == "" || c.LabelEN == "" {
			t.Errorf("%+v", c)
		}
		classes[c.Code] = c.Label
	}
	types := map[string]dossier.Type{}
	unclassed := 0
	for _, x := range s.Types() {
		if _, twice := types[x.Code]; twice || x.Label == "" || x.LabelEN == "" || x.System == "" || strings.Contains(x.Label, "\t") {
			t.Errorf("%+v", x)
		}
		if _, ok := classes[x.Class]; !ok {
			t.Errorf("%s: no class %q", x.Code, x.Class)
		}
		if x.Class == "" {
			unclassed++
		}
		types[x.Code] = x
	}
	if len(types) != 114 || len(classes) != 13 || unclassed > 8 {
		t.Errorf("%d types, %d of them without class, %d classes", len(types), unclassed, len(classes)-1)
	}
	if x := types["11502-2"]; x.Label != "CR d'examens biologiques" || x.LabelEN != "Laboratory report" || classes[x.Class] != "Compte rendu" || x.System != "2.16.840.1.113883.6.1" {
		t.Errorf("%+v", x)
	}
	s.Types()[0].Label = "changed"
	if s.Types()[0].Label == "changed" {
		t.Error("the slice is not the caller's own")
	}
}

// What a content is counts; what it says must agree.
func TestMedia(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const (
		png  = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
		jpg  = "\xFF\xD8\xFF\xE0\x00\x10JFIF\x00"
		tif  = "II*\x00\x08\x00\x00\x00"
		tifM = "MM\x00*\x00\x00\x00\x08"
		rtf  = `{\rtf1\ansi Bonjour}`
		cda  = "<?xml version=\"1.0\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\"/>"
		html = "<html><body>x</body></html>"
		text = "Bonjour,\r\nrésultats normaux.\r\n"
	)
	for i, c := range []struct{ declared, name, content, want string }{
		{"application/pdf", "", pdf, "application/pdf"},
		{"application/x-pdf", "", pdf, "application/pdf"},
		{"application/octet-stream", "a.pdf", pdf, "application/pdf"},
		{"", "", pdf, "application/pdf"},
		{"application/pdf", "", "junk\r\n" + pdf, "application/pdf"},
		{"application/pdf", "", strings.Repeat("x", 1024) + pdf, ""},
		{"application/pdf", "", text, ""},
		{"image/png", "", png, "image/png"}, {"IMAGE/PNG; name=x", "", png, "image/png"}, {"image/png", "", jpg, ""},
		{"image/jpeg", "", jpg, "image/jpeg"}, {"image/jpg", "", jpg, "image/jpeg"}, {"image/pjpeg", "", jpg, "image/jpeg"},
		{"image/tiff", "", tif, "image/tiff"}, {"image/tif", "", tifM, "image/tiff"},
		{"text/rtf", "", rtf, "application/rtf"}, {"application/rtf", "", rtf, "application/rtf"}, {"application/msword", "a.doc", rtf, ""},
		{"text/xml", "", cda, "text/xml"}, {"application/xml", "", "\xEF\xBB\xBF \n" + cda, "text/xml"}, {"application/octet-stream", "cda.xml", cda, "text/xml"},
		{"text/xml", "", text, ""}, {"text/xml", "", cda + "\x00", ""}, {"text/xml", "", cda + strings.Repeat(" ", 10_000) + "\x01", ""},
		{"text/plain", "", text, "text/plain"}, {"text/plain; charset=utf-8", "", text, "text/plain"}, {"text/plain", "", "R\xe9sultats", "text/plain"},
		{"text/plain", "", cda, "text/plain"}, {"text/plain", "", html, "text/plain"}, {"text/plain", "", rtf, "text/plain"},
		{"", "a.txt", text, "text/plain"}, {"", "a.TXT", text, "text/plain"}, {"", "a.html", html, ""}, {"", "", text, ""},
		{"text/plain", "", "a\x00b", ""}, {"text/plain", "", strings.Repeat("x", 10_000) + "\x00", ""}, {"text/plain", "", pdf, ""},
		{"text/html", "a.html", html, ""}, {"image/svg+xml", "", cda, ""}, {"image/gif", "", "GIF89a", ""},
		{"application/zip", "IHE_XDM.zip", "PK\x03\x04", ""}, {"application/octet-stream", "a.exe", "MZ\x90\x00", ""},
	} {
		n := report("media/" + string(rune('A'+i)))
		n.MIME, n.Filename = c.declared, c.name
		d, err := h.file(n, c.content)
		if c.want == "" && !errs.Is(err, errs.Invalid) || c.want != "" && (err != nil || d.MIME != c.want) {
			t.Errorf("%q %q %.20q: %q %v, want %q", c.declared, c.name, c.content, d.MIME, err, c.want)
		}
	}
}

// A file's name stays a name.
func TestFilename(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i, c := range []struct{ in, want string }{
		{"a.pdf", "a.pdf"}, {"../../a.pdf", "a.pdf"}, {`C:\x\a.pdf`, "a.pdf"}, {"a\r\nb.pdf", "ab.pdf"}, {"a/", ""},
		{strings.Repeat("é", 200), strings.Repeat("é", 127)},
	} {
		n := report("name/" + string(rune('A'+i)))
		n.Filename = c.in
		if d := h.filed(n, pdf); d.Filename != c.want {
			t.Errorf("%q: %q, want %q", c.in, d.Filename, c.want)
		}
	}
}
