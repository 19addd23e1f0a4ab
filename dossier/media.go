package dossier

import (
	"bytes"
	"path"
	"strings"

	"pli/internal/errs"
)

// The media types of documents (those of the national service: pdf, txt, rtf,
// jpg, png, tif; and XML for CDA), under one name each.
const (
	mediaPDF  = "application/pdf"
	mediaText = "text/plain"
	mediaRTF  = "application/rtf"
	mediaJPEG = "image/jpeg"
	mediaPNG  = "image/png"
	mediaTIFF = "image/tiff"
	mediaXML  = "text/xml"
)

// MediaTypes returns the media types that a document may have.
func MediaTypes() []string {
	return []string{mediaPDF, mediaText, mediaRTF, mediaJPEG, mediaPNG, mediaTIFF, mediaXML}
}

// sniffSize is how much of a content is looked at to tell what it is, in bytes.
const sniffSize = 4096

// mediaOf returns the media type of a content that begins with head. What it
// is counts; what the sender declares must agree with it.
func mediaOf(declared, filename string, head []byte) (string, error) {
	found := sniff(head)
	declared = sameName(declared)
	switch {
	case len(head) == 0:
		return "", errs.New(errs.Invalid, "the file is empty")
	case declared == "": // not said: plain text needs a name that says so
		if found == mediaText && !strings.EqualFold(path.Ext(filename), ".txt") {
			found = ""
		}
		declared = found
	case declared == mediaText && (found == mediaXML || found == mediaRTF):
		found = mediaText // text it is
	}
	if !accepted(declared) {
		return "", errs.New(errs.Invalid, "a file of this kind cannot be filed; PDF, text, RTF, JPEG, PNG, TIFF and XML (CDA) can")
	}
	if declared != found {
		return "", errs.New(errs.Invalid, "the file says that it is %s, and is not", declared)
	}
	return found, nil
}

func accepted(media string) bool {
	for _, m := range MediaTypes() {
		if m == media {
			return true
		}
	}
	return false
}

// sameName returns the one name of a media type that has several, "" for those
// that say nothing.
func sameName(media string) string {
	media, _, _ = strings.Cut(strings.ToLower(media), ";")
	switch media = strings.TrimSpace(media); media {
	case "application/octet-stream", "application/x-download", "application/force-download", "application/download", "binary/octet-stream":
		return ""
	case "application/x-pdf", "text/pdf":
		return mediaPDF
	case "text/rtf", "text/richtext", "application/x-rtf":
		return mediaRTF
	case "image/jpg", "image/pjpeg":
		return mediaJPEG
	case "image/x-png":
		return mediaPNG
	case "image/tif", "image/x-tiff":
		return mediaTIFF
	case "application/xml", "application/cda+xml", "application/hl7-cda+xml", "text/cda+xml":
		return mediaXML
	}
	return media
}

// sniff tells what a content is by how it begins, "" if it is none of the
// media types.
func sniff(head []byte) string {
	head = head[:min(len(head), sniffSize)]
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF")), " \t\r\n")
	begins := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	switch {
	case begins("\x89PNG\r\n\x1a\n"):
		return mediaPNG
	case begins("\xFF\xD8\xFF"):
		return mediaJPEG
	case begins("II*\x00"), begins("MM\x00*"):
		return mediaTIFF
	case begins(`{\rtf`):
		return mediaRTF
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")): // ISO 32000-1, annex H 3.4.1
		return mediaPDF
	case !isText(head):
		return ""
	case bytes.HasPrefix(text, []byte("<?xml")), bytes.HasPrefix(text, []byte("<ClinicalDocument")):
		return mediaXML
	}
	return mediaText
}

// isText reports whether b has no byte that no text has: controls but for
// tabs, line ends, form feed and escape.
func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b || c == 127 {
			return false
		}
	}
	return true
}

// textWatch is a writer that notes whether all that it saw was text.
type textWatch struct{ bad bool }

func (w *textWatch) Write(p []byte) (int, error) {
	w.bad = w.bad || !isText(p)
	return len(p), nil
}
