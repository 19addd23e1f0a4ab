package testenv_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pli/cmd/pli/demo"
	"pli/internal/testenv"
)

// A program that dies with open sessions, one in the midst of a delivery, tells
// in its traceback where it was and nothing of what it was about, and leaves no
// core, not even where somebody has raised the limit meanwhile, nor a file with
// what was on its way (D4; security: core dumps are off).
func TestCrashTellsNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGSEGV} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			crash(t, s)
		})
	}
}

func crash(t *testing.T, s syscall.Signal) {
	word := testenv.Word()
	dir, spool, stderr := t.TempDir(), t.TempDir(), new(logged)
	child := testenv.StartChildWith(t, filepath.Join(t.TempDir(), "demo"), func(cmd *exec.Cmd) {
		allowCore(cmd)
		cmd.Dir, cmd.Stderr = dir, stderr
		cmd.Env = append(os.Environ(), "TMPDIR="+spool, "GOTRACEBACK=crash") // all goroutines, then a core if one may be left
	}, "--debug")
	c := correspondence{child.Env, child.File.Professionals[0], child.File.Holders[0]}
	c.Write(c.doctor.MailPassword, demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: "Sujet " + word, Text: strings.Repeat("Corps "+word+"\n", 50_000)})
	c.atWork(word)
	if got := coreLimit(t, child.PID()); got != "0 0" {
		t.Errorf("the limit of its core is %q", got)
	}
	if err := unix.Prlimit(child.PID(), unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Logf("its limit cannot be raised here, so a core is not to be expected anyway: %v", err)
	}
	if end := child.Signal(s).Sys().(syscall.WaitStatus); end.CoreDump() || end.Exited() && end.ExitStatus() == 0 {
		t.Errorf("it ended with %v, core dumped: %v", end, end.CoreDump())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v: %v", left, err)
	}
	if n := scanFiles(t, "after it crashed", word, c.Dir, spool); n < 5 {
		t.Errorf("it left %d files", n)
	}
	traceback := stderr.text()
	for _, frame := range []string{unix.SignalName(s), "goroutine ", "pli/mailbox/imapd.", "pli/mss/smtpd."} {
		if !strings.Contains(traceback, frame) {
			t.Errorf("the traceback does not show %q", frame)
		}
	}
	mustNotHave(t, "the traceback", []byte(traceback), word)
}

const envPanic = "PLI_TEST_PANIC_WITH"

// A panic that nobody recovers prints what functions were called with: of a
// text, where it lay and how long it was, and not one letter.
func TestTracebackShowsNoText(t *testing.T) {
	t.Parallel()
	if word := os.Getenv(envPanic); word != "" {
		fails(word, []byte(word), demo.Message{Subject: word, Header: [][2]string{{word, word}}}, map[string]error{word: fmt.Errorf("about %s", word)})
	}
	word := testenv.Word()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTracebackShowsNoText$")
	cmd.Env = append(os.Environ(), envPanic+"="+word, "GOTRACEBACK=all")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("nil map")) || !bytes.Contains(out, []byte("testenv_test.fails({0x")) {
		t.Fatalf("it did not panic with its arguments: %v\n%s", err, out)
	}
	mustNotHave(t, "the traceback", out, word)
}

// fails panics with what a message's code has in hand.
//
//go:noinline
func fails(text string, content []byte, m demo.Message, about map[string]error) {
	var seen map[string]int
	seen[text+string(content)+m.Subject+fmt.Sprint(len(about))]++
}

// atWork has sessions open that have the word in hand: one that fetches and
// does not read on, one that has searched, one that stops in the midst of DATA.
func (c correspondence) atWork(word string) {
	c.T.Helper()
	imap := c.RawTLS(c.File.IMAPS)
	imap.Say(fmt.Sprintf("a LOGIN %s %s\r\n", c.holder.Address, c.holder.MailPassword), "a OK")
	imap.Say("b SELECT INBOX\r\n", "b OK")
	imap.Say("c SEARCH TEXT "+word+"\r\n", "c OK")
	imap.Say("d FETCH 1:* BODY[]\r\ne FETCH 1:* BODY[]\r\nf FETCH 1:* BODY[]\r\n", word)
	idle := c.RawTLS(c.File.IMAPS)
	idle.Say(fmt.Sprintf("a LOGIN %s %s\r\n", c.holder.Address, c.holder.MailPassword), "a OK")
	idle.Say("b SELECT INBOX\r\n", "b OK")
	idle.Say("c IDLE\r\n", "+ ")
	smtp := c.RawTLS(c.File.Submissions)
	smtp.Say("EHLO x\r\n", "250 ")
	smtp.Say("AUTH PLAIN "+plain(c.doctor.Address, c.doctor.MailPassword)+"\r\n", "235 ")
	smtp.Say("MAIL FROM:<"+c.doctor.Address+">\r\n", "250 ")
	smtp.Say("RCPT TO:<"+c.holder.Address+">\r\n", "250 ")
	smtp.Say("DATA\r\n", "354 ")
	if _, err := fmt.Fprintf(smtp, "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n%s", c.doctor.Address, c.holder.Address, word, strings.Repeat(word+"\r\n", 2000)); err != nil {
		c.T.Fatal(err)
	}
}

// allowCore has a command begin with as large a core as this process may give.
func allowCore(cmd *exec.Cmd) {
	cmd.Args = append([]string{"sh", "-c", `ulimit -S -c "$(ulimit -H -c)"; exec "$@"`, "sh"}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	cmd.Path = "/bin/sh"
}

var coreLine = regexp.MustCompile(`(?m)^Max core file size +(\S+) +(\S+)`)

// coreLimit returns the soft and the hard limit of a process's core.
func coreLimit(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	m := coreLine.FindSubmatch(b)
	if err != nil || m == nil {
		t.Fatalf("limits: %v: %s", err, b)
	}
	return fmt.Sprintf("%s %s", m[1], m[2])
}

// mustNotHave fails the test for each form of the word that some bytes have.
func mustNotHave(t testing.TB, name string, b []byte, word string) {
	t.Helper()
	for form, needle := range formsOf(word) {
		if bytes.Contains(b, needle) {
			t.Errorf("%s contains the word as %s", name, form)
		}
	}
}

// A program that has not turned them off does leave a core here, if this
// machine leaves any: what TestCrashTellsNothing looks for can be seen.
func TestCoreDumpsCanBeSeen(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sh", "-c", "kill -ABRT $$")
	cmd.Dir = t.TempDir()
	allowCore(cmd)
	cmd.Run()
	if end := cmd.ProcessState.Sys().(syscall.WaitStatus); !end.CoreDump() {
		t.Skipf("this machine leaves no core of any program: %v", end)
	}
}
