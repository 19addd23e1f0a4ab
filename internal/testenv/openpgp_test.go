package testenv_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/engines"
	"pli/internal/testenv"
)

const keyPhrase = "une phrase à garder"

// A holder takes their key out in the portal and an export from the operator,
// and OpenPGP.js, which nobody here wrote, opens every message of it: small
// and large, in one chunk and in several, lying with the records and as a
// blob, and of the key before the activation as of the one after. Each is byte
// for byte what a mail client gets (issue 4, 10).
func TestExportOpensElsewhere(t *testing.T) {
	t.Parallel()
	for name, inline := range map[string]int64{"inline up to 256 KiB": 256 << 10, "blobs from 4 KiB": 4 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			openElsewhere(t, inline)
		})
	}
}

func openElsewhere(t *testing.T, inline int64) {
	c := begin(t, testenv.Configure(func(c *instance.Config) { c.InlineBytes = inline }))
	const ins = "185027500100265"
	if _, err := c.AddSpace(t.Context(), instance.SpaceAdd{INS: ins, Family: "PETIT", Given: "Jean", Sex: "M", Birth: "1985-02-10", State: "open", Contact: "jean@example.org"}); err != nil {
		t.Fatal(err)
	}
	c.holder = demo.Holder{Address: ins + "@patient.pli.test", Login: "jean.petit", Password: demoPassword}
	c.sizes("avant")
	s, err := c.ActivateSpace(t.Context(), instance.SpaceActivate{INS: ins, Login: c.holder.Login, Password: c.holder.Password})
	if err != nil {
		t.Fatal(err)
	}
	c.holder.MailPassword = s.MailPassword
	c.sizes("après")
	c.arrange()
	if err := c.holderWrites(c.doctor.Address, "Merci"); err != nil {
		t.Fatal(err)
	}
	if r := c.CheckStore(); r.Blobs < 2 || r.Messages <= r.Blobs {
		t.Fatalf("not both inline and in blobs: %+v", r)
	}
	before := c.Seen()
	v := c.enter()
	got := c.openedElsewhere(v, c.holder.MailPassword)
	if len(got.Keys) != 2 || !slices.Equal(got.Version, []int{6, 6}) {
		t.Errorf("the keys: %+v", got)
	}
	v.mustShow("/trace", "Vous avez téléchargé la clé qui ouvre vos messages")
	if c.told(before, "X-Pli-Notice: key") != 1 {
		t.Error("no notice of the key went out")
	}
	for _, key := range got.Keys {
		if of := got.sealedTo(key); of < 3 {
			t.Errorf("%d messages are sealed to key %s", of, key)
		}
	}
	doctor := c
	doctor.holder = demo.Holder{Address: c.doctor.Address, Login: c.doctor.Login, Password: c.doctor.Password}
	doctor.openedElsewhere(doctor.enter(), c.doctor.MailPassword)
}

// sizes has messages come that are sealed in one chunk (64 KiB) and in several.
func (c correspondence) sizes(when string) {
	c.T.Helper()
	for subject, lines := range map[string]int{"petit": 1, "moyen": 600, "deux morceaux": 3_000, "gros": 20_000} {
		c.Write(c.doctor.MailPassword, demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: subject + " " + when,
			Text: strings.Repeat("Une ligne de ce compte rendu.\r\n", lines)})
	}
}

// arrange does with the mail what a client does: a draft, a folder, a copy, flags.
func (c correspondence) arrange() {
	c.T.Helper()
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	do := func(what string, err error) {
		if err != nil {
			c.T.Fatalf("%s: %v", what, err)
		}
	}
	draft := "Subject: Brouillon\r\n\r\nÀ finir\r\n"
	a := client.Append("Drafts", int64(len(draft)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagDraft}, Time: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)})
	a.Write([]byte(draft))
	do("APPEND", a.Close())
	_, err := a.Wait()
	do("APPEND", err)
	do("CREATE", client.Create("Santé/Été", nil).Wait())
	_, err = client.Select("INBOX", nil).Wait()
	do("SELECT", err)
	do("STORE", client.Store(imap.SeqSetNum(2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, "a-revoir"}}, nil).Close())
	_, err = client.Copy(imap.SeqSetNum(1, 2, 5), "Santé/Été").Wait()
	do("COPY", err)
	do("LOGOUT", client.Logout().Wait())
}

// openedExport is what another program found of an export.
type openedExport struct {
	Keys    []string            `json:"keys"` // the encryption key's id of each generation, newest first
	Version []int               `json:"version"`
	Files   map[string][]string `json:"files"` // to which keys each is sealed
}

