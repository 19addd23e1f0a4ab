package testenv_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pli/cmd/pli/demo"
	"pli/internal/testenv"
)

// safe is an operator's shelf: where the copies of an instance lie.
type safe struct {
	t                        *testing.T
	repository, keys, master string
}

// newSafe keeps the master key of a demo, as an operator does on the first day.
func newSafe(t *testing.T, demoDir string) safe {
	t.Helper()
	dir := t.TempDir()
	s := safe{t, filepath.Join(dir, "repository"), filepath.Join(dir, "safe", "pli.keys"), filepath.Join(dir, "vault", "master.key")}
	for _, p := range []string{s.keys, s.master} {
		if err := os.Mkdir(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, filepath.Join(demoDir, "data", "keys", "master.key"), s.master)
	return s
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s safe) backupArgs(demoDir string) []string {
	return []string{"backup", "--config", filepath.Join(demoDir, "pli.toml"), "--to", s.repository, "--keys", s.keys}
}

func (s safe) restoreArgs(demoDir string) []string {
	return []string{"restore", "--config", filepath.Join(demoDir, "pli.toml"), "--from", s.repository, "--keys", s.keys, "--master", s.master}
}

// told is what tests read of a report in JSON.
type told struct {
	Backup   string   `json:"backup"`
	Blobs    int64    `json:"blobs"`
	Sent     int64    `json:"sent"`
	Problems []string `json:"problems"`
	Messages int      `json:"messages"`
	Damaged  []string `json:"damaged"`
	Kept     []string `json:"kept"`
}

// reported runs a verb with --json and returns what it reports, its progress
// and its exit code.
func reported(t *testing.T, args ...string) (r told, progress string, code int) {
	t.Helper()
	cmd := exec.Command(testenv.Pli(t), append(args, "--json")...)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if len(out) > 0 {
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatalf("pli %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	return r, errOut.String(), cmd.ProcessState.ExitCode()
}

// elsewhere makes the folder of a demo that lost everything it had stored: what
// its operator had kept is there, on fresh engines.
func elsewhere(t *testing.T, demoDir string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.MkdirAll(filepath.Join(dir, "outbox"), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(demoDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
			copyFile(t, f, filepath.Join(dir, filepath.Base(f)))
		}
	}
	if fresh := testenv.Stores(t); fresh != nil {
		config := filepath.Join(dir, "pli.toml")
		b, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		b = regexp.MustCompile(`"postgres[^"]*"`).ReplaceAll(b, []byte(`"`+fresh[1]+`"`))
		b = regexp.MustCompile(`"s3://[^"]*"`).ReplaceAll(b, []byte(`"`+fresh[3]+`"`))
		if err := os.WriteFile(config, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The operator backs a running instance up by its verbs, loses the machine, and
// brings it back: every mail client reads what it read (issue 3, 5).
func TestBackupByTheOperator(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	c := testenv.StartChild(t, dir)
	doctor, holder := c.File.Professionals[0], c.File.Holders[0]
	for n := range 5 {
		c.Write(doctor.MailPassword, demo.Message{From: doctor.Address, To: holder.Address,
			Subject: fmt.Sprint("Lettre ", n), Text: strings.Repeat("ligne\n", 1+n*20_000)})
	}
	s := newSafe(t, dir)
	first, progress, code := reported(t, s.backupArgs(dir)...)
	if code != 0 || first.Blobs == 0 || first.Sent == 0 || !strings.Contains(progress, "records") || !strings.Contains(progress, "MB/s") && !strings.Contains(progress, "kB/s") {
		t.Fatalf("backup: exit %d, %+v\n%s", code, first, progress)
	}
	inside := append(s.backupArgs(dir)[:5:5], "--keys", filepath.Join(s.repository, "pli.keys"))
	if out, code := pli(t, inside...); code != 1 || !strings.Contains(out, "inside the repository") {
		t.Errorf("keys inside the repository: exit %d: %s", code, out)
	}
	c.Write(doctor.MailPassword, demo.Message{From: doctor.Address, To: holder.Address, Subject: "La dernière", Text: "Bonjour"})
	second, _, code := reported(t, s.backupArgs(dir)...)
	if code != 0 || second.Sent >= first.Sent {
		t.Errorf("the second: exit %d, %+v after %+v", code, second, first)
	}
	from := []string{"--from", s.repository, "--config", filepath.Join(dir, "pli.toml")}
	if out, code := pli(t, append([]string{"backup", "list"}, from...)...); code != 0 || !strings.Contains(out, first.Backup) || !strings.Contains(out, second.Backup) {
		t.Errorf("list: exit %d: %s", code, out)
	}
	if r, _, code := reported(t, append([]string{"backup", "check"}, from...)...); code != 0 || len(r.Damaged) > 0 {
		t.Errorf("check: exit %d, %+v", code, r)
	}
	if r, _, code := reported(t, append([]string{"backup", "prune", "--keep", "1"}, from...)...); code != 0 || len(r.Kept) != 1 {
		t.Errorf("prune: exit %d, %+v", code, r)
	}
	before := read(c)
	if len(before[holder.Address]) < 6 {
		t.Fatalf("only %d messages", len(before[holder.Address]))
	}
	c.Kill()

	there := elsewhere(t, dir)
	if out, code := pli(t, s.restoreArgs(there)...); code != 0 {
		t.Fatalf("restore: exit %d: %s", code, out)
	}
	if out, code := pli(t, "verify", "--config", filepath.Join(there, "pli.toml")); code != 0 {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	back := testenv.StartChild(t, there)
	after := read(back)
	for address, letters := range before {
		if fmt.Sprint(after[address]) != fmt.Sprint(letters) {
			t.Errorf("%s reads %d messages, not the same as the %d before", address, len(after[address]), len(letters))
		}
	}
	back.Write(doctor.MailPassword, demo.Message{From: doctor.Address, To: holder.Address, Subject: "Après", Text: "Bonjour"})
	account := []string{"restore", "account", "--config", filepath.Join(there, "pli.toml"), "--address", holder.Address, "--from", s.repository, "--keys", s.keys}
	if r, _, code := reported(t, account...); code != 0 || r.Messages != 0 || len(r.Problems) > 0 {
		t.Errorf("restore account where nothing is lost: exit %d, %+v", code, r)
	}
	if n := len(back.Mailbox(holder.Address, holder.MailPassword, "INBOX")); n != len(before[holder.Address])+1 {
		t.Errorf("%d messages now", n)
	}
	if err := back.Stop(); err != nil {
		t.Error(err)
	}
}

// read returns what every mail client reads.
func read(c *testenv.Child) map[string][]testenv.Letter {
	all := make(map[string][]testenv.Letter)
	for _, h := range c.File.Holders {
		all[h.Address] = c.Mailbox(h.Address, h.MailPassword, "INBOX")
	}
	for _, p := range c.File.Professionals {
		all[p.Address] = c.Mailbox(p.Address, p.MailPassword, "INBOX")
	}
	return all
}

// killTries bounds how often a test kills something that was done before.
const killTries = 10

// A backup, and a restore, that is killed in the middle is made again; half an
// instance does not start.
func TestBackupKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	c := testenv.StartChild(t, dir)
	doctor, holder := c.File.Professionals[0], c.File.Holders[0]
	for n := range 40 {
		c.Write(doctor.MailPassword, demo.Message{From: doctor.Address, To: holder.Address,
			Subject: fmt.Sprint("Lettre ", n), Text: strings.Repeat("une ligne du compte rendu\n", 30_000)})
	}
	s := newSafe(t, dir)
	killed := false
	for try := 0; try < killTries && !killed; try++ {
		os.RemoveAll(s.repository)
		cmd := exec.Command(testenv.Pli(t), s.backupArgs(dir)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		appears(t, filepath.Join(s.repository, "blobs"))
		c.Kill() // the instance, which makes the backup
		err := cmd.Wait()
		killed = err != nil && count(t, filepath.Join(s.repository, "manifests")) == 0
		c = testenv.StartChild(t, dir)
	}
	if !killed {
		t.Fatal("no backup was killed in the middle")
	}
	if out, code := pli(t, "backup", "list", "--from", s.repository, "--master", s.master); code != 0 || strings.Contains(out, ".json") {
		t.Errorf("an unfinished backup is listed: exit %d: %s", code, out)
	}
	left := count(t, filepath.Join(s.repository, "blobs"))
	if r, _, code := reported(t, s.backupArgs(dir)...); code != 0 || r.Blobs < int64(left) || left == 0 {
		t.Fatalf("made again over %d blobs: exit %d, %+v", left, code, r)
	}
	if out, code := pli(t, "backup", "check", "--from", s.repository, "--master", s.master); code != 0 {
		t.Errorf("check: exit %d: %s", code, out)
	}
	before := read(c)
	c.Kill()

	there, killed := elsewhere(t, dir), false
	marker := filepath.Join(there, "data", "restore-unfinished.json")
	for try := 0; try < killTries && !killed; try++ {
		os.RemoveAll(there)
		there = elsewhere(t, dir)
		marker = filepath.Join(there, "data", "restore-unfinished.json")
		cmd := exec.Command(testenv.Pli(t), s.restoreArgs(there)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		appears(t, marker)
		time.Sleep(time.Duration(try) * 20 * time.Millisecond) // at another place each time
		cmd.Process.Kill()
		killed = cmd.Wait() != nil
		_, err := os.Stat(marker)
		killed = killed && err == nil
	}
	if !killed {
		t.Fatal("no restore was killed in the middle")
	}
	if out, code := pli(t, "serve", "--config", filepath.Join(there, "pli.toml")); code != 1 || !strings.Contains(out, "restore") {
		t.Errorf("half an instance started: exit %d: %s", code, out)
	}
	if out, code := pli(t, s.restoreArgs(there)...); code != 0 {
		t.Fatalf("the restore, again: exit %d: %s", code, out)
	}
	back := testenv.StartChild(t, there)
	if after := read(back); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Error("mail clients read something else")
	}
	if err := back.Stop(); err != nil {
		t.Error(err)
	}
}

// appears waits until there is a file, or one below a folder.
func appears(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if info, err := os.Stat(path); err == nil && (!info.IsDir() || count(t, path) > 0) {
			return
		}
	}
	t.Fatalf("%s did not appear", path)
}

// count returns how many files there are below a folder.
func count(t *testing.T, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Every verb tells what it does, with an example.
func TestHelpOfBackups(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"backup", "backup make", "backup list", "backup check", "backup prune", "restore", "restore all", "restore account"} {
		out, code := pli(t, append(strings.Fields(verb), "--help")...)
		if code != 0 || !strings.Contains(out, "Example") {
			t.Errorf("pli %s --help: exit %d\n%s", verb, code, out)
		}
	}
}
