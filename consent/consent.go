// Package consent decides who may see or feed a space.
//
// Decide is the law: facts in, answer out. Gate is the only door to a space:
// it gathers the facts, asks Decide, runs the act and writes the trace, in one
// transaction.
package consent

import (
	"slices"

	"pli/identity"
	"pli/store"
)

// Act names what somebody wants to do on a space. Acts stand in the trace:
// add, never change.
type Act string

// The acts.
const (
	ActMailDeliver   Act = "mail.deliver"   // a letter into the mailbox
	ActMailOpen      Act = "mail.open"      // the mailbox, once a session
	ActMailDisplay   Act = "mail.display"   // a letter, when first shown
	ActMailSend      Act = "mail.send"      // a letter of the holder's
	ActMailReject    Act = "mail.reject"    // a letter refused before the gate: traced, never permitted
	ActExchangeList  Act = "exchange.list"  // the professionals whom the holder may write to
	ActExchangeClose Act = "exchange.close" // end an exchange
	ActDossierFile   Act = "dossier.file"   // a document into the dossier
	ActDossierList   Act = "dossier.list"   // the dossier's table
	ActDossierRead   Act = "dossier.read"   // one document
	ActTraceRead     Act = "trace.read"     // the trace itself
	ActSpaceState    Act = "space.state"    // open, close, reopen, …
	ActSpaceExport   Act = "space.export"   // copy out, sealed as it lies
	ActSpaceRepair   Act = "space.repair"   // make records agree after damage
	ActKeyTake       Act = "key.take"       // take out the private keys that open the mail
	ActSpaceRestore  Act = "space.restore"  // bring back from a backup what the space has lost
	ActKeyChange     Act = "key.change"     // another way to open the mail, or one less
	ActKeyRecover    Act = "key.recover"    // a new password or code for who has lost theirs
	ActKeyRotate     Act = "key.rotate"     // new keys for what comes from now on
)

// Mode says how access is asked for (mission C3).
type Mode uint8

// The modes of access.
const (
	Normal     Mode = iota
	Emergency       // the person is in immediate danger (bris de glace)
	Regulation      // a SAMU regulating doctor during a call
)

var modeWords = [...]string{"normal", "emergency", "regulation"}

// String returns the mode's word.
func (m Mode) String() string {
	if int(m) < len(modeWords) {
		return modeWords[m]
	}
	return "unknown"
}

// Flags of a document's confidentiality, a set of its own for each document
// (JDV_J08).
const (
	MaskedFromProfessionals    = "MASQUE_PS"
	InvisibleToPatient         = "INVISIBLE_PATIENT" // until announced in person (mission B7)
	InvisibleToRepresentatives = "INVISIBLE_REPRESENTANTS_LEGAUX"
)

// DocumentFacts is what a decision needs to know of a document.
type DocumentFacts struct {
	ID    string
	Type  string // code
	Class string // code
	// Author is who brought the document, as authenticated then; never whom
	// the document itself names.
	Author          identity.Actor
	Confidentiality []string // flags
}

// Has reports whether the document bears a flag; a nil document bears none.
func (d *DocumentFacts) Has(flag string) bool {
	return d != nil && slices.Contains(d.Confidentiality, flag)
}

// Request is what somebody asks to do. Object, Title and Detail go into the
// trace as they are, see audit.Entry.
type Request struct {
	Space  store.Owner
	Act    Act
	Object string // opaque id of what it is about
	Title  string // what the holder calls it; never the subject of a letter
	Detail map[string]string
	Mode   Mode

	// Document is the document that the act is about, if any.
	Document *DocumentFacts
	// Load, if not nil, reads the document's facts in the act's own
	// transaction, in place of Document, so that the decision rests on what
	// is true at that moment. An error of kind NotFound says that there is no
	// such document.
	Load func(tx store.Tx) (*DocumentFacts, error)
}

// Relation is what ties somebody to a space or to the document asked for.
type Relation uint8

// The relations.
const (
	None   Relation = iota
	Self            // it is their own space
	Author          // it is the document that they brought
)

var relationWords = [...]string{"none", "self", "author"}

// String returns the relation's word.
func (r Relation) String() string {
	if int(r) < len(relationWords) {
		return relationWords[r]
	}
	return "unknown"
}

// Relate returns what ties an actor to a space, or to a document (nil: none)
// in it.
func Relate(a identity.Actor, owner store.Owner, d *DocumentFacts) Relation {
	switch {
	case isSelf(a, owner):
		return Self
	case d != nil && isAuthor(a, d.Author):
		return Author
	}
	return None
}

// isSelf takes a holder by their space's id; an account that says otherwise
// makes them a stranger.
func isSelf(a identity.Actor, owner store.Owner) bool {
	return a.Kind == identity.Holder && owner != "" && a.ID == string(owner) &&
		(a.Account == "" || a.Account == string(owner))
}

// isAuthor takes authors by their national number, in the same quality.
func isAuthor(a, author identity.Actor) bool {
	switch a.Kind {
	case identity.Professional, identity.Establishment, identity.Application:
		return a.Kind == author.Kind && a.ID != "" && a.ID == author.ID
	}
	return false
}
