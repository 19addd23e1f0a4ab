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

	"github.com/emersion/go-imap/v2"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// A random word is sent, answered, drafted, appended, filed, searched for,
// kept, named after, refused and exported, by mail clients and in the portal;
// afterwards no file of the instance, of its backup or of the export contains
// it, nor does its log down to the least line, its metrics, or what the
// operator's verbs tell, while the server runs and after it stopped (D4, I1;
// issue 4, 6). Crashes: TestCrashTellsNothing. There is no quarantine and no
// queue of outgoing mail yet: they join this story when they are built.
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
	c.client(word)
	c.refused(word)
	if got := c.Mailbox(c.holder.Address, c.holder.MailPassword, "INBOX"); len(got) != 2 || !strings.Contains(got[0].Subject, word) {
		t.Fatalf("the word did not arrive: %+v", got)
	}
	c.portal(word)
	export, err := c.Export(t.Context(), instance.ExportArgs{Sealed: true, Address: c.holder.Address, To: filepath.Join(c.Dir, "export")})
	if err != nil || export.Messages < 9 || export.Documents != 1 || len(export.Problems) > 0 {
		t.Fatalf("export: %+v, %v", export, err)
	}
	r, err := c.Backup(t.Context(), instance.BackupArgs{To: filepath.Join(c.Dir, "backup"), Keys: filepath.Join(c.Dir, "data.keys")})
	if err != nil || r.Blobs == 0 || len(r.Problems) > 0 {
		t.Fatalf("backup: %+v, %v", r, err)
	}
	c.scan("while it runs", word, log)
	mustNotHave(t, "the metrics", []byte(metricsOf(c.Env)), word)
	c.verbs("while it runs", word)
	c.CheckStore()
	c.Stop()
	c.verbs("after it stopped", word)
	c.scan("after it stopped", word, log)
}

// client does all that a mail client does with a word: keeps a draft and what
// it sent, appends, names a folder and a keyword after it, copies, and searches
// for it in every way.
func (c correspondence) client(word string) {
	c.T.Helper()
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	do := func(what string, err error) {
		if err != nil {
			c.T.Fatalf("%s: %v", what, err)
		}
	}
	folder := "Dossier " + word + "/" + word
	do("CREATE", client.Create(folder, nil).Wait())
	do("CREATE", client.Create("Autre "+word, nil).Wait())
	do("RENAME", client.Rename("Autre "+word, "Encore "+word, nil).Wait())
	do("SUBSCRIBE", client.Subscribe("Encore "+word).Wait())
	text := "Subject: " + word + "\r\n\r\n" + word + "\r\n"
	for _, box := range []string{"Drafts", "Sent", folder} {
		a := client.Append(box, int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen, imap.Flag(word)}})
		a.Write([]byte(text))
		do("APPEND", a.Close())
		_, err := a.Wait()
		do("APPEND", err)
	}
	_, err := client.Select("INBOX", nil).Wait()
	do("SELECT", err)
	do("STORE", client.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.Flag(word)}}, nil).Close())
	_, err = client.Copy(imap.SeqSetNum(1, 2), folder).Wait()
	do("COPY", err)
	for what, by := range map[string]imap.SearchCriteria{
		"TEXT":    {Text: []string{word}},
		"BODY":    {Body: []string{word}},
		"SUBJECT": {Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: word}}},
		"KEYWORD": {Flag: []imap.Flag{imap.Flag(word)}},
	} {
		found, err := client.Search(&by, nil).Wait()
		do("SEARCH "+what, err)
		if len(found.AllSeqNums()) == 0 {
			c.T.Fatalf("SEARCH %s does not find the word", what)
		}
	}
	s, err := client.Status(folder, &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil || *s.NumMessages != 3 {
		c.T.Fatalf("STATUS: %+v, %v", s, err)
	}
	do("LOGOUT", client.Logout().Wait())
}

