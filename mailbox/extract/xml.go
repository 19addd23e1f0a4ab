package extract

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"io"
	"strings"

	"golang.org/x/net/html/charset"

	"pli/internal/errs"
)

// Limits of one XML document.
const (
	maxDepth    = 200 // elements within each other
	maxEmbedded = 4   // documents within it that are read
)

// shown are the attributes that a reader of a CDA is shown as words.
var shown = map[string]bool{"displayName": true, "title": true}

// xmlText returns the character data of an XML document, and its attributes
// that are words, with a blank between elements; and the PDFs that a CDA holds
// in base64 (nonXMLBody: CDA R2 4.3.1.3). No entity but XML's own is resolved.
func xmlText(document []byte) (text string, pdfs [][]byte, err error) {
	d := xml.NewDecoder(bytes.NewReader(document))
	d.Strict = false
	d.CharsetReader = charset.NewReaderLabel
	var out strings.Builder
	var embedded *strings.Builder // base64 of the element that is open
	depth, at := 0, 0             // at: the depth of that element
	for out.Len() < MaxText {
		token, err := d.RawToken()
		if err == io.EOF {
			return out.String(), pdfs, nil
		}
		if err != nil {
			return out.String(), pdfs, errs.Wrap(err, errs.Invalid, "not an XML document that can be read")
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return out.String(), pdfs, errs.New(errs.Invalid, "an XML document of more than %d levels", maxDepth)
			}
			out.WriteByte(' ')
			for _, a := range t.Attr {
				if shown[a.Name.Local] {
					out.WriteString(a.Value + " ")
				}
			}
			if embedded == nil && attr(t, "representation") == "B64" {
				embedded, at = new(strings.Builder), depth
			}
		case xml.EndElement:
			if embedded != nil && depth == at {
				if pdf := decodePDF(embedded.String()); pdf != nil && len(pdfs) < maxEmbedded {
					pdfs = append(pdfs, pdf)
				}
				embedded = nil
			}
			depth--
			out.WriteByte(' ')
		case xml.CharData:
			if embedded != nil {
				embedded.Write(t)
			} else {
				out.Write(t)
			}
		}
	}
	return out.String(), pdfs, nil
}

func attr(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// decodePDF returns a PDF from base64 with any white space, nil if it is none.
func decodePDF(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil || !bytes.HasPrefix(b, []byte("%PDF-")) {
		return nil
	}
	return b
}
