package mss

import (
	"slices"
	"time"

	"pli/identity"
)

// An exchange is the right of a holder to write to one mailbox. It belongs to
// the pair (holder, mailbox), not to a thread (mission D2). Whoever writes to
// the holder opens it; it lasts until those who opened it have ended it.

// effect is what a message to a holder does to their exchanges.
type effect struct {
	opens []identity.Address // the mailboxes that the holder may now write to
	ends  bool               // instead: what From opened, and the exchange with From itself
}

// none reports whether a message changes nothing.
func (e effect) none() bool { return len(e.opens) == 0 && !e.ends }

// effectOf says what a message to a holder does to their exchanges. null: its
// MAIL FROM is <>; within reports whether a domain is the sender's own
// operator's.
//
//   - A null sender, and a message that a machine sent by itself, do nothing.
//   - X-MSS-MES: FIN, or the subject [FIN], ends (mssante.md 2).
//   - Else the message opens: for the addresses of Reply-To, as long as they
//     are of the sender's own operator, else for From.
func effectOf(f *facts, null bool, within func(domain string) bool) effect {
	switch {
	case null || f.auto:
		return effect{}
	case f.fin:
		return effect{ends: true}
	}
	var e effect
	for _, a := range f.replyTo {
		if within(a.Domain()) {
			e.opens = append(e.opens, a)
		}
	}
	if len(e.opens) == 0 {
		e.opens = []identity.Address{f.from}
	}
	return e
}

// exchange is one pair's state: open while somebody who opened it has not
// ended it.
type exchange struct {
	Mailbox identity.Address `cbor:"1,keyasint"`
	Name    string           `cbor:"2,keyasint,omitempty"` // as From last gave it, when it opened
	Openers []opener         `cbor:"3,keyasint,omitempty"`
	Since   int64            `cbor:"4,keyasint"` // when it was last opened or ended; milliseconds since 1970
}

// opener is a From address that opened an exchange.
type opener struct {
	From string `cbor:"1,keyasint"` // identity.Address.Key
	At   int64  `cbor:"2,keyasint"` // milliseconds since 1970
}

func (x *exchange) open() bool { return len(x.Openers) > 0 }

// openedBy notes that from opened the exchange, and reports whether that
// changed it. Beyond max openers the oldest is forgotten.
func (x *exchange) openedBy(from identity.Address, name string, at time.Time, max int) bool {
	if slices.ContainsFunc(x.Openers, func(o opener) bool { return o.From == from.Key() }) {
		return false
	}
	if !x.open() {
		x.Since = at.UnixMilli()
	}
	if name != "" && x.Mailbox.Key() == from.Key() {
		x.Name = name
	}
	x.Openers = append(x.Openers, opener{from.Key(), at.UnixMilli()})
	if len(x.Openers) > max {
		x.Openers = slices.Delete(x.Openers, 0, len(x.Openers)-max)
	}
	return true
}

// endedBy notes that from ended what it opened, and reports whether that
// changed the exchange. The mailbox itself ends its exchange whoever opened
// it; nobody else ends what others opened.
func (x *exchange) endedBy(from identity.Address, at time.Time) bool {
	before := len(x.Openers)
	if x.Mailbox.Key() == from.Key() {
		x.Openers = nil
	} else {
		x.Openers = slices.DeleteFunc(x.Openers, func(o opener) bool { return o.From == from.Key() })
	}
	if before > 0 && !x.open() {
		x.Since = at.UnixMilli()
	}
	return len(x.Openers) != before
}
