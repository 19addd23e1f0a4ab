package instance

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pli/certs/keyring"
	"pli/mailbox"
	"pli/store"
)

// Names that a holder has given, flags and dates lie in the sealed manifest
// alone; a public key that is damaged costs that one, and nothing else.
func TestExportTellsNobodyElse(t *testing.T) {
	t.Parallel()
	a := newActive(t)
	ctx := t.Context()
	acc, done := a.open1()
	a.must(acc.Create(ctx, "Oncologie/2026", ""))
	v, err := acc.Select(ctx, mailbox.Inbox, false)
	a.must(err)
	_, err = v.Store(ctx, []mailbox.UID{2}, mailbox.FlagsAdd, []mailbox.Flag{"vih"}, 0)
	a.must(err)
	_, err = v.Copy(ctx, []mailbox.UID{2}, "Oncologie/2026")
	a.must(err)
	v.Close()
	done()
	to := filepath.Join(t.TempDir(), "out")
	r, err := a.Export(ctx, ExportArgs{Sealed: true, Address: a.holder, To: to})
	if err != nil || r.Messages != lettersThere+3 || len(r.Problems) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	open, err := os.ReadFile(filepath.Join(to, "manifest.json"))
	a.must(err)
	files := tree(t, to)
	for _, word := range []string{"Oncologie", "vih", "Seen"} {
		if strings.Contains(string(open)+files, word) {
			t.Errorf("%q lies open:\n%s\n%s", word, open, files)
		}
	}
	if !strings.Contains(files, "mail/INBOX/2.pgp") || !strings.Contains(files, "mail/folder-") {
		t.Errorf("the files: %s", files)
	}
	var m sealedManifest
	a.must(json.Unmarshal(a.opened(filepath.Join(to, "manifest.pgp")), &m))
	found := false
	for _, l := range m.Messages {
		if _, err := os.Stat(filepath.Join(to, l.File)); err != nil || l.Date.IsZero() {
			t.Errorf("%+v: %v", l, err)
		}
		found = found || l.Folder == "Oncologie/2026" && len(l.Flags) == 1 && l.Flags[0] == "vih"
	}
	if len(m.Messages) != r.Messages || !found {
		t.Errorf("the sealed manifest: %+v", m)
	}

	a.must(a.db.Update(ctx, a.owner, func(tx store.Tx) error { // a public key that both records of it have lost
		return errors.Join(tx.Put([]byte("signin/recipient"), []byte("damaged")), tx.Put([]byte("signin/ring"), []byte("damaged")))
	}))
	again := filepath.Join(t.TempDir(), "again")
	r, err = a.Export(ctx, ExportArgs{Sealed: true, Address: a.holder, To: again})
	if err != nil || r.Messages != lettersThere+3 || len(r.Problems) != 1 || r.Problems[0].Object != "manifest.pgp" {
		t.Errorf("with a damaged key: %+v, %v", r, err)
	}
	if files := tree(t, again); strings.Contains(files, "manifest.pgp") || !strings.Contains(files, "manifest.json") {
		t.Errorf("the files: %s", files)
	}
}

// opened returns what a file of an export holds, by the holder's key.
func (a *active) opened(file string) []byte {
	a.t.Helper()
	b, err := os.ReadFile(file)
	a.must(err)
	keys, err := a.signin.Unlock(a.t.Context(), a.owner, "Une-phrase-assez-longue-7")
	a.must(err)
	defer keys.Wipe()
	key, err := keys.Unwrap(b[:keyring.WrapSize])
	a.must(err)
	plain, err := key.Open(b[keyring.WrapSize:])
	a.must(err)
	return plain
}

// tree lists the files below a folder, one a line.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		list = append(list, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}
