package web

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"pli/dossier"
	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/mss"
	"pli/web/words"
)

// filePage is the form that files an attachment into the dossier.
type filePage struct {
	File    file
	Action  string
	Back    string
	Title   string
	Type    string
	Date    string // 2006-01-02
	Groups  []typeGroup
	Today   string
	Error   string // key
	Already *dossier.Document
}

// typeGroup is the kinds of documents of one category.
type typeGroup struct {
	Label string
	Types []typeChoice
}

type typeChoice struct {
	Code, Label string
	Chosen      bool
}

// fileForm proposes how to file an attachment.
func (v *visit) fileForm() error {
	o, p, err := v.toFile()
	if err != nil {
		return err
	}
	defer o.Close()
	page := v.filePage(o, p)
	proposal := mss.Propose(o.Index, p.part)
	page.Title, page.Type = proposal.Title, proposal.Type
	if page.Title == "" {
		page.Title = plainTitle(page.File.Name)
	}
	when := proposal.Date
	if when.IsZero() {
		when = o.Date.In(v.Zone)
	}
	page.Date = when.Format(time.DateOnly)
	v.group(page)
	return v.render("file", "file.title", "mail", page)
}

// toFile finds the attachment that the address names.
func (v *visit) toFile() (*opened, piece, error) {
	o, err := v.show()
	if err != nil {
		return nil, piece{}, err
	}
	p, _, err := partOf(o, v.r.PathValue("part"))
	if err != nil {
		o.Close()
		return nil, piece{}, err
	}
	return o, p, nil
}

func (v *visit) filePage(o *opened, p piece) *filePage {
	return &filePage{
		File: v.fileOf(o, p), Action: o.href("/file/" + p.path), Back: o.href(""),
		Today: v.now().Format(time.DateOnly),
	}
}

// plainTitle makes a title of a file's name.
func plainTitle(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		name = name[:i]
	}
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == ' ' }), " ")
}

// commonTypes are the kinds of documents that people file most: they come
// first, so that nobody has to search a hundred.
var commonTypes = []string{
	"11502-2",  // laboratory report
	"11488-4",  // report of a consultation
	"34112-3",  // hospital report
	"11490-0",  // discharge letter
	"18748-4",  // imaging report
	"57833-6",  // prescription of medicines and devices
	"89601-9",  // medical certificate
	"87273-9",  // vaccination
	"56446-8",  // appointment
	"EXPPAT_2", // other document of the patient's
}

// group lists the kinds of documents, the common ones first, then all by
// category; the chosen one is marked once.
func (v *visit) group(page *filePage) {
	byCode, byClass := map[string]dossier.Type{}, map[string][]typeChoice{}
	common := slices.Contains(commonTypes, page.Type)
	for _, t := range v.Dossier.Types() {
		byCode[t.Code] = t
		byClass[t.Class] = append(byClass[t.Class], typeChoice{t.Code, v.typeLabel(t), t.Code == page.Type && !common})
	}
	first := typeGroup{Label: v.say("file.common")}
	for _, code := range commonTypes {
		if t, ok := byCode[code]; ok {
			first.Types = append(first.Types, typeChoice{code, v.typeLabel(t), code == page.Type})
		}
	}
	page.Groups = append(page.Groups, first)
	for _, c := range v.Dossier.Classes() {
		if types := byClass[c.Code]; len(types) > 0 {
			page.Groups = append(page.Groups, typeGroup{v.classLabel(c), types})
		}
	}
	if rest := byClass[""]; len(rest) > 0 {
		page.Groups = append(page.Groups, typeGroup{v.say("dossier.noclass"), rest})
	}
}

func (v *visit) typeLabel(t dossier.Type) string {
	if v.lang == words.English && t.LabelEN != "" {
		return t.LabelEN
	}
	return t.Label
}

func (v *visit) classLabel(c dossier.Class) string {
	if v.lang == words.English && c.LabelEN != "" {
		return c.LabelEN
	}
	return c.Label
}

// file files the attachment as the form says.
func (v *visit) file() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	o, p, err := v.toFile()
	if err != nil {
		return err
	}
	defer o.Close()
	page := v.filePage(o, p)
	page.Title, page.Type, page.Date = oneLine(form.Get("title")), form.Get("type"), form.Get("date")
	v.formPage = page.Action
	doc, err := v.fileIt(o, p, page, form)
	if err != nil {
		return v.backToFiling(page, doc, err)
	}
	if _, err := o.view.Store(v.r.Context(), []mailbox.UID{o.uid}, mailbox.FlagsAdd, []mailbox.Flag{flagFiled}, 0); err != nil {
		v.Log.Warn("filed mark not kept", "err", err)
	}
	v.leave(note{Key: "note.filed", Link: &noteRef{Href: o.href(""), Key: "note.filed.link"}})
	v.goTo("/dossier/" + doc.ID)
	return nil
}

// fileIt gives the attachment to the dossier.
func (v *visit) fileIt(o *opened, p piece, page *filePage, form url.Values) (dossier.Document, error) {
	date, err := time.ParseInLocation(time.DateOnly, page.Date, v.Zone)
	if err != nil {
		return dossier.Document{}, sorry(errs.Wrap(err, errs.Invalid, "no such date"), "err.file.date")
	}
	body, err := o.view.Open(v.r.Context(), o.uid)
	if err != nil {
		return dossier.Document{}, err
	}
	defer body.Close()
	return v.Dossier.File(v.r.Context(), v.session.Actor, v.space(), dossier.NewDocument{
		Title: page.Title, Type: page.Type, Date: date, Author: v.author(o.Index),
		MIME: p.part.MediaType(), Filename: p.part.Filename(),
		Source: o.ID + "/" + p.path, Again: form.Get("again") != "",
	}, message.DecodePart(p.part.Content(body), p.part))
}

// author returns who sent a message, as From names them: a name to show, never
// a right, for holders can put any message into their boxes.
func (v *visit) author(ix *message.Index) identity.Actor {
	if len(ix.Envelope.From) != 1 {
		return identity.Actor{}
	}
	from := ix.Envelope.From[0]
	a := identity.Actor{Name: personName(from), Address: from.String()}
	if addr, err := identity.ParseAddress(from.String()); err == nil {
		if m, err := v.Directory.Lookup(v.r.Context(), addr); err == nil {
			a.Profession = m.Actor.Profession
		}
	}
	return a
}

// fileWords are the sentences for what the dossier refuses.
var fileWords = map[errs.Kind]string{
	errs.Invalid:  "err.file.invalid",
	errs.TooLarge: "err.file.toolarge",
	errs.Conflict: "err.file.conflict",
	errs.Denied:   "err.file.denied",
}

// backToFiling shows the form again, and what was wrong.
func (v *visit) backToFiling(page *filePage, doc dossier.Document, err error) error {
	kind := errs.KindOf(err)
	if kind == errs.Internal {
		return err
	}
	page.Error = wordsOf(err)
	var told failure
	if key, ok := fileWords[kind]; ok && !errors.As(err, &told) {
		page.Error = key
	}
	if kind == errs.Conflict && doc.ID != "" {
		page.Already = &doc
	}
	v.group(page)
	return v.renderStatus(statusOf(err), "file", "file.title", "mail", page)
}
