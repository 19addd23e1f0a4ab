package dossier_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pli/dossier"
	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

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
