package consent

import (
	"slices"

	"pli/identity"
	"pli/space"
	"pli/store"
)

// Facts is all that a decision rests on.
type Facts struct {
	Actor    identity.Actor
	Relation Relation
	Act      Act
	State    space.State
	Mode     Mode
	Document *DocumentFacts // nil: the act is about none, or there is no such document
}

// Decision is the answer.
type Decision struct {
	Permit bool
	// Hidden marks a refusal that must read like the absence of what was
	// asked for.
	Hidden bool
	Rule   string // the rule that decided, a stable word
	Reason string // why, in a sentence fit for whoever asked
}

// rule is one sentence of the law. The first rule that holds decides.
type rule struct {
	name   string
	permit bool
	hidden bool
	reason string
	holds  func(Facts) bool
}

// rules is the law, in its order; testdata/consent/matrix.txt shows it case by
// case. Where none holds, nothing is permitted.
var rules = []rule{
	{name: "emergency-not-offered", reason: "emergency access is not offered here",
		holds: func(f Facts) bool { return f.Mode != Normal }},
	{name: "holder-trace", permit: true, reason: "holders read who did what in their space, after closing it too",
		holds: func(f Facts) bool {
			return f.self() && f.Act == ActTraceRead && f.in(space.Active, space.Closed, space.Archived)
		}},
	{name: "holder-key", permit: true, reason: "holders take out their own key, after closing too",
		holds: func(f Facts) bool {
			return f.self() && f.Act == ActKeyTake && f.in(space.Active, space.Closed, space.Archived)
		}},
	{name: "holder-state", permit: true, reason: "holders oppose, open, close and reopen their space",
		holds: func(f Facts) bool { return f.self() && f.Act == ActSpaceState && f.alive() }},
	{name: "operator-state", permit: true, reason: "the operator and its calendar move a space through its life",
		holds: func(f Facts) bool {
			return f.is(identity.Staff, identity.System) && f.Act == ActSpaceState && f.alive()
		}},
	{name: "operator-restore", permit: true, reason: "the operator brings back from a backup what a space has lost",
		holds: func(f Facts) bool { return f.is(identity.Staff) && f.Act == ActSpaceRestore && f.alive() }},
	{name: "operator-repair", permit: true, reason: "the operator makes a space's records agree after damage to the storage",
		holds: func(f Facts) bool { return f.is(identity.Staff) && f.Act == ActSpaceRepair && f.alive() }},
	{name: "operator-export", permit: true, reason: "the operator copies out, sealed, what a holder takes elsewhere",
		holds: func(f Facts) bool { return f.is(identity.Staff) && f.Act == ActSpaceExport && f.alive() }},
	{name: "holder-keys", permit: true, reason: "holders change how their own mail is opened",
		holds: func(f Facts) bool {
			return f.self() && (f.Act == ActKeyChange || f.Act == ActKeyRecover) && f.in(space.Active, space.Closed, space.Archived)
		}},
	{name: "operator-keys", permit: true, reason: "the operator renews keys, and helps who has lost theirs",
		holds: func(f Facts) bool {
			return f.is(identity.Staff) && (f.Act == ActKeyRotate || f.Act == ActKeyRecover) && f.alive()
		}},
	{name: "space-not-open", reason: "the space is not open",
		holds: func(f Facts) bool { return !f.in(space.Open, space.Active) }},
	{name: "delivery", permit: true, reason: "members of the trusted messaging space write to an open space",
		holds: func(f Facts) bool { return f.Act == ActMailDeliver && f.sender() }},
	{name: "sender-closes", permit: true, reason: "whoever opened an exchange may end it",
		holds: func(f Facts) bool { return f.Act == ActExchangeClose && f.sender() }},
	{name: "not-activated", reason: "the space has not been activated by its holder",
		holds: func(f Facts) bool { return f.self() && f.State != space.Active }},
	{name: "no-such-document", hidden: true, reason: "there is no such document",
		holds: func(f Facts) bool {
			return f.self() && f.Act == ActDossierRead && (f.Document == nil || f.Document.Has(InvisibleToPatient))
		}},
	{name: "holder", permit: true, reason: "it is the holder's own space",
		holds: func(f Facts) bool { return f.self() && slices.Contains(holderActs, f.Act) }},
	{name: "author", permit: true, reason: "authors read the documents that they brought",
		holds: func(f Facts) bool {
			return f.Relation == Author && f.Document != nil && f.Act == ActDossierRead &&
				f.is(identity.Professional, identity.Establishment, identity.Application)
		}},
}

// holderActs are what holders do in their own active space.
var holderActs = []Act{
	ActMailOpen, ActMailDisplay, ActMailSend, ActExchangeList, ActExchangeClose,
	ActDossierFile, ActDossierList, ActDossierRead,
}

// noRight is the answer where no rule holds.
var noRight = Decision{Rule: "no-right", Reason: "nobody has given a right to do this"}

// Decide says whether what the facts tell of may be done: the first rule that
// holds decides, and without one it is refused. It is pure.
func Decide(f Facts) Decision {
	for _, r := range rules {
		if r.holds(f) {
			return Decision{Permit: r.permit, Hidden: r.hidden, Rule: r.name, Reason: r.reason}
		}
	}
	return noRight
}

// Visible reports whether an actor may read a document of an active space:
// what a list of documents, permitted as ActDossierList, may show of each.
func Visible(a identity.Actor, owner store.Owner, d *DocumentFacts) bool {
	return Decide(Facts{Actor: a, Relation: Relate(a, owner, d), Act: ActDossierRead, State: space.Active, Document: d}).Permit
}

func (f Facts) self() bool { return f.Actor.Kind == identity.Holder && f.Relation == Self }

func (f Facts) is(kinds ...identity.ActorKind) bool { return slices.Contains(kinds, f.Actor.Kind) }

func (f Facts) in(states ...space.State) bool { return slices.Contains(states, f.State) }

// alive reports whether the space is in a state of its life; a deleted one is not.
func (f Facts) alive() bool { return f.State.String() != "" && f.State != space.Deleted }

// sender reports whether the actor is one whom mss lets write to holders: a
// member, a peer operator on behalf of its own, or the instance itself.
func (f Facts) sender() bool {
	return f.is(identity.Professional, identity.Establishment, identity.Application, identity.Operator, identity.System)
}
