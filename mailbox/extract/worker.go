package extract

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"pli/internal/errs"
)

// Limits of one worker.
const (
	workerTime   = 10 * time.Second // of the clock
	workerCPU    = 5                // seconds of a processor
	workerHeap   = 192 << 20        // bytes that the collector keeps to, while it can
	workerMemory = 512 << 20        // bytes of memory that it may write to: RLIMIT_DATA, which ends it
	workerFiles  = 32
)

// workerVar, in the environment, makes a program that holds this room a worker.
const workerVar = "PLI_EXTRACT_WORKER"

// init turns the process into a worker where a parent asks for one. It stands
// here so that whatever binary holds this room, a test's too, can start itself.
func init() {
	if os.Getenv(workerVar) == "" {
		return
	}
	if err := work(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// work reads a PDF from in and writes its text to out.
func work(in io.Reader, out io.Writer) error {
	limits := map[int]uint64{
		syscall.RLIMIT_CORE: 0, syscall.RLIMIT_CPU: workerCPU, syscall.RLIMIT_DATA: workerMemory,
		syscall.RLIMIT_FSIZE: 0, syscall.RLIMIT_NOFILE: workerFiles,
	}
	if raced {
		delete(limits, syscall.RLIMIT_DATA)
	}
	for what, n := range limits {
		if err := syscall.Setrlimit(what, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	debug.SetMemoryLimit(workerHeap)
	document, err := io.ReadAll(io.LimitReader(in, MaxInput+1))
	if err != nil {
		return err
	}
	text, err := pdfText(document)
	text = text[:min(len(text), MaxText)]
	if _, writeErr := io.WriteString(out, strings.ToValidUTF8(text, "")); writeErr != nil {
		return writeErr
	}
	return err
}

// fromWorker returns the text of a PDF that a worker reads.
func fromWorker(ctx context.Context, document []byte) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, workerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{workerVar + "=1", "GOMAXPROCS=1", "GOTRACEBACK=none"}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(document)
	var out, complaint limited
	out.left, complaint.left = MaxText, 1<<10
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), errs.Wrap(err, errs.Invalid, "a PDF that cannot be read")
	}
	return out.String(), nil
}

// limited keeps the first bytes that are written to it.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	l.Buffer.Write(b[:n])
	return len(b), nil
}
