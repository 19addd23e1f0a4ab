package signin_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pli/store"
	"pli/store/bolt"
	"pli/store/sealed"
)

// The whole story on a sealed store, closed and opened again; and no file of it
// holds a login, an address, a contact, a password or a code.
func TestOnASealedStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	master, err := sealed.CreateMaster(filepath.Join(dir, "master"))
	if err != nil {
		t.Fatal(err)
	}
	open := func() (store.DB, func()) {
		keysDB, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, "keys")})
		if err != nil {
			t.Fatal(err)
		}
		bare, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, "records")})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := sealed.OpenKeys(keysDB, master, sealed.KeysConfig{})
		if err != nil {
			t.Fatal(err)
		}
		return sealed.New(bare, keys, sealed.Config{}), func() { bare.Close(); keysDB.Close() }
	}
	db, shut := open()
	h := houseOn(t, db)
	owner := h.holder()
	secret := h.phone(owner, "my telephone")
	session := h.signIn()
	shut()

	db, shut = open()
	defer shut()
	h = houseOn(t, db)
	o, err := h.doors.Mail(t.Context(), paule, secret)
	h.must(err)
	if !opens(t, o.Keys, h.recipient(owner)) || !opens(t, h.signIn().Keys, h.recipient(owner)) {
		t.Error("the account's mail does not open")
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, what := range []string{goodLogin, goodPassword, secret, session.Token, paule, contact, "my telephone"} {
			if bytes.Contains(b, []byte(what)) {
				t.Errorf("%s holds %q", path, what)
			}
		}
		return err
	})
	h.must(err)
}
