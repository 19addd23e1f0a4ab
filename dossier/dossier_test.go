package dossier_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"pli/consent"
	"pli/dossier"
	"pli/identity"
	"pli/internal/errs"
	"pli/space"
	"pli/store"
	"pli/store/blob"
)

// B1, B5: what is filed is listed and opens as it was.
func TestFileListOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := report("msg1/2")
	n.Title = "  Analyses \t de\nmars "
	d := h.filed(n, pdf)
	want := dossier.Document{
		ID: d.ID, Title: "Analyses de mars", Type: "11502-2", Class: "10", Date: n.Date, Author: n.Author, FiledBy: self(h.home),
		Filed: h.now, MIME: "application/pdf", Filename: "analyses.pdf", Size: int64(len(pdf)), SHA256: sha256.Sum256([]byte(pdf)),
		Confidentiality: []string{"N"}, Source: "msg1/2",
	}
	if !reflect.DeepEqual(d, want) || len(d.ID) != 26 {
		t.Errorf("filed %+v\nwant %+v", d, want)
	}
	list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID)
	if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("listed %+v %v", list, err)
	}
	opened, c, err := h.dossier.Open(t.Context(), self(h.home), h.home.ID, d.ID)
	if err != nil || !reflect.DeepEqual(opened, want) {
		t.Fatalf("opened %+v %v", opened, err)
	}
	defer c.Close()
	part := make([]byte, 4)
	if _, err := c.ReadAt(part, 4); err != nil || string(part) != pdf[4:8] || c.Size() != d.Size {
		t.Errorf("%q %v", part, err)
	}
	if got := h.trace(); !reflect.DeepEqual(got, []string{"permit dossier.file Analyses de mars", "permit dossier.list ", "permit dossier.read Analyses de mars"}) {
		t.Errorf("trace %q", got)
	}
}

// The latest date comes first; of one date, the one filed last.
func TestListOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i, day := range []int{1, 3, 2, 3} {
		n := report("")
		n.Title, n.Date = string(rune('a'+i)), time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)
		h.later(time.Minute)
		h.filed(n, pdf)
	}
	list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID)
	var got string
	for _, d := range list {
		got += d.Title
	}
	if err != nil || got != "dbca" {
		t.Errorf("%s %v", got, err)
	}
}

// One message part is one document, unless asked: the same again changes
// nothing, another title is a conflict that tells of the one there is.
func TestFileTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.filed(report("msg1/2"), pdf)
	if again := h.filed(report("msg1/2"), pdf); !reflect.DeepEqual(again, first) {
		t.Errorf("again: %+v, want %+v", again, first)
	}
	other := report("msg1/2")
	other.Title = "Autre titre"
	d, err := h.file(other, pdf)
	if !errs.Is(err, errs.Conflict) || !reflect.DeepEqual(d, first) {
		t.Errorf("another title: %+v %v", d, err)
	}
	if d, err := h.file(report("msg1/2"), pdf+"x"); !errs.Is(err, errs.Conflict) || d.ID != first.ID {
		t.Errorf("another content: %+v %v", d, err)
	}
	other.Again = true
	second := h.filed(other, pdf)
	if second.ID == first.ID || second.Title != "Autre titre" {
		t.Errorf("asked: %+v", second)
	}
	if third := h.filed(report("msg1/3"), pdf); third.ID == first.ID {
		t.Error("another part is the same document")
	}
	if own := h.filed(report(""), pdf); own.ID == first.ID || h.filed(report(""), pdf).ID == own.ID {
		t.Error("what comes from no message is each time its own")
	}
	want := []string{"permit dossier.file Analyses de mars", "fail dossier.file Autre titre", "fail dossier.file Analyses de mars",
		"permit dossier.file Autre titre", "permit dossier.file Analyses de mars", "permit dossier.file Analyses de mars", "permit dossier.file Analyses de mars"}
	if got := h.trace(); !reflect.DeepEqual(got, want) {
		t.Errorf("trace\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Many at once from one source, such as an impatient finger, are one document.
func TestFileAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var mu sync.Mutex
	ids := map[string]bool{}
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			d, err := h.file(report("msg1/2"), pdf)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[d.ID] = true
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("%d documents", len(ids))
	}
}

