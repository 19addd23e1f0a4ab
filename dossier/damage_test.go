package dossier_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
	"pli/store/bolt"
	"pli/store/sealed"
)

// backup copies the space's records as they lie, and its blobs.
func (h *house) backup() (from store.DB, bring func(context.Context, blob.ID) error) {
	h.Helper()
	db, err := bolt.Open(bolt.Config{Dir: h.TempDir()})
	h.must(err)
	h.Cleanup(func() { db.Close() })
	from = sealed.New(db, h.keys, sealed.Config{})
	h.must(h.db.View(h.Context(), h.home.ID, func(tx store.Tx) error {
		return from.Update(h.Context(), h.home.ID, func(to store.Tx) error {
			return tx.Scan(nil, nil, func(k, v []byte) error { return to.Put(bytes.Clone(k), bytes.Clone(v)) })
		})
	}))
	kept := map[blob.ID][]byte{}
	h.must(h.dossier.Blobs(h.Context(), h.home.ID, func(id blob.ID, _ int64) error {
		kept[id], err = os.ReadFile(h.pathOf(id))
		return err
	}))
	return from, func(ctx context.Context, id blob.ID) error {
		b, ok := kept[id]
		if !ok {
			return blob.ErrNotFound
		}
		w, err := h.blobs.CreateAs(ctx, id)
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := w.Write(b); err != nil {
			return err
		}
		_, err = w.Commit()
		return err
	}
}

// three files three documents, of two sources and of none.
func (h *house) three() (ids []string) {
	h.Helper()
	for _, source := range []string{"a", "b", ""} {
		ids = append(ids, h.filed(report(source), pdf+source).ID)
	}
	return ids
}

func (h *house) contents(ids []string) (out []string) {
	h.Helper()
	for _, id := range ids {
		got, err := h.content(self(h.home), id)
		out = append(out, fmt.Sprint(got, err))
	}
	return out
}

// change writes below the dossier, where the seal still fits.
func (h *house) change(fn func(tx store.Tx) error) {
	h.Helper()
	h.must(h.db.Update(h.Context(), h.home.ID, fn))
}

func key(id string) []byte { return []byte("dossier/d/" + id) }

// Whatever of a document is lost comes back from a copy, under its id, as it
// was filed, and nothing comes twice.
func TestAdopt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ids := h.three()
	want := h.contents(ids)
	list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID)
	h.must(err)
	from, bring := h.backup()
	var first, second string
	h.must(h.dossier.Blobs(t.Context(), h.home.ID, func(id blob.ID, _ int64) error {
		first, second = second, h.pathOf(id)
		return nil
	}))
	for name, c := range map[string]struct {
		brought int
		harm    func()
	}{
		"nothing":           {0, func() {}},
		"a record":          {1, func() { h.change(func(tx store.Tx) error { return tx.Delete(key(ids[0])) }) }},
		"a damaged record":  {1, func() { h.change(func(tx store.Tx) error { return tx.Put(key(ids[1]), []byte("?")) }) }},
		"a content":         {1, func() { h.must(os.Remove(first)) }},
		"a damaged content": {1, func() { h.must(flip(second, 40)) }},
		"all": {3, func() {
			h.change(func(tx store.Tx) error {
				return tx.Scan([]byte("dossier/"), store.After([]byte("dossier/")), func(k, _ []byte) error { return tx.Delete(bytes.Clone(k)) })
			})
		}},
	} {
		c.harm()
		if name == "a record" { // its number went with it
			h.change(func(tx store.Tx) error { return store.Save(tx, []byte("dossier/n"), 2) })
		}
		done, err := h.dossier.Adopt(t.Context(), h.home.ID, from, bring)
		if err != nil || done.Documents != c.brought || len(done.Problems) > 0 {
			t.Errorf("%s: %+v %v", name, done, err)
		}
		if got := h.contents(ids); !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
		if got, err := h.dossier.List(t.Context(), self(h.home), h.home.ID); err != nil || !reflect.DeepEqual(got, list) {
			t.Errorf("%s: listed %+v %v", name, got, err)
		}
		if again := h.filed(report("a"), pdf+"a"); again.ID != ids[0] {
			t.Errorf("%s: the same source is another document", name)
		}
		if problems, err := h.dossier.Verify(t.Context(), h.home.ID); err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", name, problems, err)
		}
	}
	if _, err := h.dossier.Adopt(t.Context(), "s/nobody", from, bring); !errs.Is(err, errs.NotFound) {
		t.Errorf("into no space: %v", err)
	}
}

