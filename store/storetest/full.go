package storetest

import (
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"syscall"
	"testing"
)

const envFull = "PLI_FULL_CHILD" // the test whose limited half is to run

// Full runs fn in a process of its own in which no file can grow beyond size
// bytes: as near to a full disk as any test can come. As with Kill, the
// process is this test binary, started again for this one test.
func Full(t *testing.T, size uint64, fn func(dir string)) {
	if os.Getenv(envFull) == t.Name() {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
			t.Fatal(err)
		}
		fn(t.TempDir())
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), envFull+"="+t.Name())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
