package dossier_test

import (
	"context"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pli/consent"
	"pli/dossier"
	"pli/internal/errs"
)

// What is not filed leaves nothing: each fault, on both sides of its limit.
func TestFileRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *dossier.Config) { c.MaxSize, c.MaxOwnSize, c.MaxTitle = 2000, 1000, 10 })
	big := func(n int) string { return pdf + strings.Repeat("x", n-len(pdf)) }
	for name, c := range map[string]struct {
		change  func(*dossier.NewDocument)
		content string
		want    errs.Kind
		ok      bool
	}{
		"title of ten":          {change: func(n *dossier.NewDocument) { n.Title = strings.Repeat("é", 10) }, ok: true},
		"title of eleven":       {change: func(n *dossier.NewDocument) { n.Title = strings.Repeat("é", 11) }, want: errs.Invalid},
		"no title":              {change: func(n *dossier.NewDocument) { n.Title = " \n" }, want: errs.Invalid},
		"control in title":      {change: func(n *dossier.NewDocument) { n.Title = "a\x00b" }, want: errs.Invalid},
		"no type":               {change: func(n *dossier.NewDocument) { n.Type = "" }, want: errs.Invalid},
		"unknown type":          {change: func(n *dossier.NewDocument) { n.Type = "11502-3" }, want: errs.Invalid},
		"no date":               {change: func(n *dossier.NewDocument) { n.Date = time.Time{} }, want: errs.Invalid},
		"old date":              {change: func(n *dossier.NewDocument) { n.Date = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC) }, ok: true},
		"date before 1900":      {change: func(n *dossier.NewDocument) { n.Date = time.Date(1899, 12, 31, 0, 0, 0, 0, time.UTC) }, want: errs.Invalid},
		"a day ahead":           {change: func(n *dossier.NewDocument) { n.Date = h.now.Add(24 * time.Hour) }, ok: true},
		"more than a day ahead": {change: func(n *dossier.NewDocument) { n.Date = h.now.Add(24*time.Hour + 1) }, want: errs.Invalid},
		"source of 200":         {change: func(n *dossier.NewDocument) { n.Source = strings.Repeat("s", 200) }, ok: true},
		"source of 201":         {change: func(n *dossier.NewDocument) { n.Source = strings.Repeat("s", 201) }, want: errs.Invalid},
		"masked":                {change: func(n *dossier.NewDocument) { n.Confidentiality = []string{"MASQUE_PS", "R", "MASQUE_PS"} }, ok: true},
		"two levels":            {change: func(n *dossier.NewDocument) { n.Confidentiality = []string{"N", "R"} }, want: errs.Invalid},
		"unknown code":          {change: func(n *dossier.NewDocument) { n.Confidentiality = []string{"X"} }, want: errs.Invalid},
		"hidden from oneself":   {change: func(n *dossier.NewDocument) { n.Confidentiality = []string{consent.InvisibleToPatient} }, want: errs.Invalid},
		"of a message":          {content: big(2000), ok: true},
		"of a message, larger":  {content: big(2001), want: errs.TooLarge},
		"own":                   {change: func(n *dossier.NewDocument) { n.Source = "" }, content: big(1000), ok: true},
		"own, larger":           {change: func(n *dossier.NewDocument) { n.Source = "" }, content: big(1001), want: errs.TooLarge},
		"not what it says":      {content: "\x89PNG\r\n\x1a\nxxxx", want: errs.Invalid},
		"empty":                 {content: "-", want: errs.Invalid, change: func(n *dossier.NewDocument) { n.MIME = "" }},
	} {
		n := report("msg/" + name)
		n.Title = "Analyses"
		if c.change != nil {
			c.change(&n)
		}
		content := c.content
		if content == "" {
			content = pdf
		}
		if content == "-" {
			content = ""
		}
		d, err := h.file(n, content)
		if c.ok && err != nil || !c.ok && !errs.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "masked" && !reflect.DeepEqual(d.Confidentiality, []string{"R", "MASQUE_PS"}) {
			t.Errorf("%s: %v", name, d.Confidentiality)
		}
	}
}

// A dossier has room for so many documents.
func TestMaxDocuments(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *dossier.Config) { c.MaxDocuments = 2 })
	h.filed(report("a"), pdf)
	h.filed(report("b"), pdf)
	if _, err := h.file(report("c"), pdf); !errs.Is(err, errs.TooLarge) {
		t.Errorf("%v", err)
	}
	h.filed(report("a"), pdf) // the same again needs no room
}

// A source that breaks, or a caller who leaves, files nothing.
func TestFileInterrupted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	broken := io.MultiReader(strings.NewReader(pdf+strings.Repeat("x", 1<<20)), iotest.ErrReader(errSource))
	if _, err := h.dossier.File(t.Context(), self(h.home), h.home.ID, report("a"), broken); err != errSource {
		t.Errorf("%v", err)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := io.MultiReader(strings.NewReader(pdf), readerFunc(func(p []byte) (int, error) { leave(); return copy(p, "x"), nil }))
	if _, err := h.dossier.File(ctx, self(h.home), h.home.ID, report("a"), left); err != context.Canceled {
		t.Errorf("%v", err)
	}
	if list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
