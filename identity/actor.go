package identity

import (
	"log/slog"
)

// ActorKind says in what quality somebody acts.
type ActorKind uint8

// The kinds of actor. Their numbers and words stand in records: add, never
// change.
const (
	Unknown        ActorKind = iota
	Holder                   // the person whose space it is
	Representative           // acts for a minor or a protected adult, as themselves
	Professional             // a health or social-care professional
	Establishment            // a hospital, a laboratory: a body acting by itself
	Application              // a referenced application
	Operator                 // a peer operator's server
	Staff                    // of this instance's operator
	System                   // the instance itself, by a rule of its own
)

var actorKinds = [...]string{"unknown", "holder", "representative", "professional", "establishment", "application", "operator", "staff", "system"}

// String returns the kind's word, stable in records.
func (k ActorKind) String() string {
	if int(k) < len(actorKinds) {
		return actorKinds[k]
	}
	return actorKinds[Unknown]
}

// ParseActorKind returns the kind of a word, Unknown if there is none.
func ParseActorKind(word string) ActorKind {
	for k, w := range actorKinds {
		if w == word {
			return ActorKind(k)
		}
	}
	return Unknown
}

// Actor is whoever acts, as the decision and the trace know them.
type Actor struct {
	Kind       ActorKind `cbor:"1,keyasint,omitempty"`
	ID         string    `cbor:"2,keyasint,omitempty"` // RPPS, structure, or space id; never an INS
	Name       string    `cbor:"3,keyasint,omitempty"` // for display
	Profession string    `cbor:"4,keyasint,omitempty"` // code of TRE_G15, such as "10", a doctor
	Structure  string    `cbor:"5,keyasint,omitempty"` // national identifier of the body they act for
	Address    string    `cbor:"6,keyasint,omitempty"` // mailbox they act through
	Account    string    `cbor:"7,keyasint,omitempty"` // owner of their own account's records, "" if none
}

// String returns the kind and the opaque account, without what names a person.
func (a Actor) String() string {
	if a.Account == "" {
		return a.Kind.String()
	}
	return a.Kind.String() + " " + a.Account
}

// LogValue returns the kind and the opaque account, without what names a
// person.
func (a Actor) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kind", a.Kind.String()), slog.String("account", a.Account))
}
