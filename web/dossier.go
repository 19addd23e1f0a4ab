package web

import (
	"io"
	"strings"
	"time"

	"pli/dossier"
)

// dossierPage is what the page of the dossier shows.
type dossierPage struct {
	Groups  []docGroup
	Filters []filter
	Total   int
	Chosen  string // code of the category that is shown alone
}

// filter is a category that can be shown alone.
type filter struct {
	Code, Label, Icon string
	Count             int
	Chosen            bool
}

// docGroup is the documents of one category, or of one year.
type docGroup struct {
	Label, Icon string
	Documents   []docView
}

// docView is a document as pages show it.
type docView struct {
	dossier.Document
	Href      string
	TypeName  string
	ClassName string
	Icon      string
	When      time.Time // of its act
	FiledAt   time.Time
	By        string // who wrote it, "" if not known
	FiledYou  bool
	File      file
	Kind      string
}

// classIcons are the drawings of the categories.
var classIcons = map[string]string{
	"10": "report", "11": "summary", "31": "imaging", "42": "pill", "43": "pill", "44": "plan",
	"45": "pill", "52": "certificate", "60": "euro", "90": "person", "95": "gear", "99": "gear",
}

func classIcon(code string) string {
	if i, ok := classIcons[code]; ok {
		return i
	}
	return "report"
}

// dossier lists the documents by category.
func (v *visit) dossier() error {
	docs, err := v.Dossier.List(v.r.Context(), v.session.Actor, v.space())
	if err != nil {
		return err
	}
	p := dossierPage{Total: len(docs), Chosen: v.r.URL.Query().Get("class")}
	types := v.types()
	byClass := map[string][]docView{}
	for _, d := range docs {
		byClass[d.Class] = append(byClass[d.Class], v.docView(d, types))
	}
	add := func(code, label string) {
		list := byClass[code]
		if len(list) == 0 {
			return
		}
		p.Filters = append(p.Filters, filter{code, label, classIcon(code), len(list), code == p.Chosen})
		if p.Chosen == "" || p.Chosen == code {
			p.Groups = append(p.Groups, docGroup{label, classIcon(code), list})
		}
		delete(byClass, code)
	}
	for _, c := range v.Dossier.Classes() {
		add(c.Code, v.classLabel(c))
	}
	for code := range byClass {
		if code != "" {
			byClass[""] = append(byClass[""], byClass[code]...)
		}
	}
	add("", v.say("dossier.noclass"))
	return v.render("dossier", "dossier.title", "dossier", p)
}

// types returns the kinds of documents by code.
func (v *visit) types() map[string]string {
	out := map[string]string{}
	for _, t := range v.Dossier.Types() {
		out[t.Code] = v.typeLabel(t)
	}
	return out
}

func (v *visit) docView(d dossier.Document, types map[string]string) docView {
	out := docView{
		Document: d, Href: "/dossier/" + d.ID, TypeName: types[d.Type], Icon: classIcon(d.Class),
		When: d.Date.In(v.Zone), FiledAt: d.Filed.In(v.Zone), By: d.Author.Name,
		FiledYou: d.FiledBy.Account == string(v.session.Account), Kind: kindOfFile(d.MIME, d.Filename),
	}
	for _, c := range v.Dossier.Classes() {
		if c.Code == d.Class {
			out.ClassName = v.classLabel(c)
		}
	}
	if role := v.profession(d.Author); role != "" && out.By != "" {
		out.By += v.say("who.role", role)
	}
	out.File = file{
		Name: d.Filename, Size: d.Size, Kind: out.Kind,
		Inline: out.Href + "/content", Download: out.Href + "/content?download=1", Picture: out.Kind == kindPicture,
	}
	if out.File.Name == "" {
		out.File.Name = d.Title + ending(d.MIME)
	}
	return out
}

// ending returns the usual end of a file's name for a media type.
func ending(mediaType string) string {
	for _, end := range []string{".pdf", ".png", ".jpg", ".gif", ".webp", ".txt", ".rtf", ".tif"} {
		if kind, _, _ := strings.Cut(fileTypes[end], ";"); kind == mediaType {
			return end
		}
	}
	return ""
}

// documentPage is what the page of a document shows.
type documentPage struct {
	docView
	Page openPage
}

// document shows one document.
func (v *visit) document() error {
	d, content, err := v.Dossier.Open(v.r.Context(), v.session.Actor, v.space(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	defer content.Close()
	p := documentPage{docView: v.docView(d, v.types())}
	p.Page = openPage{File: p.File, Back: "/dossier"}
	if p.Kind == kindText {
		b, err := io.ReadAll(io.NewSectionReader(content, 0, min(content.Size(), int64(v.MaxShown)+1)))
		if err != nil {
			return err
		}
		p.Page.setText(strings.ToValidUTF8(string(b), "\uFFFD"), v.MaxShown)
	}
	return v.renderTitled(200, "document", d.Title, "dossier", p)
}

// documentContent answers with a document's content.
func (v *visit) documentContent() error {
	d, content, err := v.Dossier.Open(v.r.Context(), v.session.Actor, v.space(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	defer content.Close()
	f := v.docView(d, nil).File
	return v.sendFile(f, io.NewSectionReader(content, 0, content.Size()), content.Size())
}
