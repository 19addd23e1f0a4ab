package testenv_test

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"pli/cmd/pli/demo"
	"pli/internal/testenv"
)

// A random word is sent, answered, drafted and kept; afterwards no file of the
// instance contains it, while the server runs and after it stopped (D4, I1).
func TestCanary(t *testing.T) {
	t.Parallel()
	c := begin(t)
	word := testenv.Word()
	m := c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Sujet " + word, Text: "Corps " + word,
		Attachments: []demo.Attachment{{Type: "application/pdf", Name: word + ".pdf", Content: demo.PDF(word, []string{word})}}})
	c.Write(c.doctor.MailPassword, m)
	big := c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Gros " + word, Text: strings.Repeat("Corps "+word+"\n", 20_000)})
	c.Write(c.doctor.MailPassword, big)
	if err := c.holderWrites(c.doctor.Address, "Re: "+word); err != nil {
		t.Fatal(err)
	}
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	draft := "Subject: brouillon " + word + "\r\n\r\n" + word + "\r\n"
	appendCmd := client.Append("Drafts", int64(len(draft)), nil)
	appendCmd.Write([]byte(draft))
	appendCmd.Close()
	if _, err := appendCmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := client.Create("Dossier "+word, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if got := c.Mailbox(c.holder.Address, c.holder.MailPassword, "INBOX"); len(got) != 2 || !strings.Contains(got[0].Subject, word) {
		t.Fatalf("the word did not arrive: %+v", got)
	}
	scan(t, "while it runs", c.Dir, word)
	c.CheckStore()
	c.Stop()
	scan(t, "after it stopped", c.Dir, word)
}

// scan fails for each file below dir that contains word in UTF-8, UTF-16 or at
// any of the three alignments of base64.
func scan(t *testing.T, when, dir, word string) {
	t.Helper()
	forms := map[string][]byte{"UTF-8": []byte(word)}
	var le, be []byte
	for _, u := range utf16.Encode([]rune(word)) {
		le = append(le, byte(u), byte(u>>8))
		be = append(be, byte(u>>8), byte(u))
	}
	forms["UTF-16LE"], forms["UTF-16BE"] = le, be
	for shift := range 3 {
		enc := base64.StdEncoding.EncodeToString(append(make([]byte, shift), word...))
		forms["base64+"+string(rune('0'+shift))] = []byte(enc[4 : len(enc)-4])
	}
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for form, needle := range forms {
			if bytes.Contains(b, needle) {
				t.Errorf("%s: %s contains the word as %s", when, path, form)
			}
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%s: scanned %d files: %v", when, files, err)
	}
}
