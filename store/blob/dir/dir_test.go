package dir_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pli/store/blob"
	"pli/store/blob/blobtest"
	"pli/store/blob/dir"
	"pli/store/storetest"
)

func open(t testing.TB, path string) *dir.Store {
	t.Helper()
	s, err := dir.Open(path, dir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t testing.TB) blob.Store { return open(t, t.TempDir()) })
}

// TestCrash: what was acknowledged is whole, what was not finished is gone
// once the store is open again.
func TestCrash(t *testing.T) {
	t.Parallel()
	storetest.Kill(t, func(path string, ack func(string)) {
		blobtest.Write(t, open(t, path), ack)
	}, func(path string, acks []string) {
		s := open(t, path)
		blobtest.Check(t, s, acks)
		if left, err := os.ReadDir(filepath.Join(path, "tmp")); len(left) != 0 || err != nil {
			t.Errorf("%d unfinished files are left, %v", len(left), err)
		}
		found, err := s.List(context.Background(), "", 1<<20)
		for _, info := range found { // so that the next round has less to read
			err = errors.Join(err, s.Delete(context.Background(), info.ID))
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestForeignFiles: what is no blob is neither listed nor touched.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	s := open(t, path)
	strange := []string{"README", "ab/cd/notes.txt", "ab/cd/0123456789abcdef0123456789abcdef", "ab/file", "zz/zz/x", "lost+found/aa/x"}
	for _, name := range strange {
		if err := os.MkdirAll(filepath.Join(path, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := s.List(context.Background(), "", 10); len(found) != 0 || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	open(t, path)
	for _, name := range strange {
		if _, err := os.Stat(filepath.Join(path, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestModes: nobody else on the machine reads blobs, and a commit leaves no
// temporary file.
func TestModes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "blobs")
	w, err := open(t, path).Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	err = filepath.Walk(path, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if err == nil && !info.IsDir() && filepath.Base(filepath.Dir(path)) == "tmp" {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestFull: a full disk has its own error, and what was begun leaves nothing.
func TestFull(t *testing.T) {
	t.Parallel()
	storetest.Full(t, 1<<20, func(path string) {
		s := open(t, path)
		w, err := s.Create(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.Write(make([]byte, 2<<20)); !errors.Is(err, blob.ErrFull) {
			t.Errorf("a write to a full disk: %v", err)
		}
		if _, err := w.Commit(); !errors.Is(err, blob.ErrFull) {
			t.Errorf("a commit after a failed write: %v", err)
		}
		if left, err := os.ReadDir(filepath.Join(path, "tmp")); len(left) != 0 || err != nil {
			t.Errorf("%d files are left, %v", len(left), err)
		}
	})
}
