// Package audit keeps the trace of a space: an append-only chain of lines in
// which none can be removed, altered or moved unnoticed.
//
// Every owner has one chain. A line holds the hash of the line before it, the
// first one a hash of the owner, and a head record holds the number and hash
// of the last: whoever changes the chain must change every later line and the
// head. The words that people read are made from a line elsewhere.
package audit

import (
	"errors"
	"time"

	"pli/identity"
)

// Outcome says how an act ended.
type Outcome string

// The outcomes of an act.
const (
	Permit Outcome = "permit" // it was allowed, and done
	Deny   Outcome = "deny"   // it was refused
	Fail   Outcome = "fail"   // it was allowed, and could not be done
)

// ErrBroken is returned when a chain is not as it was written; the text says
// where.
var ErrBroken = errors.New("audit: broken chain")

// ErrIncomplete is returned for a line that lacks its act, its time or a known
// outcome.
var ErrIncomplete = errors.New("audit: a line needs an act, a time and an outcome")

// Entry is one line of the trace. Texts over their limit are cut when the line
// is written: no text of an act may keep the act from being traced.
type Entry struct {
	Seq     uint64         // 1, 2, 3, … in each chain
	At      time.Time      // when, UTC, to the millisecond
	Actor   identity.Actor // who
	Act     string         // what, such as "dossier.read" (consent.Act)
	Outcome Outcome        // how it ended
	Rule    string         // the rule that decided, a stable word; "" if none did
	Reason  string         // why, in a sentence, for a refusal or a failure
	Object  string         // the opaque id of what it was about: a document, a message
	// Title is what the holder calls it: a document's title, a correspondent.
	// Never the subject of a message: that is sealed to its holder, and the
	// trace is not.
	Title  string
	Detail map[string]string // further facts, by stable names

	Prev [32]byte // the hash of the line before
	Hash [32]byte // the hash of this line
}

// Limits of what a line holds.
const (
	MaxWord   = 64  // bytes of an act, a rule, a detail's name
	MaxText   = 512 // bytes of a reason, an object, a title, a detail, a part of the actor
	MaxDetail = 16  // details
	MaxPage   = 500 // lines that List returns at most
)
