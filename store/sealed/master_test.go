package sealed_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pli/store/sealed"
)

func TestMaster(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master")
	made, err := sealed.CreateMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := sealed.CreateMaster(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second key in the same place: %v", err)
	}
	loaded, err := sealed.LoadMaster(path)
	if err != nil {
		t.Fatal(err)
	}
	if made.Derive("a") != loaded.Derive("a") {
		t.Error("another key is loaded than was made")
	}
	if made.Derive("a") == made.Derive("b") || made.Derive("") == [32]byte{} {
		t.Error("two purposes share a key")
	}
	if shown := fmt.Sprintf("%v|%+v|%#v|%s", made, made, made, *made); shown != "master key|master key|master key|master key" {
		t.Errorf("a master key prints itself: %s", shown)
	}
}

// TestMasterRefused: who else may read it has it, so it must not be used.
func TestMasterRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := sealed.LoadMaster(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	path := filepath.Join(dir, "master")
	if _, err := sealed.CreateMaster(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o610, 0o602} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.LoadMaster(path); err == nil || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "cut": string(good[:len(good)-2]), "no newline": string(good[:len(good)-1]),
		"longer": string(good) + "\n", "other words": "x" + string(good[1:]),
		"not hexadecimal": strings.Replace(string(good), string(good[30]), "g", -1),
	} {
		path := filepath.Join(dir, "bad "+name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.LoadMaster(path); err == nil {
			t.Errorf("%s: taken for a master key", name)
		}
	}
}
