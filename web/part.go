package web

import (
	"html/template"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"pli/dossier"
	"pli/internal/errs"
	"pli/mailbox/message"
	"pli/web/safehtml"
)

// file is an attachment or a document as pages show it.
type file struct {
	Path     string // IMAP part number
	Name     string
	Size     int64 // bytes, about
	Kind     string
	Open     string // address of the page that shows it, "" if browsers cannot
	Inline   string // address of its content
	Download string
	File     string // address of the form that files it into the dossier, "" if it cannot be
	Picture  bool
}

// Kinds of files: what a page can show is one of the first three.
const (
	kindPDF     = "pdf"
	kindPicture = "picture"
	kindText    = "text"
	kindArchive = "archive"
	kindMail    = "mail"
	kindOther   = "other"
)

// kindOfFile tells a file's kind from its media type, or from its name where
// the type says nothing.
func kindOfFile(mediaType, name string) string {
	if mediaType == "application/octet-stream" {
		mediaType, _, _ = strings.Cut(fileTypes[strings.ToLower(path.Ext(name))], ";")
	}
	switch {
	case mediaType == "application/pdf":
		return kindPDF
	case safehtml.Picture(mediaType):
		return kindPicture
	case mediaType == "text/plain":
		return kindText
	case mediaType == "application/zip", mediaType == "application/x-zip-compressed":
		return kindArchive
	case mediaType == "message/rfc822", mediaType == "message/global":
		return kindMail
	}
	return kindOther
}

// fileOf describes one attachment.
func (v *visit) fileOf(o *opened, p piece) file {
	f := file{Path: p.path, Name: p.part.Filename(), Size: decodedSize(p.part), Download: o.href("/part/" + p.path + "?download=1")}
	f.Kind = kindOfFile(p.part.MediaType(), f.Name)
	if f.Name == "" {
		f.Name = v.say("file." + f.Kind)
		if m := p.part.Message; m != nil && m.Envelope.Subject != "" {
			f.Name = m.Envelope.Subject
		}
	}
	switch f.Kind {
	case kindPDF, kindPicture, kindText:
		f.Open, f.Inline = o.href("/open/"+p.path), o.href("/part/"+p.path)
		f.Picture = f.Kind == kindPicture
	}
	if v.isHolder() && fileable(p.part.MediaType(), f.Name) {
		f.File = o.href("/file/" + p.path)
	}
	return f
}

// fileable reports whether the dossier may take a file: only filing it tells
// for sure.
func fileable(mediaType, name string) bool {
	switch mediaType {
	case "application/octet-stream":
		mediaType, _, _ = strings.Cut(fileTypes[strings.ToLower(path.Ext(name))], ";")
	case "text/rtf":
		mediaType = "application/rtf"
	case "application/xml":
		mediaType = "text/xml"
	case "image/jpg", "image/pjpeg":
		mediaType = "image/jpeg"
	}
	return slices.Contains(dossier.MediaTypes(), mediaType)
}

// decodedSize returns about how many bytes a part has once decoded.
func decodedSize(p *message.Part) int64 {
	if p.Encoding == "base64" {
		return (p.Size() - 2*p.Lines) * 3 / 4
	}
	return p.Size()
}

// partOf finds the part that the address names, among those that are attached.
func partOf(o *opened, path string) (piece, *reading, error) {
	r := read(o.Index, true)
	for _, p := range append(append([]piece(nil), r.files...), r.calendar...) {
		if p.path == path {
			return p, r, nil
		}
	}
	// With HTML shown, pictures of the letter are attachments too.
	for _, p := range read(o.Index, false).files {
		if p.path == path {
			return p, r, nil
		}
	}
	return piece{}, nil, sorry(errs.New(errs.NotFound, "no such attachment"), "err.nofile")
}

// part answers with the content of an attachment: to be shown where it is what
// it says and browsers can show it safely, else to be kept.
func (v *visit) part() error {
	o, err := v.show()
	if err != nil {
		return err
	}
	defer o.Close()
	p, _, err := partOf(o, v.r.PathValue("part"))
	if err != nil {
		return err
	}
	body, err := o.view.Open(v.r.Context(), o.uid)
	if err != nil {
		return err
	}
	defer body.Close()
	return v.sendFile(v.fileOf(o, p), message.DecodePart(p.part.Content(body), p.part), -1)
}

// sendFile answers with a file's content. length is its exact number of bytes,
// -1 if that is not known.
func (v *visit) sendFile(f file, r io.Reader, length int64) error {
	v.moreTime(v.UploadTime)
	head := make([]byte, 1024)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	head = head[:n]
	mediaType, policy := "application/octet-stream", policyFile
	show := v.r.URL.Query().Get("download") == "" && v.r.Method == http.MethodGet
	switch seen := sniff(head); {
	case f.Kind == kindPDF && seen == "application/pdf":
		mediaType, policy = seen, policyPDF
	case f.Kind == kindPicture && safehtml.Picture(seen):
		mediaType = seen
	default:
		show = false
	}
	disposition := "attachment"
	if show {
		disposition = "inline"
		framed(v.w.Header(), policy)
	}
	h := v.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": f.Name}))
	if length >= 0 {
		h.Set("Content-Length", strconv.FormatInt(length, 10))
	}
	if _, err := v.w.Write(head); err != nil {
		return nil // the browser has gone
	}
	io.Copy(v.w, r)
	return nil
}

// sniff returns the media type that the first bytes of a file show.
func sniff(head []byte) string {
	kind, _, _ := strings.Cut(http.DetectContentType(head), ";")
	return kind
}

// openPage is what the page around an opened file shows.
type openPage struct {
	File   file
	Back   string // address of the message or dossier
	Text   template.HTML
	Cut    bool
	IsText bool
}

// openPart shows an attachment in a page.
func (v *visit) openPart() error {
	o, err := v.show()
	if err != nil {
		return err
	}
	defer o.Close()
	p, _, err := partOf(o, v.r.PathValue("part"))
	if err != nil {
		return err
	}
	page := openPage{File: v.fileOf(o, p), Back: o.href("")}
	if page.File.Open == "" {
		return sorry(errs.New(errs.NotFound, "browsers cannot show this"), "err.notshown")
	}
	if page.File.Kind == kindText {
		if err := v.textOf(o, p.part, &page); err != nil {
			return err
		}
	}
	return v.renderTitled(200, "open", page.File.Name, "mail", page)
}

// textOf reads a text attachment into its page.
func (v *visit) textOf(o *opened, p *message.Part, page *openPage) error {
	body, err := o.view.Open(v.r.Context(), o.uid)
	if err != nil {
		return err
	}
	defer body.Close()
	s, err := message.TextOf(p.Content(body), p, v.MaxShown+1)
	if err != nil {
		return err
	}
	page.setText(s, v.MaxShown)
	return nil
}

// setText puts a plain text of at most max bytes into the page.
func (p *openPage) setText(s string, max int) {
	if len(s) > max {
		s, p.Cut = strings.ToValidUTF8(s[:max], ""), true
	}
	p.Text, p.IsText = template.HTML(safehtml.Line(s)), true // escaped by safehtml
}
