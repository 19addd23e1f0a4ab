package imapd_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool returns a command that nobody here wrote. Where it is not installed the
// test is left out, but on CI.
func (h *house) tool(name string, args ...string) *exec.Cmd {
	h.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		h.t.Fatalf("%s is not installed", name)
	} else if err != nil {
		h.t.Skipf("%s is not installed", name)
	}
	return exec.CommandContext(h.t.Context(), path, args...)
}

// caFile writes the server's certificate for a tool to trust.
func (h *house) caFile() string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.der})
	h.must(os.WriteFile(path, block, 0o600))
	return path
}

// The holder reads their mail with curl. // D5
func TestCurl(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.deliver(letter("first", "hello"))
	ca := h.caFile()
	curl := func(args ...string) string {
		t.Helper()
		cmd := h.tool("curl", append([]string{"-sS", "--cacert", ca, "-u", h.user + ":" + h.pass}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	url := "imaps://" + h.imaps
	if out := curl(url + "/INBOX;UID=1"); out != letter("first", "hello") {
		t.Errorf("message: %q", out)
	}
	if out := curl(url + "/INBOX;UID=1;SECTION=TEXT"); out != "hello\r\n" {
		t.Errorf("text: %q", out)
	}
	if out := curl(url+"/INBOX", "-X", "SEARCH SUBJECT first"); out != "* SEARCH 1\r\n" {
		t.Errorf("search: %q", out)
	}
	if out := curl("--ssl-reqd", "imap://"+h.imap+"/"); !strings.Contains(out, `\Sent) "/" "Sent"`) {
		t.Errorf("list over STARTTLS: %q", out)
	}
	file := filepath.Join(t.TempDir(), "new.eml")
	h.must(os.WriteFile(file, []byte(letter("by curl", "up")), 0o600))
	curl(url+"/Drafts", "-T", file)
	if out := curl(url+"/Drafts", "-X", "STATUS Drafts (MESSAGES)"); !strings.Contains(out, "(MESSAGES 1)") {
		t.Errorf("after upload: %q", out)
	}
}

// mbsync brings a whole account to a folder and back, twice to the same end.
func TestMbsync(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 20 {
		h.deliver(letter(fmt.Sprint("m", i), strings.Repeat("line\r\n", i*100)))
	}
	h.deliver(nested)
	folder := t.TempDir()
	_, port, _ := strings.Cut(h.imaps, ":")
	rc := filepath.Join(folder, "mbsyncrc")
	h.must(os.WriteFile(rc, fmt.Appendf(nil, `IMAPAccount pli
Host %s
Port %s
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account pli

MaildirStore near
Path %[6]s/mail/
Inbox %[6]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
`, "localhost", port, h.user, h.pass, h.caFile(), folder), 0o600))
	h.must(os.MkdirAll(filepath.Join(folder, "mail"), 0o700))
	sync := func() {
		t.Helper()
		if out, err := h.tool("mbsync", "-c", rc, "-a").CombinedOutput(); err != nil {
			t.Fatalf("mbsync: %v\n%s", err, out)
		}
	}
	sync()
	files := get(filepath.Glob(filepath.Join(folder, "mail", "INBOX", "*", "*")))(h)
	if len(files) != 21 {
		t.Fatalf("%d files after the first run", len(files))
	}
	// Here one is removed, one is read, one is written; there one arrives.
	h.must(os.Remove(files[0]))
	read := filepath.Join(folder, "mail", "INBOX", "cur", strings.SplitN(filepath.Base(files[1]), ":", 2)[0]+":2,S")
	h.must(os.Rename(files[1], read))
	mine := bytes.ReplaceAll([]byte(letter("written here", "x")), []byte("\r\n"), []byte("\n"))
	h.must(os.WriteFile(filepath.Join(folder, "mail", "INBOX", "new", "1.here"), mine, 0o600))
	h.deliver(letter("arrived", ""))
	sync()
	sync()
	w := h.inbox()
	if said := w.ok("STATUS INBOX (MESSAGES UNSEEN)"); !strings.Contains(said[0], "MESSAGES 22") {
		t.Errorf("afterwards: %q", said)
	}
	if said := w.ok("SEARCH SEEN"); len(strings.Fields(said[0])) != 3 {
		t.Errorf("seen: %q", said)
	}
	if said := w.ok("SEARCH SUBJECT \"written here\""); len(strings.Fields(said[0])) != 3 {
		t.Errorf("written here: %q", said)
	}
	files = get(filepath.Glob(filepath.Join(folder, "mail", "INBOX", "*", "*")))(h)
	if len(files) != 22 {
		t.Errorf("%d files", len(files))
	}
}

// A folder with an accent comes to the server by mbsync, which takes names as
// they are, under its name in modified UTF-7, and is found again; under one in
// UTF-8 it is refused, and mbsync says so, instead of being made anew each time.
func TestMbsyncFolderWithAnAccent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	folder := t.TempDir()
	_, port, _ := strings.Cut(h.imaps, ":")
	rc := filepath.Join(folder, "mbsyncrc")
	h.must(os.WriteFile(rc, fmt.Appendf(nil, `IMAPAccount pli
Host localhost
Port %s
User %s
Pass %s
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account pli

MaildirStore near
Path %[5]s/mail/
Inbox %[5]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns Sant*
Create Both
SyncState *
`, port, h.user, h.pass, h.caFile(), folder), 0o600))
	write := func(box string) {
		for _, sub := range []string{"cur", "new", "tmp"} {
			h.must(os.MkdirAll(filepath.Join(folder, "mail", box, sub), 0o700))
		}
		h.must(os.WriteFile(filepath.Join(folder, "mail", box, "new", "1.here"), []byte("Subject: here\n\nx\n"), 0o600))
	}
	sync := func() (string, error) {
		out, err := h.tool("mbsync", "-c", rc, "-a").CombinedOutput()
		return string(out), err
	}
	write("Santé")
	if out, err := sync(); err == nil || !strings.Contains(out, "modified UTF-7") {
		t.Errorf("in UTF-8: %v\n%s", err, out)
	}
	if names, _ := h.boxes(); strings.Contains(names, "Sant") {
		t.Errorf("folders: %s", names)
	}
	h.must(os.RemoveAll(filepath.Join(folder, "mail")))
	write("Sant&AOk-")
	for range 3 {
		if out, err := sync(); err != nil {
			t.Fatalf("mbsync: %v\n%s", err, out)
		}
	}
	if names, _ := h.boxes(); strings.Count(names, "Sant") != 1 || !strings.Contains(names, "Santé ") {
		t.Errorf("folders: %s", names)
	}
	if said := h.login().ok("STATUS Sant&AOk- (MESSAGES)"); !strings.Contains(said[0], "MESSAGES 1") {
		t.Errorf("afterwards: %q", said)
	}
}
