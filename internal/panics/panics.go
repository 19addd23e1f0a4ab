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
	place := "a place unknown"
	if f, ok := panicking(); ok {
		place = fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
	}
	return fmt.Errorf("panic in %s at %s: %s", where, place, what)
}

// Function returns the full name of the function that panicked, or nothing. It
// is called from the deferred function that has recovered.
func Function() string {
	f, _ := panicking()
	return f.Function
}

// panicking returns where the program panicked.
func panicking() (f runtime.Frame, ok bool) {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	found := false
	for more := true; more; {
		f, more = frames.Next()
		if found && !strings.HasPrefix(f.Function, "runtime.") {
			return f, true
		}
		found = found || f.Function == "runtime.gopanic"
	}
	return runtime.Frame{}, false
}