// C7, C4: nobody else files, lists or opens, and each attempt is traced.
func TestStrangers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.filed(report("msg1/2"), pdf)
	stranger := self(h.space(2))
	for _, actor := range []identity.Actor{doctor, stranger, {}, {Kind: identity.Staff, ID: "op"}, {Kind: identity.Holder}} {
		if _, err := h.dossier.File(t.Context(), actor, h.home.ID, report("x"), strings.NewReader(pdf)); !errs.Is(err, errs.Denied) {
			t.Errorf("%v files: %v", actor, err)
		}
		if list, err := h.dossier.List(t.Context(), actor, h.home.ID); !errs.Is(err, errs.Denied) || list != nil {
			t.Errorf("%v lists: %v %v", actor, list, err)
		}
		if doc, c, err := h.dossier.Open(t.Context(), actor, h.home.ID, d.ID); !errs.Is(err, errs.Denied) || c != nil || doc.Title != "" {
			t.Errorf("%v opens: %v %v", actor, doc, err)
		}
	}
	if got := h.trace(); len(got) != 16 || got[1] != "deny dossier.file Analyses de mars" || got[3] != "deny dossier.read Analyses de mars" {
		t.Errorf("%d lines: %q", len(got), got)
	}
	list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID)
	if err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
}

// A holder's own looking around is one line an hour, each document apart.
func TestTraceEvery(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.filed(report("a"), pdf), h.filed(report("b"), pdf)
	look := func(want int) {
		t.Helper()
		for range 3 {
			if list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID); err != nil || len(list) != 2 {
				t.Errorf("%v %v", list, err)
			}
			for _, id := range []string{a.ID, b.ID} {
				if got, err := h.content(self(h.home), id); got != pdf || err != nil {
					t.Errorf("%q %v", got, err)
				}
			}
		}
		if got := h.trace(); len(got) != want {
			t.Errorf("%d lines, want %d: %q", len(got), want, got)
		}
	}
	look(2 + 3)
	h.later(time.Hour - time.Millisecond)
	look(2 + 3)
	h.later(time.Millisecond)
	look(2 + 6)
}

// There is no other space's document, and none with another's name.
func TestOpenNotFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.filed(report("a"), pdf)
	for _, id := range []string{"", "x", strings.Repeat("a", 26), d.ID[:25], d.ID + "a", strings.ToUpper(d.ID), "../" + d.ID[3:]} {
		if _, _, err := h.dossier.Open(t.Context(), self(h.home), h.home.ID, id); !errs.Is(err, errs.NotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	other := h.space(2)
	if _, _, err := h.dossier.Open(t.Context(), self(other), other.ID, d.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("in another space: %v", err)
	}
	nowhere := space.NewOwner("s/")
	if _, err := h.dossier.File(t.Context(), self(h.home), nowhere, report("a"), strings.NewReader(pdf)); !errs.Is(err, errs.NotFound) {
		t.Errorf("into no space: %v", err)
	}
	if _, err := h.dossier.List(t.Context(), self(h.home), nowhere); !errs.Is(err, errs.NotFound) {
		t.Errorf("of no space: %v", err)
	}
}

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

// D4, canary: neither title nor content nor author lies on the disk in clear.
func TestSealedOnDisk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	n := report("canari-source")
	n.Title, n.Filename, n.Author.Name = "Canari-titre", "Canari-nom.pdf", "Canari-auteur"
	h.filed(n, pdf+strings.Repeat("Canari-texte ", 20_000))
	files := 0
	err := filepath.WalkDir(h.path, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if files++; bytes.Contains(bytes.ToLower(b), []byte("canari")) {
			t.Errorf("%s tells", path)
		}
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files, %v", files, err)
	}
}

// verify sees a content that is gone, changed, cut or another's.
func TestVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm func(path, other string) error
		want string
	}{
		"gone":      {func(path, _ string) error { return os.Remove(path) }, "its content is missing"},
		"cut":       {func(path, _ string) error { return os.Truncate(path, 70_000) }, "its content does not open"},
		"another's": {func(path, other string) error { return copyFile(path, other) }, "its content does not open"},
		"changed":   {func(path, _ string) error { return flip(path, 100) }, "its content is damaged"},
	} {
		h := newHouse(t)
		long := pdf + strings.Repeat("x", 200_000)
		d := h.filed(report("a"), long)
		first := h.blobPath()
		h.filed(report("b"), long)
		var other string
		h.must(h.dossier.Blobs(t.Context(), h.home.ID, func(id blob.ID, _ int64) error {
			if p := h.pathOf(id); p != first {
				other = p
			}
			return nil
		}))
		keep, err := os.ReadFile(first)
		h.must(err)
		h.must(c.harm(first, other))
		problems, err := h.dossier.Verify(t.Context(), h.home.ID)
		if err != nil || !reflect.DeepEqual(problems, []dossier.Problem{{Document: d.ID, What: c.want}}) {
			t.Errorf("%s: %v %v", name, problems, err)
		}
		if got, err := h.content(self(h.home), d.ID); err == nil {
			t.Errorf("%s: opens with %d bytes", name, len(got))
		}
		h.must(os.WriteFile(first, keep, 0o600))
	}
}

