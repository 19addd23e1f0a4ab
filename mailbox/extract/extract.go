// Package extract reads the text of documents that come with mail: PDF, and
// CDA or any other XML.
//
// Documents come from strangers. XML is read here, within bounds. PDF is read
// by a library that takes many things from the document itself, so it runs in a
// process of its own: this very program, started anew with little memory and
// time and nothing to read but the document. Whatever becomes of it is an error
// here and nothing else.
package extract

import (
	"context"
	"path"
	"strings"

	"pli/internal/errs"
)

// Kind is a sort of document that has text.
type Kind byte

// The kinds. None has no text that is read here.
const (
	None Kind = iota
	PDF
	XML
)

// Limits of one document.
const (
	MaxInput = 16 << 20 // bytes of a document
	MaxText  = 1 << 20  // bytes of the text that is returned; what is beyond is cut
)

// KindOf tells a document's kind from its media type and, where that says
// nothing, its name.
func KindOf(mediaType, name string) Kind {
	switch ext := strings.ToLower(path.Ext(name)); {
	case mediaType == "application/pdf", mediaType == "application/x-pdf":
		return PDF
	case mediaType == "application/xml", strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+xml"):
		return XML
	case mediaType == "text/xml": // its tags are searched as text already; a CDA's embedded PDF is not
		return XML
	case mediaType != "application/octet-stream":
		return None
	case ext == ".pdf":
		return PDF
	case ext == ".xml", ext == ".cda":
		return XML
	}
	return None
}

// Text returns a document's text as UTF-8, at most MaxText bytes. Errors: the
// context's; errs.TooLarge for a document over MaxInput; errs.Invalid for one
// that cannot be read, with as much of its text as could.
func Text(ctx context.Context, kind Kind, document []byte) (string, error) {
	if len(document) > MaxInput {
		return "", errs.New(errs.TooLarge, "a document of %d bytes; at most %d are read", len(document), MaxInput)
	}
	switch kind {
	case PDF:
		return fromWorker(ctx, document)
	case XML:
		text, pdfs, err := xmlText(document)
		for _, pdf := range pdfs {
			more, pdfErr := fromWorker(ctx, pdf)
			text += "\n" + more
			if err == nil {
				err = pdfErr
			}
		}
		return strings.ToValidUTF8(text[:min(len(text), MaxText)], ""), err
	}
	return "", nil
}
