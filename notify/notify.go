// Package notify tells people and open sessions what has just happened.
//
// A Hub wakes sessions of this process; an Outbox keeps notices to people in
// the same transaction as what they tell of, and sends them afterwards through
// a Sender. Notices carry no health content: whoever can read the channel
// learns that there is something new, never what.
package notify

import "context"

// Notice is one message to a person, by e-mail or SMS.
type Notice struct {
	Kind    string `cbor:"1,keyasint"` // what it is about, for metrics: "code", "message", "access", …
	To      string `cbor:"2,keyasint"` // e-mail address or telephone number
	Subject string `cbor:"3,keyasint,omitempty"`
	Body    string `cbor:"4,keyasint"` // plain text, lines end in LF
}

// Sender takes a notice to its person. When Send returns nil the notice is
// in safe hands; an error means try again, unless its kind is errs.Invalid:
// this notice can never be sent. Send may be called by several goroutines.
type Sender interface {
	Send(ctx context.Context, n Notice) error
}
