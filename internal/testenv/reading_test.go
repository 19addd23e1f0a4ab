package testenv_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pli/internal/testenv"
)

// The holder reads the laboratory's report with curl (D5).
func TestHolderReadsWithCurl(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.WithReport)
	h := e.File.Holders[0]
	out, err := e.Run("curl", "-sS", "--cacert", e.File.CA, "--user", h.Address+":"+h.MailPassword, "imaps://"+e.File.IMAPS+"/INBOX;MAILINDEX=1")
	if err != nil || !strings.Contains(out, "X-MSS-CODECDA: 11502-2") || !strings.Contains(out, "application/pdf") {
		t.Fatalf("curl: %v\n%.2000s", err, out)
	}
	out, err = e.Run("curl", "-sS", "--cacert", e.File.CA, "--user", h.Address+":"+h.MailPassword,
		"--url", "imap://"+e.File.IMAP+"/INBOX", "--ssl-reqd", "-X", "SEARCH SUBJECT prise")
	if err != nil || !strings.Contains(out, "* SEARCH 1") {
		t.Fatalf("curl over STARTTLS: %v\n%s", err, out)
	}
	if out, err := e.Run("curl", "-sS", "--cacert", e.File.CA, "--user", h.Address+":wrong", "imaps://"+e.File.IMAPS+"/INBOX"); err == nil {
		t.Errorf("a wrong password opens the mailbox: %s", out)
	}
}

// mbsync copies the whole mailbox to a maildir, and back what the holder
// changed there.
func TestHolderReadsWithMbsync(t *testing.T) {
	t.Parallel()
	e := testenv.Start(t, testenv.WithReport)
	h := e.File.Holders[0]
	dir := t.TempDir()
	host, port, _ := strings.Cut(e.File.IMAPS, ":")
	rc := filepath.Join(dir, "mbsyncrc")
	conf := fmt.Sprintf(`IMAPAccount pli
Host %s
Port %s
User %s
Pass %s
SSLType IMAPS
SystemCertificates no
CertificateFile %s

IMAPStore pli-remote
Account pli

MaildirStore pli-local
Path %s/mail/
Inbox %s/mail/INBOX
SubFolders Verbatim

Channel pli
Far :pli-remote:
Near :pli-local:
Patterns *
Create Near
SyncState *
`, host, port, h.Address, h.MailPassword, e.File.CA, dir, dir)
	if err := os.WriteFile(rc, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := e.Run("mbsync", "-c", rc, "-a"); err != nil {
		t.Fatalf("mbsync: %v\n%s", err, out)
	}
	found, _ := filepath.Glob(filepath.Join(dir, "mail", "INBOX", "new", "*"))
	if len(found) != 1 {
		t.Fatalf("the maildir holds %d messages", len(found))
	}
	for _, box := range []string{"Sent", "Drafts", "Trash", "Archive", "Junk"} {
		if _, err := os.Stat(filepath.Join(dir, "mail", box)); err != nil {
			t.Errorf("mbsync did not bring %s: %v", box, err)
		}
	}
	seen := filepath.Join(dir, "mail", "INBOX", "cur", filepath.Base(found[0])+":2,S")
	if strings.Contains(found[0], ":2,") {
		seen = filepath.Join(dir, "mail", "INBOX", "cur", filepath.Base(found[0])+"S")
	}
	if err := os.Rename(found[0], seen); err != nil {
		t.Fatal(err)
	}
	if out, err := e.Run("mbsync", "-c", rc, "-a"); err != nil {
		t.Fatalf("mbsync, again: %v\n%s", err, out)
	}
	got := e.Mailbox(h.Address, h.MailPassword, "INBOX")
	if len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].Flags), "Seen") {
		t.Errorf("what was read in the maildir is not read here: %+v", got[0].Flags)
	}
}