// What is damaged in the copy too is left behind and told; a store that is
// away ends it.
func TestAdoptGoesAroundDamage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ids := h.three()
	slices.Sort(ids) // as they lie: the last blob is the last one's
	from, bring := h.backup()
	h.must(from.Update(t.Context(), h.home.ID, func(tx store.Tx) error { return tx.Put(key(ids[0]), []byte("?")) }))
	path := ""
	h.must(h.dossier.Blobs(t.Context(), h.home.ID, func(id blob.ID, _ int64) error {
		path = h.pathOf(id)
		return nil
	}))
	h.must(flip(path, 40))
	damaged, err := os.ReadFile(path)
	h.must(err)
	away := func(context.Context, blob.ID) error { return blob.ErrUnavailable }
	if _, err := h.dossier.Adopt(t.Context(), h.home.ID, from, away); !errs.Is(err, errs.Unavailable) {
		t.Errorf("away: %v", err)
	}
	none := func(context.Context, blob.ID) error { return blob.ErrNotFound }
	done, err := h.dossier.Adopt(t.Context(), h.home.ID, from, none)
	if err != nil || done.Documents != 0 || len(done.Problems) != 2 {
		t.Errorf("%+v %v", done, err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, damaged) {
		t.Errorf("what could not be replaced is gone: %v", err)
	}
	h.must(flip(path, 40))
	if done, err := h.dossier.Adopt(t.Context(), h.home.ID, from, bring); err != nil || done.Documents != 0 || len(done.Problems) != 1 {
		t.Errorf("%+v %v", done, err)
	}
}

// Around a damaged record the rest is listed, opened and filed; Rebuild takes
// it away and counts again.
func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		prefix string
		lost   int
		told   string
	}{
		{"dossier/d/", 1, "its record is damaged"},
		{"dossier/n", 0, "the number of documents is damaged"},
		{"dossier/s/", 0, "what a document came from"},
		{"dossier/l", 0, "the last listing"},
		{"dossier/r/", 0, "the last reading"},
	} {
		t.Run(c.prefix, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			ids := h.three()
			h.contents(ids)
			_, err := h.dossier.List(t.Context(), self(h.home), h.home.ID)
			h.must(err)
			h.spoil(c.prefix)
			problems, err := h.dossier.Verify(t.Context(), h.home.ID)
			if err != nil || len(problems) != 1 || !strings.Contains(problems[0].What, c.told) {
				t.Errorf("verify: %v %v", problems, err)
			}
			list, err := h.dossier.List(t.Context(), self(h.home), h.home.ID)
			if err != nil || len(list) != 3-c.lost {
				t.Errorf("%d listed, %v", len(list), err)
			}
			for _, d := range list {
				if _, err := h.content(self(h.home), d.ID); err != nil {
					t.Errorf("%s: %v", d.ID, err)
				}
			}
			h.filed(report("new"), pdf)
			h.filed(report("a"), pdf+"a")
			var out []string
			left, err := h.dossier.Export(t.Context(), h.home.ID, func(id string, size int64, content io.Reader) error {
				n, err := io.Copy(io.Discard, content)
				if n != size {
					t.Errorf("%d bytes, said to be %d", n, size)
				}
				out = append(out, id)
				return err
			})
			if err != nil || len(left) != c.lost || len(out) < 4-c.lost {
				t.Errorf("exported %d, left out %v, %v", len(out), left, err)
			}
			done, err := h.dossier.Rebuild(t.Context(), h.home.ID)
			if err != nil || done.Documents != len(out) || len(done.Problems) != c.lost {
				t.Errorf("%+v %v", done, err)
			}
			again, err := h.dossier.Rebuild(t.Context(), h.home.ID)
			if err != nil || again.Damaged > 0 {
				t.Errorf("again: %+v %v", again, err)
			}
			if c.lost == 0 {
				return
			}
			// Its content is nobody's now: the sweeper's.
			named := map[blob.ID]bool{}
			h.must(h.dossier.Blobs(t.Context(), h.home.ID, func(id blob.ID, _ int64) error { named[id] = true; return nil }))
			all, err := h.blobs.List(t.Context(), "", 100)
			h.must(err)
			for _, b := range all {
				if !named[b.ID] {
					h.must(h.blobs.Delete(t.Context(), b.ID))
				}
			}
		})
	}
}

// spoil changes the first record of a sort below the seal.
func (h *house) spoil(prefix string) {
	h.Helper()
	hit := false
	h.must(h.bare.Update(h.Context(), h.home.ID, func(tx store.Tx) error {
		hit = false
		return tx.Scan([]byte(prefix), store.After([]byte(prefix)), func(k, v []byte) error {
			hit = true
			v = bytes.Clone(v)
			v[len(v)-1] ^= 1
			return errors.Join(tx.Put(bytes.Clone(k), v), store.Stop)
		})
	}))
	if !hit {
		h.Fatalf("no record %s", prefix)
	}
}
