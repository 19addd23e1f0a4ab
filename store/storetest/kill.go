package storetest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	envChild  = "PLI_CRASH_CHILD"  // the test whose writing half is to run
	envDir    = "PLI_CRASH_DIR"    // where
	envRounds = "PLI_CRASH_ROUNDS" // how often it is killed, whatever the test would say
)

// Kill runs write in a process of its own, kills it (SIGKILL) after a while,
// and has check look at what is left, 20 times. The process is this test
// binary, started again for this one test: call Kill from a test that is not a
// subtest, and do in it nothing else that matters. What write has acknowledged
// is given to check in order; write never returns.
func Kill(t *testing.T, write func(dir string, ack func(string)), check func(dir string, acks []string)) {
	killer{lanes: 1, rounds: 20, life: 120 * time.Millisecond}.run(t, write, check)
}

// KillOften is Kill a thousand times where CI=true, with short lives, in
// several folders side by side: for what lies in its folder alone. check runs
// on several goroutines, one for each folder.
func KillOften(t *testing.T, write func(dir string, ack func(string)), check func(dir string, acks []string)) {
	k := killer{lanes: 6, rounds: 20, life: 40 * time.Millisecond}
	if os.Getenv("CI") == "true" {
		k.rounds = oftenRounds
	}
	k.run(t, write, check)
}

// killer says how often and how fast.
type killer struct {
	lanes  int // folders in which processes live at the same time
	rounds int
	life   time.Duration // the longest, after the first acknowledgement
}

func (k killer) run(t *testing.T, write func(dir string, ack func(string)), check func(dir string, acks []string)) {
	if os.Getenv(envChild) == t.Name() {
		out := os.NewFile(3, "acks")
		write(os.Getenv(envDir), func(line string) { fmt.Fprintln(out, line) })
		t.Fatal("the writing half has returned")
	}
	if v := os.Getenv(envRounds); v != "" {
		var err error
		if k.rounds, err = strconv.Atoi(v); err != nil {
			t.Fatalf("%s: %v", envRounds, err)
		}
	}
	var left, total atomic.Int64
	left.Store(int64(k.rounds))
	var lanes sync.WaitGroup
	for range k.lanes {
		dir := t.TempDir()
		lanes.Go(func() {
			for !t.Failed() && left.Add(-1) >= 0 {
				acks, err := k.one(t.Name(), dir)
				if err != nil {
					t.Error(err)
					return
				}
				total.Add(int64(len(acks)))
				check(dir, acks)
			}
		})
	}
	lanes.Wait()
	if n := total.Load(); n < int64(k.rounds) && !t.Failed() {
		t.Errorf("only %d acknowledgements in %d rounds", n, k.rounds)
	}
	t.Logf("%d rounds, %d acknowledgements", k.rounds, total.Load())
}

// one runs one process until it has acknowledged something and a little
// longer.
func (k killer) one(name, dir string) (acks []string, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^"+regexp.QuoteMeta(name)+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), envChild+"="+name, envDir+"="+dir)
	cmd.ExtraFiles = []*os.File{write}
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err = cmd.Start()
	write.Close()
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		if acks = append(acks, lines.Text()); len(acks) == 1 {
			time.AfterFunc(rand.N(k.life), func() { cmd.Process.Kill() })
		}
	}
	if cmd.Wait(); len(acks) == 0 {
		return nil, fmt.Errorf("the child ended by itself: %s", said.text)
	}
	return acks, nil
}

// tail keeps the first words of what a child says.
type tail struct{ text []byte }

func (w *tail) Write(p []byte) (int, error) {
	w.text = append(w.text, p[:min(len(p), max(0, 2000-len(w.text)))]...)
	return len(p), nil
}
