package testenv_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// A random word is sent, answered, drafted, filed, searched for and kept, by
// mail clients and in the portal; afterwards no file of the instance or of its
// backup contains it, nor does its log, while the server runs and after it stopped (D4, I1).
func TestCanary(t *testing.T) {
	t.Parallel()
	log := new(logged)
	c := begin(t, func(o *demo.Options) {
		o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
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
	c.portal(word)
	r, err := c.Backup(t.Context(), instance.BackupArgs{To: filepath.Join(c.Dir, "backup"), Keys: filepath.Join(c.Dir, "data.keys")})
	if err != nil || r.Blobs == 0 || len(r.Problems) > 0 {
		t.Fatalf("backup: %+v, %v", r, err)
	}
	c.scan("while it runs", word, log)
	c.CheckStore()
	c.Stop()
	c.scan("after it stopped", word, log)
}

// logged keeps what the server logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// portal signs the holder in to the portal, files the first attachment under a
// title with the word, searches for it, keeps a draft with it, and answers.
func (c correspondence) portal(word string) {
	c.T.Helper()
	v := c.enter()
	v.mustShow("/mail/inbox/1", word)
	filed := v.fill("/mail/inbox/1/file/2", "/mail/inbox/1/file/2", url.Values{"title": {"Titre " + word}, "type": {"11502-2"}})
	if !strings.Contains(filed, "Titre "+word) {
		c.T.Fatal("the attachment was not filed under the word")
	}
	v.mustShow("/dossier", word)
	v.mustShow("/mail/inbox?q="+word, "/mail/inbox/1")
	v.fill("/mail/inbox/1/reply", "/write/draft", url.Values{"subject": {"Projet " + word}, "text": {"Projet " + word}})
	v.mustShow("/mail/drafts", "Projet "+word)
	v.fill("/mail/inbox/1/reply", "/write/send", url.Values{"subject": {"Réponse " + word}, "text": {"Réponse " + word}})
	v.mustShow("/mail/sent", "Réponse "+word)
	if got := c.Mailbox(c.doctor.Address, c.doctor.MailPassword, "INBOX"); len(got) != 2 || !strings.Contains(got[1].Subject, word) {
		c.T.Fatalf("the answer did not arrive: %+v", got)
	}
	v.mustShow("/trace", "Titre "+word)
}

// formsOf returns a word in UTF-8, UTF-16 and at each of the three alignments
// of base64.
func formsOf(word string) map[string][]byte {
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
	return forms
}

// scan fails for each file below the instance's folder, its outbox among them,
// and below those of the servers that keep its stores, that contains the word, and for the log if it does.
func (c correspondence) scan(when, word string, log *logged) {
	t := c.T
	t.Helper()
	forms, files, notices := formsOf(word), 0, 0
	look := func(name string, b []byte) {
		for form, needle := range forms {
			if bytes.Contains(b, needle) {
				t.Errorf("%s: %s contains the word as %s", when, name, form)
			}
		}
	}
	visit := func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a server's file that has gone meanwhile
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files++
		if filepath.Dir(path) == filepath.Clean(c.File.Outbox) {
			notices++
		}
		look(path, b)
		return nil
	}
	err := filepath.WalkDir(c.Dir, visit)
	for _, dir := range testenv.ServerFolders(t) {
		err = errors.Join(err, filepath.WalkDir(dir, visit))
	}
	if err != nil || files < 5 || notices == 0 {
		t.Errorf("%s: scanned %d files, %d of the outbox: %v", when, files, notices, err)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.b.Len() == 0 {
		t.Errorf("%s: nothing was logged", when)
	}
	look("the log", log.b.Bytes())
}
