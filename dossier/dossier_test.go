package dossier_test

import (
	"crypto/sha256"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/consent"
	"pli/dossier"
	"pli/identity"
	"pli/internal/errs"
	"pli/space"
	"pli/store"
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
