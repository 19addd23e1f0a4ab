package storetest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

const (
	envChild  = "PLI_CRASH_CHILD"  // the test whose writing half is to run
	envDir    = "PLI_CRASH_DIR"    // where
	envRounds = "PLI_CRASH_ROUNDS" // how often it is killed; 20 if unset
)

// Kill runs write in a process of its own, kills it (SIGKILL) after a while,
// and has check look at what is left, as often as PLI_CRASH_ROUNDS says. The
// process is this test binary, started again for this one test: call Kill from
// a test that is not a subtest, and do in it nothing else that matters. What
// write has acknowledged is given to check in order; write never returns.
func Kill(t *testing.T, write func(dir string, ack func(string)), check func(dir string, acks []string)) {
	if os.Getenv(envChild) == t.Name() {
		out := os.NewFile(3, "acks")
		write(os.Getenv(envDir), func(line string) { fmt.Fprintln(out, line) })
		t.Fatal("the writing half has returned")
	}
	rounds := 20
	if v := os.Getenv(envRounds); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatalf("%s: %v", envRounds, err)
		}
	}
	dir := t.TempDir()
	total := 0
	for range rounds {
		acks := killOne(t, dir)
		total += len(acks)
		check(dir, acks)
		if t.Failed() {
			return
		}
	}
	if total < rounds {
		t.Errorf("only %d acknowledgements in %d rounds", total, rounds)
	}
	t.Logf("%d rounds, %d acknowledgements", rounds, total)
}

// killOne runs one child until it has acknowledged something and a little
// longer.
func killOne(t *testing.T, dir string) (acks []string) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), envChild+"="+t.Name(), envDir+"="+dir)
	cmd.ExtraFiles = []*os.File{write}
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err = cmd.Start()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		if acks = append(acks, lines.Text()); len(acks) == 1 {
			time.AfterFunc(time.Duration(rand.IntN(120_000))*time.Microsecond, func() { cmd.Process.Kill() })
		}
	}
	if cmd.Wait(); len(acks) == 0 {
		t.Fatalf("the child ended by itself: %s", said.text)
	}
	return acks
}

// tail keeps the first words of what a child says.
type tail struct{ text []byte }

func (w *tail) Write(p []byte) (int, error) {
	w.text = append(w.text, p[:min(len(p), max(0, 2000-len(w.text)))]...)
	return len(p), nil
}
