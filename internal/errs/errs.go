// Package errs gives each failure a kind apart from its words.
//
// A domain room returns an error of a kind; each face turns kinds outward in
// one table of its own. The words name what was wrong and what to do, and are
// fit to be shown to the person who asked; the words of an Internal error, and
// those of a wrapped cause, are for the log alone.
package errs

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is.
type Kind uint8

// The kinds, from the one that a bug makes to those that people meet.
const (
	Internal        Kind = iota // ours; its text never leaves the server
	Invalid                     // the input breaks a rule
	Unauthenticated             // who is asking is not known
	Denied                      // known, and has no right
	NotFound                    // there is no such thing, or none that the asker may know of
	Conflict                    // it stands against what is there
	TooLarge                    // over a limit that has a name
	Unavailable                 // not now; the same request may succeed later
)

var kindNames = [...]string{"internal", "invalid", "unauthenticated", "denied", "not found", "conflict", "too large", "unavailable"}

// String returns the kind's name, as logs and metrics show it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Error is a failure with its kind, its words and, perhaps, its cause.
type Error struct {
	Kind  Kind
	Text  string // fit for the person who asked, unless Kind is Internal
	Cause error  // for the log
}

// Error returns the words and the cause, for logs and tests.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Text
	}
	if e.Text == "" {
		return e.Cause.Error()
	}
	return e.Text + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns an error of a kind.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Wrap gives cause a kind and words; a nil cause stays nil.
func Wrap(cause error, kind Kind, format string, args ...any) error {
	if cause == nil {
		return nil
	}
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// KindOf returns the kind of the outermost *Error in err's chain. Without one
// it is Unavailable for an error that says it is temporary, as those of an
// engine that does not answer do, else Internal. KindOf(nil) is Internal: ask
// only about failures.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var t interface{ Temporary() bool }
	if errors.As(err, &t) && t.Temporary() {
		return Unavailable
	}
	return Internal
}

// Is reports whether err is a failure of that kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Public returns the words fit for whoever asked: those of the outermost
// *Error, never those of its causes, and fixed sentences where there is none.
func Public(err error) string {
	var e *Error
	switch {
	case errors.As(err, &e) && e.Kind != Internal && e.Text != "":
		return e.Text
	case Is(err, Unavailable):
		return "not available at present; try again later"
	}
	return "something went wrong on our side; try again later"
}
