package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"pli/web/words"
)

//go:embed templates
var templateFiles embed.FS

// pages holds every page's template in every language: the functions that say
// things are bound to a language when the template is parsed.
type pages struct {
	byLang map[words.Lang]map[string]*template.Template
}

// view is what the layout and every page see.
type view struct {
	Lang     words.Lang
	Title    string
	Page     string // its template
	Section  string // which part of the portal: "mail", "dossier", "trace", "account"
	SignedIn bool
	Holder   bool
	Name     string
	Initials string
	CSRF     string
	Note     *note
	Boxes    []boxLink
	Others   []langChoice
	Live     bool   // listens for new messages
	Refresh  string // the page asks for this address at once
	Data     any    // the page's own
}

// langChoice is a link to the page in another language.
type langChoice struct {
	Lang words.Lang
	Href string
}

// parsePages parses the layout, the shared pieces and each page, per language.
func (s *Server) parsePages() (*pages, error) {
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	p := &pages{byLang: map[words.Lang]map[string]*template.Template{}}
	for _, l := range words.Langs() {
		base, err := template.New("").Funcs(s.funcs(l)).ParseFS(templateFiles, "templates/layout/*.html")
		if err != nil {
			return nil, err
		}
		p.byLang[l] = map[string]*template.Template{}
		for _, name := range names {
			page, err := template.Must(base.Clone()).ParseFS(templateFiles, name)
			if err != nil {
				return nil, err
			}
			short := strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")
			p.byLang[l][short] = page
		}
	}
	return p, nil
}

// funcs are what templates can call, in language l.
func (s *Server) funcs(l words.Lang) template.FuncMap {
	return template.FuncMap{
		"t":       func(key string, args ...any) string { return s.book.Say(l, key, args...) },
		"tn":      func(key string, n int, args ...any) string { return s.book.Count(l, key, n, args...) },
		"asset":   s.assets.href,
		"icon":    func(name string) string { return s.assets.href("icons.svg") + "#" + name },
		"day":     func(t time.Time) string { return words.Day(l, t) },
		"weekday": func(t time.Time) string { return words.WeekDay(l, t) },
		"hour":    func(t time.Time) string { return words.Hour(l, t) },
		"moment":  func(t time.Time) string { return words.Moment(l, t) },
		"month":   func(t time.Time) string { return words.Month(l, t) },
		"stamp":   func(t time.Time) string { return t.Format(time.RFC3339) },
		"date":    func(t time.Time) string { return t.Format(time.DateOnly) },
		"size":    func(n int64) string { return words.Size(l, n) },
		"int":     func(n uint32) int { return int(n) },
		"dict":    dict,
		"breaks":  breaks,
	}
}

// render answers with a page of the portal. section "" is a page outside it.
func (v *visit) render(page, titleKey, section string, data any) error {
	return v.renderStatus(http.StatusOK, page, titleKey, section, data)
}

// renderStatus is render with a status of its own.
func (v *visit) renderStatus(status int, page, titleKey, section string, data any) error {
	return v.renderTitled(status, page, v.say(titleKey), section, data)
}

// renderTitled is renderStatus with a title that is no sentence of the book.
func (v *visit) renderTitled(status int, page, title, section string, data any) error {
	m := view{Lang: v.lang, Title: title, Page: page, Section: section, CSRF: v.csrfToken(), Data: data}
	if v.session != nil {
		m.SignedIn, m.Holder = true, v.isHolder()
		m.Name = v.session.Actor.Name
		m.Initials = initials(m.Name)
		m.Note = v.takeNote()
		m.Live = section == "mail"
		if section == "mail" {
			m.Boxes = v.boxLinks()
		}
	}
	if page == "again" {
		m.Refresh, _ = data.(string)
	}
	for _, l := range words.Langs() {
		if l != v.lang {
			m.Others = append(m.Others, langChoice{l, v.langLink(l)})
		}
	}
	var b bytes.Buffer
	if err := v.pages.byLang[v.lang][page].ExecuteTemplate(&b, "layout", m); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(v.lang))
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	v.w.WriteHeader(status)
	v.w.Write(b.Bytes())
	return nil
}

// initials returns at most two letters for a name's round.
func initials(name string) string {
	var out []rune
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '-' || r == '\'' }) {
		r := []rune(word)
		if strings.HasSuffix(word, ".") || word == "Dr" || word == "Pr" || word == "Mme" || !unicode.IsUpper(r[0]) && !unicode.IsDigit(r[0]) {
			continue
		}
		if out = append(out, r[0]); len(out) == 2 {
			break
		}
	}
	return strings.ToUpper(string(out))
}

// dict makes a map of pairs, to hand several values to a template.
func dict(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}

// breaks lets a long name break after its underscores.
func breaks(s string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(s), "_", "_<wbr>")) // escaped
}
