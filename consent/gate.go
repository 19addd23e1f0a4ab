// Package consent decides who may see or feed a space.
package consent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pli/audit"
	"pli/identity"
	"pli/notify"
	"pli/space"
	"pli/store"
)

// Act names what someone wants to do on a space.
type Act string

// The acts.
const (
	ActMailDeliver   Act = "mail.deliver"
	ActMailOpen      Act = "mail.open"
	ActMailDisplay   Act = "mail.display"
	ActMailSend      Act = "mail.send"
	ActMailReject    Act = "mail.reject"
	ActDossierFile   Act = "dossier.file"
	ActDossierList   Act = "dossier.list"
	ActDossierRead   Act = "dossier.read"
	ActTraceRead     Act = "trace.read"
	ActExchangeList  Act = "exchange.list"
	ActExchangeClose Act = "exchange.close"
	ActSpaceState    Act = "space.state"
)

// Mode says how an access is asked for.
type Mode uint8

// The modes of access.
const (
	Normal Mode = iota
	Emergency
	Regulation
)

// Flags of a document's confidentiality (JDV_J08).
const (
	MaskedFromProfessionals    = "MASQUE_PS"
	InvisibleToPatient         = "INVISIBLE_PATIENT"
	InvisibleToRepresentatives = "INVISIBLE_REPRESENTANTS_LEGAUX"
)

// DocumentFacts is what a decision needs to know of a document.
type DocumentFacts struct {
	ID              string
	Type            string
	Class           string
	Author          identity.Actor
	Confidentiality []string
}

// Request is what someone asks to do.
type Request struct {
	Space    store.Owner
	Act      Act
	Object   string
	Title    string
	Detail   map[string]string
	Document *DocumentFacts
	// Load, if not nil, reads the document's facts inside the transaction of
	// the act, in place of Document.
	Load func(tx store.Tx) (*DocumentFacts, error)
	Mode Mode
}

// Relation is what ties an actor to a space or a document.
type Relation uint8

// The relations.
const (
	None Relation = iota
	Self
	Author
)

// Facts is all that a decision rests on.
type Facts struct {
	Actor    identity.Actor
	Relation Relation
	Act      Act
	State    space.State
	Mode     Mode
	Document *DocumentFacts
}

// Decision is the answer.
type Decision struct {
	Permit bool
	Rule   string
	Reason string
}

// Decide answers.
func Decide(f Facts) Decision { return Decision{} }

// ErrNothing, returned by the function given to Do, says that the act adds nothing.
var ErrNothing = errors.New("consent: nothing to do")

// Outbox takes what a holder is told.
type Outbox interface {
	Enqueue(tx store.Tx, key string, n notify.Notice, at time.Time) error
}

// Config says what a Gate works on.
type Config struct {
	DB     store.DB
	Outbox Outbox
	Now    func() time.Time
	Log    *slog.Logger
}

// Gate is the only door to a space.
type Gate struct{ cfg Config }

// NewGate returns a Gate.
func NewGate(cfg Config) *Gate { return &Gate{cfg: cfg} }

// Do decides, runs fn and traces, in one transaction.
func (g *Gate) Do(ctx context.Context, actor identity.Actor, req Request, fn func(tx store.Tx) error) error {
	return nil
}

// Trace writes down an attempt that was refused, or failed, outside the gate.
func (g *Gate) Trace(ctx context.Context, actor identity.Actor, req Request, outcome audit.Outcome, reason string) error {
	return nil
}
