package mss

import (
	"strings"
	"time"
	"unicode"

	"pli/mailbox/message"
)

// Proposal is what a document may be filed as.
type Proposal struct {
	Type  string    // code of JDV_J07, "" where nothing tells
	Title string    // at most 200 runes
	Date  time.Time // of the act, at midnight UTC; zero where nothing tells
}

// maxTitle bounds a proposed title, in runes.
const maxTitle = 200

// tellingWords is how many words a subject has that says more than the type
// does: «Résultats de votre prise de sang» against «Bonjour».
const tellingWords = 3

// Propose reads from a message what one of its parts may be filed as: the type
// from X-MSS-CODECDA (ECO.2.4.1), the file name (ECO.2.1.6), the subject
// (ECO.2.1.3), then the words of file name, subject and text; the title from
// a telling subject, else the type or the file name;
// the date from the file name, else from Date.
func Propose(ix *message.Index, part *message.Part) Proposal {
	name := stem(part.Filename())
	named := readFilename(name)
	label := subjectLabel(ix.Envelope.Subject)
	p := Proposal{Date: named.date}
	for _, find := range []func() string{
		func() string { return codeFor(ix, part) },
		func() string { return typeOfWords(named.kind) },
		func() string { return typeOfWords(name) },
		func() string { return typeOfWords(label) },
		func() string { return typeOfWords(ix.Envelope.Subject) },
		func() string { return typeOfWords(ix.Preview) },
	} {
		if p.Type = find(); p.Type != "" {
			break
		}
	}
	subject, words := plainSubject(ix.Envelope.Subject), strings.ReplaceAll(name, "_", " ")
	titles := []string{label, typeLabel(p.Type), words, subject}
	if len(ix.Attachments()) == 1 && len(strings.Fields(subject)) >= tellingWords {
		titles = []string{label, subject}
	}
	for _, title := range titles {
		if p.Title = shorten(title); p.Title != "" {
			break
		}
	}
	if p.Date.IsZero() && !ix.Envelope.Date.IsZero() {
		y, m, d := ix.Envelope.Date.Date()
		p.Date = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return p
}

// codeFor returns the code that X-MSS-CODECDA gives a part: the one at the
// part's place where there is a code for each PDF, else the first.
func codeFor(ix *message.Index, part *message.Part) string {
	var codes []string
	for _, c := range strings.Split(ix.Fields["x-mss-codecda"], ",") {
		if c = strings.TrimSpace(c); validCode(c) {
			codes = append(codes, c)
		}
	}
	if len(codes) == 0 {
		return ""
	}
	place, pdfs := 0, 0
	for _, a := range ix.Attachments() {
		if a == part {
			place = pdfs
		}
		if a.MediaType() == "application/pdf" {
			pdfs++
		}
	}
	if pdfs == len(codes) && place < len(codes) {
		return codes[place]
	}
	return codes[0]
}

func validCode(c string) bool {
	for i := range len(c) {
		if b := c[i]; (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && b != '-' && b != '_' {
			return false
		}
	}
	return len(c) >= 3 && len(c) <= 32
}

// stem returns a file name without its extension.
func stem(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[:i]
	}
	return name
}

// fileFacts is what a name in the form of ECO.2.1.6 tells.
type fileFacts struct {
	date time.Time
	kind string // the document's type, in words or as a code
}

// readFilename reads <date>_<type>_<NOM>_<prénom>[_<number>]; a name of another
// form tells its date at most.
func readFilename(name string) fileFacts {
	fields := strings.Split(name, "_")
	date, ok := readDate(fields[0])
	if !ok {
		return fileFacts{}
	}
	if len(fields) < 4 {
		return fileFacts{date: date}
	}
	return fileFacts{date, fields[1]}
}

// dateForms are the ways in which file names write a day.
var dateForms = []string{"20060102", "2006-01-02", "2006.01.02", "02-01-2006", "02.01.2006", "02012006"}

func readDate(s string) (time.Time, bool) {
	for _, form := range dateForms {
		if d, err := time.Parse(form, s); err == nil && d.Year() >= 1900 && d.Year() < 2200 {
			return d, true
		}
	}
	return time.Time{}, false
}

// xdmMark begins the subject of a message that carries a document (ECO.2.1.3).
const xdmMark = "XDM/1.0/DDM"

// subjectLabel returns the label of XDM/1.0/DDM+<label> <NOM> <prénom> <birth
// date>, "" for another subject. Where the label ends nothing marks: from the
// end, the date, the given name and the names in capitals are taken off.
func subjectLabel(subject string) string {
	_, rest, ok := strings.Cut(subject, xdmMark)
	if !ok {
		return ""
	}
	words := strings.Fields(strings.TrimPrefix(rest, "+"))
	last := func() string { return words[len(words)-1] }
	if len(words) > 1 && strings.ContainsAny(last(), "0123456789") {
		words = words[:len(words)-1]
	}
	if len(words) > 2 {
		words = words[:len(words)-1] // the given name
	}
	for len(words) > 1 && capitals(last()) {
		words = words[:len(words)-1]
	}
	return strings.Join(words, " ")
}

// capitals reports whether a word is a name as forms write it.
func capitals(s string) bool {
	letters := 0
	for _, r := range s {
		switch {
		case unicode.IsUpper(r):
			letters++
		case r != '-' && r != '\'' && r != '’':
			return false
		}
	}
	return letters > 1
}

// plainSubject returns a subject without the marks of answers and forwards.
func plainSubject(s string) string {
	for {
		mark, rest, found := strings.Cut(s, ":")
		mark = strings.ToLower(strings.TrimSpace(mark))
		if !found || mark != "re" && mark != "fw" && mark != "fwd" && mark != "tr" && mark != "rép" {
			return strings.TrimSpace(s)
		}
		s = strings.TrimSpace(rest)
	}
}

func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxTitle {
		s = strings.TrimSpace(string(r[:maxTitle]))
	}
	return s
}