func (e openedExport) sealedTo(key string) (n int) {
	for file, to := range e.Files {
		if strings.HasPrefix(file, "mail/") && slices.Contains(to, key) {
			n++
		}
	}
	return n
}

// openedElsewhere takes an account's key out in the portal, exports the account
// and opens the export with OpenPGP.js: what it finds must be what a mail
// client is given.
func (c correspondence) openedElsewhere(v visitor, mailPassword string) openedExport {
	t := c.T
	t.Helper()
	dir := t.TempDir()
	keyFile, from, to := filepath.Join(dir, "pli-key.asc"), filepath.Join(dir, "export"), filepath.Join(dir, "opened")
	key := v.fill("/account/key", "/account/key", url.Values{"present": {c.holder.Password}, "phrase": {keyPhrase}, "again": {keyPhrase}})
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := c.Export(t.Context(), instance.ExportArgs{Sealed: true, Address: c.holder.Address, To: from})
	if err != nil || len(r.Problems) > 0 {
		t.Fatalf("export: %+v, %v", r, err)
	}
	found := openpgpjs(t, keyFile, keyPhrase, from, to)
	if len(found.Files) != r.Messages+1 { // and the sealed manifest
		t.Errorf("%d of %d files were opened", len(found.Files), r.Messages+1)
	}
	c.compare(to, r.Messages, mailPassword)
	return found
}

// openpgpjs opens every sealed file of a folder with OpenPGP.js into another.
func openpgpjs(t testing.TB, keyFile, passphrase, from, to string) (found openedExport) {
	t.Helper()
	home := filepath.Join(engines.Root(), "internal", "testenv", "openpgpjs")
	node := testenv.Tool(t, "node")
	if _, err := os.Stat(filepath.Join(home, "node_modules", "openpgp")); err != nil {
		engines.Missing(t, "OpenPGP.js")
	}
	cmd := exec.Command(node, filepath.Join(home, "open.mjs"), keyFile, from, to)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(passphrase), &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		t.Fatalf("OpenPGP.js: %v\n%s%s", err, out, stderr.String())
	}
	return found
}

// compare holds what was opened against what a mail client gets: names of
// folders, flags, dates and every byte.
func (c correspondence) compare(opened string, messages int, mailPassword string) {
	t := c.T
	t.Helper()
	var manifest struct {
		Messages []struct {
			File, Folder string
			Flags        []string
			Date         time.Time
		}
	}
	b, err := os.ReadFile(filepath.Join(opened, "manifest.pgp"))
	if err == nil {
		err = json.Unmarshal(b, &manifest)
	}
	if err != nil || len(manifest.Messages) != messages || messages == 0 {
		t.Fatalf("the sealed manifest tells of %d messages of %d: %v", len(manifest.Messages), messages, err)
	}
	boxes, left := boxesOf(c.Env, c.holder.Address, mailPassword), 0
	for _, box := range boxes {
		left += len(box.Letters)
	}
	for _, m := range manifest.Messages {
		b, err := os.ReadFile(filepath.Join(opened, filepath.FromSlash(m.File)))
		if err != nil {
			t.Fatal(err)
		}
		uid := strings.TrimSuffix(filepath.Base(m.File), ".pgp")
		at := slices.IndexFunc(boxes[m.Folder].Letters, func(l keptLetter) bool { return uid == fmt.Sprint(l.UID) })
		if at < 0 {
			t.Errorf("%s: %s has no message %s", m.File, m.Folder, uid)
			continue
		}
		left--
		slices.Sort(m.Flags)
		if l := boxes[m.Folder].Letters[at]; l.SHA256 != digest(string(b)) || !slices.Equal(l.Flags, m.Flags) || m.Date.IsZero() {
			t.Errorf("%s, %d bytes, flags %v, of %v: a mail client gets %+v", m.File, len(b), m.Flags, m.Date, l)
		}
	}
	if left != 0 {
		t.Errorf("%d messages that a mail client gets were not exported", left)
	}
}

// told counts the notices since then that have words.
func (c correspondence) told(before map[string]bool, words string) (n int) {
	c.T.Helper()
	for _, name := range c.Outbox() {
		b, err := os.ReadFile(filepath.Join(c.File.Outbox, name))
		if err != nil {
			c.T.Fatal(err)
		}
		if !before[name] && strings.Contains(string(b), words) {
			n++
		}
	}
	return n
}
