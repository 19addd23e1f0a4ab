// Package panics turns a panic that was recovered into an error that tells
// where it was, and nothing of what the program was about.
package panics

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// Error returns the error for a panic: where says in which part of the
// program. It is called from the deferred function that has recovered. What
// was panicked with may hold content: it is told by its type, unless it is a
// runtime error.
func Error(where string, p any) error {
	what := fmt.Sprintf("%T", p)
	if e, ok := p.(runtime.Error); ok {
		what = e.Error()
	}
	return fmt.Errorf("panic in %s at %s: %s", where, place(), what)
}

// place returns the file and line that panicked.
func place() string {
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