// blobPath returns the file of the only blob there is.
func (h *house) blobPath() (path string) {
	h.Helper()
	h.must(h.dossier.Blobs(h.Context(), h.home.ID, func(id blob.ID, size int64) error {
		path = h.pathOf(id)
		if fi, err := os.Stat(path); err != nil || fi.Size() != size {
			h.Errorf("%v %v, said to be %d bytes", fi, err, size)
		}
		return nil
	}))
	return path
}

func (h *house) pathOf(id blob.ID) string {
	return filepath.Join(h.path, "blobs", string(id[:2]), string(id[2:4]), string(id))
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

func flip(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[at] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// A4: destroying the space's data key is what deletion means.
func TestDestroyedKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.filed(report("a"), pdf)
	_, c, err := h.dossier.Open(t.Context(), self(h.home), h.home.ID, d.ID)
	h.must(err)
	c.Close()
	other := h.space(2)
	h.must(h.keys.Destroy(t.Context(), h.home.ID, ""))
	if _, _, err := h.dossier.Open(t.Context(), self(h.home), h.home.ID, d.ID); err == nil {
		t.Error("opens still")
	}
	if _, err := h.file(report("b"), pdf); !errs.Is(err, errs.NotFound) {
		t.Errorf("files still: %v", err)
	}
	all, err := h.blobs.List(t.Context(), "", 10)
	h.must(err)
	for _, b := range all { // unreadable from now on
		h.must(h.blobs.Delete(t.Context(), b.ID))
	}
	h.home = other
}

// A damaged record says so, and hides no other.
func TestVerifyRecords(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.filed(report("a"), pdf)
	var good []byte
	key := []byte("dossier/d/" + d.ID)
	h.must(h.db.Update(t.Context(), h.home.ID, func(tx store.Tx) error {
		b, err := tx.Get(key)
		good = bytes.Clone(b)
		if err != nil {
			return err
		}
		return tx.Put(key, []byte("no record"))
	}))
	problems, err := h.dossier.Verify(t.Context(), h.home.ID)
	if err != nil || len(problems) != 1 || problems[0].Document != d.ID {
		t.Errorf("%v %v", problems, err)
	}
	if err := h.dossier.Blobs(t.Context(), h.home.ID, func(blob.ID, int64) error { return nil }); err == nil {
		t.Error("a sweeper would take its content away")
	}
	h.must(h.db.Update(t.Context(), h.home.ID, func(tx store.Tx) error { return tx.Put(key, good) }))
}

// B7: a document that its holder is not to know of yet is neither listed nor
// opened, in the words of one that is not there, and the trace does not name it.
func TestInvisibleToPatient(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.filed(report("a"), pdf)
	hidden := h.filed(report("b"), pdf)
	h.must(h.db.Update(t.Context(), h.home.ID, func(tx store.Tx) error {
		key := []byte("dossier/d/" + hidden.ID)
		rec, err := store.Load[map[int]any](tx, key)
		if err != nil {
			return err
		}
		rec[12] = []string{"N", consent.InvisibleToPatient}
		return store.Save(tx, key, rec)
	}))
	list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID)
	if err != nil || len(list) != 1 || list[0].ID == hidden.ID {
		t.Errorf("%v %v", list, err)
	}
	_, err = h.content(self(h.home), hidden.ID)
	_, none := h.content(self(h.home), strings.Repeat("a", 26))
	if !errs.Is(err, errs.NotFound) || err.Error() != none.Error() {
		t.Errorf("%v, and of none %v", err, none)
	}
	if got := h.trace(); got[len(got)-2] != "deny dossier.read " || got[len(got)-1] != "deny dossier.read " {
		t.Errorf("%q", got)
	}
}