// refused says the word where the server says no: what is refused is often
// what is logged.
func (c correspondence) refused(word string) {
	c.T.Helper()
	client := c.IMAP(c.holder.Address, c.holder.MailPassword)
	_, err := client.Select("Absent "+word, nil).Wait()
	refusals := map[string]error{"SELECT": err, "DELETE": client.Delete(word).Wait(), "LOGIN": nil, "RCPT": nil, "submission": nil}
	raw := c.RawTLS(c.File.IMAPS)
	if answer := raw.Say("a LOGIN "+word+"@patient.pli.test "+word+"\r\n", "a "); !strings.Contains(answer, "a OK") {
		refusals["LOGIN"] = errors.New(answer)
	}
	raw.Say("b "+word+" "+word+"\r\n", "b BAD")
	refusals["RCPT"] = c.Submit(c.doctor.Address, c.doctor.MailPassword, []string{word + "@patient.pli.test"}, []byte("Subject: "+word+"\r\n\r\n"+word))
	refusals["submission"] = c.holderWrites(c.File.Professionals[1].Address, word)
	refusals["headers"] = c.Submit(c.doctor.Address, c.doctor.MailPassword, []string{c.holder.Address},
		[]byte("From: "+word+"@medecin.pli.test\r\nSubject: "+word+"\r\n\r\n"+word))
	refusals["peer"] = c.Deliver(word+"@medecin.pli.test", []string{c.holder.Address}, []byte("Subject: "+word+"\r\n\r\n"+word))
	for what, err := range refusals {
		if err == nil {
			c.T.Errorf("%s with the word is not refused", what)
		}
	}
	v := c.enter()
	for _, path := range []string{"/" + word, "/mail/" + word, "/mail/inbox/" + word, "/dossier/" + word, "/static/" + word + "/" + word} {
		if status := v.status(path); status < 400 {
			c.T.Errorf("%s: %d", path, status)
		}
	}
	resp, err := v.client.PostForm(c.File.Web+"/sign-in", url.Values{"login": {word}, "password": {word}, "next": {"/" + word}})
	if err != nil {
		c.T.Fatal(err)
	}
	resp.Body.Close()
}

// verbs runs the operator's verbs that look at everything: none tells the word.
func (c correspondence) verbs(when, word string) {
	c.T.Helper()
	for _, verb := range []string{"verify --json", "verify", "keep status --json", "keep status", "keep sweep --json", "key status --json", "space list --json", "member list --json", "domain list --json"} {
		out, code := pli(c.T.(*testing.T), append(strings.Fields(verb), "--config", c.config())...)
		if code != 0 || len(out) < 10 {
			c.T.Errorf("%s: pli %s: exit %d: %s", when, verb, code, out)
		}
		mustNotHave(c.T, when+": pli "+verb, []byte(out), word)
	}
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

// text returns what was logged up to now.
func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
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
// and below those of the servers that keep its stores, that contains the word,
// and for the log if it does.
func (c correspondence) scan(when, word string, log *logged) {
	t := c.T
	t.Helper()
	if n := scanFiles(t, when, word, append(testenv.ServerFolders(t), c.Dir)...); n < 5 || len(c.Outbox()) == 0 {
		t.Errorf("%s: scanned %d files, %d of the outbox", when, n, len(c.Outbox()))
	}
	text := log.text()
	if !strings.Contains(text, "level=DEBUG") && !strings.Contains(text, "level=INFO") {
		t.Errorf("%s: nothing was logged: %s", when, text)
	}
	mustNotHave(t, when+": the log", []byte(text), word)
}

// scanFiles fails the test for each file below some folders that has the word
// in it or in its name, and returns how many there are.
func scanFiles(t testing.TB, when, word string, dirs ...string) (files int) {
	t.Helper()
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
		files++
		mustNotHave(t, when+": "+path, append(b, path...), word)
		return err
	}
	for _, dir := range dirs {
		if err := filepath.WalkDir(dir, visit); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	return files
}
