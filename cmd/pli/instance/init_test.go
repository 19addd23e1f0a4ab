package instance

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Whoever opens the stores has no core dump, neither as a file nor through a
// pipe; internal/testenv has it from the outside.
func TestNoCoreDumps(t *testing.T) {
	t.Parallel()
	newHouse(t)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil || limit != (syscall.Rlimit{}) {
		t.Errorf("the limit is %+v, %v", limit, err)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable is %d, %v", dumpable, err)
	}
}
