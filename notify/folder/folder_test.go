package folder_test

import (
	"context"
	"io"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/notify"
	"pli/notify/folder"
)

func now() time.Time { return time.Date(2026, 3, 3, 8, 15, 0, 0, time.UTC) }

// A notice becomes one mail that any mail program opens.
func TestSend(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "outbox")
	s, err := folder.New(dir, "pli@pli.test", now)
	if err != nil {
		t.Fatal(err)
	}
	subject := "Votre code à usage unique : vérifiez qu'il vient de vous, et de personne d'autre que vous"
	for _, to := range []string{"anne@exemple.test", "+33612345678"} {
		if err := s.Send(context.Background(), notify.Notice{Kind: "code", To: to, Subject: subject, Body: "Code : 123456\n\nÀ bientôt"}); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v", files, err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".eml") || !strings.HasPrefix(file.Name(), "20260303T081500.000-") {
			t.Errorf("file %s", file.Name())
		}
		f, err := os.Open(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, err := mail.ReadMessage(f)
		if err != nil {
			t.Fatal(err)
		}
		to, err := m.Header.AddressList("To")
		if err != nil || len(to) != 1 {
			t.Fatalf("To: %v %v", to, err)
		}
		seen[to[0].Address] = true
		if got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); got != subject || err != nil {
			t.Errorf("Subject %q %v", got, err)
		}
		if d, err := m.Header.Date(); err != nil || !d.Equal(now()) {
			t.Errorf("Date %v %v", d, err)
		}
		if b, _ := io.ReadAll(m.Body); string(b) != "Code : 123456\r\n\r\nÀ bientôt\r\n" {
			t.Errorf("body %q", b)
		}
	}
	if !seen["anne@exemple.test"] || !seen["+33612345678@sms.invalid"] {
		t.Errorf("to %v", seen)
	}
}

// A line end in an address or subject adds no field: it is refused.
func TestSendRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := folder.New(dir, "pli@pli.test", now)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []notify.Notice{{To: "a@b\r\nBcc: c@d"}, {To: "a@b", Subject: "x\nBcc: c@d"}, {To: "a@b", Kind: "x\r\ny"}, {}} {
		if err := s.Send(context.Background(), n); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left %v", files)
	}
}

// A folder that cannot be written is a failure to try again, and leaves nothing.
func TestSendFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "outbox")
	s, err := folder.New(dir, "pli@pli.test", now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(context.Background(), notify.Notice{To: "a@b"}); err == nil || errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
}
