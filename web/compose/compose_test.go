package compose_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"pli/web/compose"
)

func sample() compose.Letter {
	return compose.Letter{
		From:    compose.Person{Name: "Camille ROUX", Address: "279035121518989@patient.pli.test"},
		To:      []compose.Person{{Name: "Dr Éloïse D'Ângelo, \"cardio\"", Address: "eloise@medecin.pli.test"}},
		Subject: "Re: Résultats – glycémie à jeun, et une suite assez longue pour devoir être pliée en plusieurs mots encodés",
		Date:    time.Date(2026, 3, 3, 14, 2, 0, 0, time.UTC), MessageID: "abc@patient.pli.test",
		InReplyTo: "x@medecin.pli.test", References: []string{"w@medecin.pli.test", "x@medecin.pli.test"},
		Text: "Bonjour,\n\nmerci.\r\n.\r\nÀ bientôt =\n", Boundary: "b0undary",
	}
}

type file struct {
	name, kind string
	content    []byte
}

func written(t *testing.T, l compose.Letter, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := compose.NewWriter(&b, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := w.Attach(f.name, f.kind, bytes.NewReader(f.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// RFC 5322 2.1.1 and 2.3: lines end in CRLF, none is longer than 998.
	for i, line := range strings.Split(b.String(), "\r\n") {
		if strings.ContainsAny(line, "\r\n") || len(line) > 998 {
			t.Errorf("line %d is bare or too long: %q", i, line)
		}
	}
	return b.Bytes()
}

func TestALetterReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	l := sample()
	m, err := mail.ReadMessage(bytes.NewReader(written(t, l)))
	if err != nil {
		t.Fatal(err)
	}
	var dec mime.WordDecoder
	subject, err := dec.DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != l.Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Name != l.To[0].Name || to[0].Address != l.To[0].Address {
		t.Errorf("to %v, %v", to, err)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Address != l.From.Address || from[0].Name != l.From.Name {
		t.Errorf("from %v, %v", from, err)
	}
	if at, err := m.Header.Date(); err != nil || !at.Equal(l.Date) {
		t.Errorf("date %v, %v", at, err)
	}
	if m.Header.Get("In-Reply-To") != "<x@medecin.pli.test>" || m.Header.Get("References") != "<w@medecin.pli.test> <x@medecin.pli.test>" {
		t.Errorf("%v", m.Header)
	}
	if m.Header.Get("X-MSS-MES") != "" {
		t.Error("the exchange ends unasked")
	}
	text, _ := io.ReadAll(quotedprintable.NewReader(m.Body))
	if got := strings.TrimSuffix(string(text), "\r\n"); got != "Bonjour,\r\n\r\nmerci.\r\n.\r\nÀ bientôt =\r\n" {
		t.Errorf("%q", got)
	}
}

func TestAttachmentsArriveWhole(t *testing.T) {
	t.Parallel()
	l := sample()
	l.Ends = true
	files := []file{
		{"Résultats du 3 mars.pdf", "application/pdf", bytes.Repeat([]byte("%PDF é"), 5000)},
		{"vide.txt", "text/plain; charset=utf-8", nil},
		{strings.Repeat("long é", 80) + ".png", "image/png", []byte("x")},
	}
	m, err := mail.ReadMessage(bytes.NewReader(written(t, l, files...)))
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("X-MSS-MES") != "FIN" { // ECO.2.2.8
		t.Error("X-MSS-MES is missing")
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	if p, err := r.NextPart(); err != nil || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%v", err)
	}
	for i, f := range files {
		p, err := r.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
		if err != nil || !bytes.Equal(b, f.content) {
			t.Errorf("file %d: %d bytes, %v", i, len(b), err)
		}
		if name := p.FileName(); name != f.name && !(i == 2 && strings.HasPrefix(f.name, name) && len(name) > 50) {
			t.Errorf("file %d is named %q", i, name)
		}
	}
	if _, err := r.NextPart(); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
}

func TestOddSubjectsArriveWhole(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{"", "plain", "=?utf-8?q?not_a_word?=", strings.Repeat("a long line ", 200), strings.Repeat("é", 300)} {
		l := sample()
		l.Subject = subject
		m, err := mail.ReadMessage(bytes.NewReader(written(t, l)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil || strings.TrimSpace(got) != strings.TrimSpace(subject) {
			t.Errorf("%q, want %q (%v)", got, subject, err)
		}
	}
}

// Mime4J and others: a line break in a value would make a header of its own.
func TestNothingCanAddAHeader(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*compose.Letter){
		"subject":     func(l *compose.Letter) { l.Subject = "a\r\nBcc: x@y" },
		"bare LF":     func(l *compose.Letter) { l.Subject = "a\nBcc: x@y" },
		"sender name": func(l *compose.Letter) { l.From.Name = "a\rb" },
		"name":        func(l *compose.Letter) { l.To[0].Name = "a\x00" },
		"address":     func(l *compose.Letter) { l.To[0].Address = "a@b\r\nX: y" },
		"reference":   func(l *compose.Letter) { l.References[0] = "a\n" },
		"reply":       func(l *compose.Letter) { l.InReplyTo = "a\n" },
		"invalid":     func(l *compose.Letter) { l.Subject = "\xff" },
	} {
		l := sample()
		l.To = []compose.Person{l.To[0]}
		change(&l)
		if _, err := compose.NewWriter(io.Discard, l); !errors.Is(err, compose.ErrHeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := compose.NewWriter(io.Discard, compose.Letter{}); !errors.Is(err, compose.ErrEmpty) {
		t.Errorf("no sender: %v", err)
	}
}

func TestAFailingFileBreaksTheLetterOff(t *testing.T) {
	t.Parallel()
	w, err := compose.NewWriter(io.Discard, sample())
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := w.Attach("a", "application/pdf", io.MultiReader(strings.NewReader("x"), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("closing a broken letter: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestFileNamesAreMadeHarmless(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		`C:\Users\x\photo.jpg`: "photo.jpg", "../../etc/passwd": "passwd", "a\r\nb.pdf": "ab.pdf",
		"": "fichier", "...": "fichier", "été.pdf": "été.pdf", "a\u202efdp.exe": "afdp.exe",
	} {
		if got := compose.FileName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{"Résultats": "Re: Résultats", "RE: x": "RE: x", " Re:y": "Re:y", "": "Re: "} {
		if got := compose.ReplySubject(subject); got != want {
			t.Errorf("%q: %q", subject, got)
		}
	}
	if got := compose.Quote("a\r\n\r\n> b\n", 100); got != "> a\n>\n>> b\n" {
		t.Errorf("%q", got)
	}
	if got := compose.Quote(strings.Repeat("é", 100), 11); got != "> éééééé"[:len("> ééééé")]+"…\n" {
		t.Errorf("%q", got)
	}
	var refs []string
	for i := range 40 {
		refs = append(refs, fmt.Sprint(i))
	}
	got := compose.Thread("last", refs)
	if len(got) != 20 || got[0] != "0" || got[19] != "last" || got[18] != "39" || refs[1] != "1" {
		t.Errorf("%v", got)
	}
}
