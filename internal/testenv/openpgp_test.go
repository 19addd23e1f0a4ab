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
// blob, and of the keys before the activation, after it, and after a rotation.
// Each is byte for byte what a mail client gets (issue 4, 10).
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
	c.renew()
	if r := c.CheckStore(); r.Blobs < 2 || r.Messages <= r.Blobs {
		t.Fatalf("not both inline and in blobs: %+v", r)
	}
	early := c.exported() // nobody has signed in, so nothing is sealed anew yet
	c.arrange()
	if err := c.holderWrites(c.doctor.Address, "Merci"); err != nil {
		t.Fatal(err)
	}
	before := c.Seen()
	v := c.enter()
	key := v.keyFile()
	v.mustShow("/trace", "Vous avez téléchargé la clé qui ouvre vos messages")
	c.awaitNotice(before, "X-Pli-Notice: key")
	found := c.openedElsewhere(key, early, false)
	if len(found.Keys) != 3 || !slices.Equal(found.Version, []int{6, 6, 6}) {
		t.Errorf("the keys: %+v", found)
	}
	for _, key := range found.Keys {
		if n := found.sealedTo(key); n != 4 {
			t.Errorf("%d messages are sealed to key %s", n, key)
		}
	}
	c.openedElsewhere(key, c.exported(), true)

	c.holder = demo.Holder{Address: c.doctor.Address, Login: c.doctor.Login, Password: c.doctor.Password, MailPassword: c.doctor.MailPassword}
	c.openedElsewhere(c.enter().keyFile(), c.exported(), true) // a professional's mailbox leaves as well
}

// renew makes the holder one to whom mail came before they had a sign-in, then
// with their first keys, then after these were renewed.
func (c *correspondence) renew() {
	c.T.Helper()
	const ins = "185027500100265"
	ctx := c.T.Context()
	if _, err := c.AddSpace(ctx, instance.SpaceAdd{INS: ins, Family: "PETIT", Given: "Jean", Sex: "M", Birth: "1985-02-10", State: "open", Contact: "jean@example.org"}); err != nil {
		c.T.Fatal(err)
	}
	c.holder = demo.Holder{Address: ins + "@patient.pli.test", Login: "jean.petit", Password: demoPassword}
	c.sizes("avant")
	s, err := c.ActivateSpace(ctx, instance.SpaceActivate{INS: ins, Login: c.holder.Login, Password: c.holder.Password})
	if err != nil {
		c.T.Fatal(err)
	}
	c.holder.MailPassword = s.MailPassword
	c.sizes("après")
	if r, err := c.RotateKeys(ctx, instance.KeyRotate{Address: c.holder.Address}); err != nil || r.Accounts != 1 {
		c.T.Fatalf("rotation: %+v, %v", r, err)
	}
	c.sizes("renouvelé")
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

// keyFile takes the account's key out and returns its file.
func (v visitor) keyFile() string {
	v.T.Helper()
	file := filepath.Join(v.T.TempDir(), "pli-key.asc")
	key := v.fill("/account/key", "/account/key", url.Values{"present": {v.holder.Password}, "phrase": {keyPhrase}, "again": {keyPhrase}})
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		v.T.Fatal(err)
	}
	return file
}

// exported exports the account and returns the folder.
func (c correspondence) exported() string {
	c.T.Helper()
	to := filepath.Join(c.T.TempDir(), "export")
	r, err := c.Export(c.T.Context(), instance.ExportArgs{Sealed: true, Address: c.holder.Address, To: to})
	if err != nil || r.Messages == 0 || len(r.Problems) > 0 {
		c.T.Fatalf("export: %+v, %v", r, err)
	}
	return to
}

// openedElsewhere opens an export with OpenPGP.js: what it finds must be what a
// mail client is given, and, of an export of now, all of it.
func (c correspondence) openedElsewhere(keyFile, export string, now bool) openedExport {
	c.T.Helper()
	to := filepath.Join(c.T.TempDir(), "opened")
	found := openpgpjs(c.T, keyFile, keyPhrase, export, to)
	c.compare(to, len(found.Files)-1, now) // one is the manifest
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

// compare holds what was opened against what a mail client gets: folders and
// every byte, and, of an export of now, flags and that nothing is left out.
func (c correspondence) compare(opened string, messages int, now bool) {
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
		t.Fatalf("the sealed manifest tells of %d messages, %d were opened: %v", len(manifest.Messages), messages, err)
	}
	boxes, left := boxesOf(c.Env, c.holder.Address, c.holder.MailPassword), 0
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
		l := boxes[m.Folder].Letters[at]
		if l.SHA256 != digest(string(b)) || now && !slices.Equal(l.Flags, m.Flags) || m.Date.IsZero() {
			t.Errorf("%s, %d bytes, flags %v, of %v: a mail client gets %+v", m.File, len(b), m.Flags, m.Date, l)
		}
	}
	if now && left != 0 {
		t.Errorf("%d messages that a mail client gets were not exported", left)
	}
}

// awaitNotice waits for a notice with some words among those that have come
// since.
func (c correspondence) awaitNotice(before map[string]bool, words string) {
	c.T.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, name := range c.Outbox() {
			if b, err := os.ReadFile(filepath.Join(c.File.Outbox, name)); err == nil && !before[name] && strings.Contains(string(b), words) {
				return
			}
		}
	}
	c.T.Fatalf("no notice with %q went out", words)
}
