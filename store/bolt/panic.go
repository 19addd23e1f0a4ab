package bolt

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// panicked returns the error for a panic that was recovered, and logs it with
// its stack. It is called by the deferred function that has recovered. What
// was panicked with may hold content: it is told by its type, unless it is a
// runtime error.
func (s *shard) panicked(where string, p any) error {
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	err := fmt.Errorf("bolt: panic in %s at %s: %s", where, panicPlace(), what)
	s.log.Error("panic in store", "error", err, "stack", string(debug.Stack()))
	return err
}

// panicPlace returns the file and line that panicked.
func panicPlace() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return "a place unknown"
		}
	}
}
