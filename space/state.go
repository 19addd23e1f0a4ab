package space

import (
	"slices"

	"pli/internal/errs"
)

// State is where a space stands in its life (mission A2, A4).
type State uint8

// The states of a space. Their words stand in records: add, never change.
const (
	Announced State = iota + 1 // its holder was told, and may oppose it
	Opposed                    // its holder opposed it
	Open                       // opened by silence, not activated: nobody has signed in
	Active                     // its holder has signed in
	Closed                     // closed by its holder
	Archived                   // closed, and kept apart for its holder to have back
	Deleted                    // its keys are destroyed
)

var stateWords = [...]string{"", "announced", "opposed", "open", "active", "closed", "archived", "deleted"}

// String returns the state's word, stable in records; "" for no state.
func (s State) String() string {
	if int(s) < len(stateWords) {
		return stateWords[s]
	}
	return ""
}

// ParseState reads a state's word, or returns an error of kind Invalid.
func ParseState(word string) (State, error) {
	if i := slices.Index(stateWords[:], word); i > 0 {
		return State(i), nil
	}
	return 0, errs.New(errs.Invalid, "%.40q is no state of a space: announced, opposed, open, active, closed, archived or deleted", word)
}

// AcceptsMail reports whether letters are delivered in this state.
func (s State) AcceptsMail() bool { return s == Open || s == Active }

// next lists where a space may go from each state. Whoever opposed or closed
// can change their mind (mission A2); what is deleted stays so.
var next = map[State][]State{
	Announced: {Opposed, Open, Active},
	Opposed:   {Announced, Open, Active},
	Open:      {Opposed, Active, Closed},
	Active:    {Closed},
	Closed:    {Active, Archived},
	Archived:  {Active, Deleted},
}

// CanBecome reports whether a space may go from s to another state.
func (s State) CanBecome(to State) bool { return slices.Contains(next[s], to) }
