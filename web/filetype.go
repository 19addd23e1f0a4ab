package web

import (
	"net/http"
	"path"
	"strings"
)

// fileTypes are the media types that a sender's attachments may carry, by the ending of their names;
// all others travel as plain bytes.
var fileTypes = map[string]string{
	".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
	".gif": "image/gif", ".webp": "image/webp", ".tif": "image/tiff", ".tiff": "image/tiff",
	".heic": "image/heic", ".txt": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".rtf": "application/rtf", ".ics": "text/calendar; charset=utf-8", ".zip": "application/zip",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".odt":  "application/vnd.oasis.opendocument.text",
}

// fileType returns the media type of a file: what its name says, where its first
// bytes do not speak against it, else application/octet-stream.
func fileType(name string, head []byte) string {
	said := fileTypes[strings.ToLower(path.Ext(name))]
	seen, _, _ := strings.Cut(http.DetectContentType(head), ";")
	kind, _, _ := strings.Cut(said, ";")
	switch {
	case said == "":
		if seen == "application/pdf" || strings.HasPrefix(seen, "image/") && seen != "image/svg+xml" {
			return seen
		}
		return "application/octet-stream"
	case kind == seen, seen == "application/octet-stream" && kind != "application/pdf":
		return said
	case seen == "application/zip" && (kind == seen || strings.HasPrefix(kind, "application/vnd.")):
		return said
	case strings.HasPrefix(kind, "text/") && strings.HasPrefix(seen, "text/plain"):
		return said
	case kind == "application/rtf" && strings.HasPrefix(seen, "text/plain"):
		return said
	}
	return "application/octet-stream"
}
