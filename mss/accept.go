package mss

import (
	"context"
	"slices"

	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/mss/directory"
	"pli/store"
)

// Params is what comes with MAIL. All but Size may be empty.
type Params struct {
	Size     int64  // bytes that the sender announces, 0 if it does not (RFC 1870)
	Body     string // "7BIT" or "8BITMIME" (RFC 6152)
	SMTPUTF8 bool   // RFC 6531
	Ret      string // "FULL" or "HDRS" (RFC 3461 4.3)
	EnvID    string // RFC 3461 4.4
	Helo     string // how a peer introduced itself
	Remote   string // network address of a peer
	Protocol string // for Received; default "ESMTPS", of a member "ESMTPSA"
}

// RcptParams is what comes with RCPT.
type RcptParams struct {
	Notify []string // RFC 3461 4.1
	ORcpt  string   // RFC 3461 4.2
}

// Sender is a member or a holder who is signed in.
type Sender struct {
	Actor     identity.Actor
	Addresses []identity.Address // that they may write as
	Account   store.Owner        // their own; a holder's space
}

func (s Sender) has(a identity.Address) bool {
	return slices.ContainsFunc(s.Addresses, func(own identity.Address) bool { return own.Key() == a.Key() })
}

// Transaction is one message on its way: recipients one after another, then
// the message, once. It is for one goroutine.
type Transaction struct {
	s      *Service
	peer   *Peer  // nil: from a member
	sender Sender // if peer is nil
	from   identity.Address
	params Params
	rcpts  []recipient
	given  bool // the message was
}

// recipient is one account that gets the message.
type recipient struct {
	address identity.Address
	owner   store.Owner
	holder  bool
	key     keyring.Recipient
	params  RcptParams
}

// FromPeer begins a message of a peer operator's. mailFrom is the reverse path
// without angle brackets, empty for the null sender. Refusals: BadAddress,
// SenderDomain, TooLarge.
func (s *Service) FromPeer(ctx context.Context, p *Peer, mailFrom string, params Params) (*Transaction, error) {
	t := &Transaction{s: s, peer: p, params: params}
	return t, s.stats.count(t.begin(mailFrom, func(a identity.Address) error {
		if !p.owns(a.Domain()) {
			return refuse(SenderDomain)
		}
		return nil
	}))
}

// FromMember begins a message of a member's or a holder's. mailFrom is empty
// for the null sender. Refusals: BadAddress, SenderAddress, TooLarge.
func (s *Service) FromMember(ctx context.Context, sender Sender, mailFrom string, params Params) (*Transaction, error) {
	t := &Transaction{s: s, sender: sender, params: params}
	return t, s.stats.count(t.begin(mailFrom, func(a identity.Address) error {
		if !sender.has(a) {
			return refuse(SenderAddress)
		}
		return nil
	}))
}

func (t *Transaction) begin(mailFrom string, check func(identity.Address) error) error {
	if mailFrom != "" {
		var err error
		if t.from, err = identity.ParseAddress(mailFrom); err != nil {
			return refuse(BadAddress)
		}
		if err := check(t.from); err != nil {
			return err
		}
	}
	if t.params.Size > t.s.cfg.Limits.MaxMessage { // RFC 1870 6.1
		return refuse(TooLarge)
	}
	return nil
}

// UTF8 reports whether the sender may use addresses in UTF-8 (RFC 6531).
func (t *Transaction) UTF8() bool { return t.params.SMTPUTF8 }

// fromHolder reports whether a holder writes.
func (t *Transaction) fromHolder() bool {
	return t.peer == nil && t.sender.Actor.Kind == identity.Holder
}

// within reports whether a domain is the sender's own operator's.
func (t *Transaction) within(domain string) bool {
	if t.peer != nil {
		return t.peer.owns(domain)
	}
	return t.s.cfg.Directory.Kind(domain) == directory.Local
}

// Rcpt adds a recipient, an address without angle brackets; the same again is
// no error. Refusals: BadAddress, UnknownRecipient, TooManyUnknown,
// SecondHolder, TooManyRecipients, NoExchange, NotMember, MailboxFull. The
// transaction goes on after a refusal.
func (t *Transaction) Rcpt(ctx context.Context, to string, params RcptParams) error {
	return t.s.stats.count(t.rcpt(ctx, to, params))
}

func (t *Transaction) rcpt(ctx context.Context, to string, params RcptParams) error {
	a, err := identity.ParseAddress(to)
	if err != nil {
		return refuse(BadAddress)
	}
	if slices.ContainsFunc(t.rcpts, func(r recipient) bool { return r.address.Key() == a.Key() }) {
		return nil
	}
	if len(t.rcpts) >= t.s.cfg.Limits.MaxRecipients {
		return refuse(TooManyRecipients)
	}
	r := recipient{address: a, params: params}
	kind := t.s.cfg.Directory.Kind(a.Domain())
	switch {
	case kind == directory.Patient:
		err = t.rcptHolder(ctx, &r)
	case t.fromHolder():
		err = t.rcptOfHolder(ctx, &r, kind)
	case kind == directory.Local:
		err = t.rcptMember(ctx, &r)
	default:
		err = refuse(NotMember)
	}
	if err != nil || slices.ContainsFunc(t.rcpts, func(old recipient) bool { return old.owner == r.owner }) {
		return err
	}
	if err := t.room(ctx, &r); err != nil {
		return err
	}
	t.rcpts = append(t.rcpts, r)
	return nil
}

// rcptMember finds a member's mailbox.
func (t *Transaction) rcptMember(ctx context.Context, r *recipient) error {
	box, err := t.s.cfg.Directory.Lookup(ctx, r.address)
	if errs.Is(err, errs.NotFound) {
		return refuse(UnknownRecipient)
	}
	if err != nil {
		return err
	}
	r.owner = box.Account
	r.key, err = t.s.cfg.Signin.Recipient(ctx, r.owner)
	return err
}

// rcptOfHolder finds the mailbox that a holder writes to. Whether it exists is
// not told apart from whether they may write to it.
func (t *Transaction) rcptOfHolder(ctx context.Context, r *recipient, kind directory.Kind) error {
	err := t.s.cfg.DB.View(ctx, t.sender.Account, func(tx store.Tx) error { return t.s.mayWrite(tx, r.address, nil) })
	switch {
	case ReasonOf(err) == NoExchange:
		t.traceSend(r.address)
		return err
	case err != nil:
		return err
	case kind != directory.Local:
		return refuse(NotMember)
	}
	return t.rcptMember(ctx, r)
}

// traceSend traces that a holder tried to write where they may not (mission C7).
func (t *Transaction) traceSend(to identity.Address) {
	actor, req := t.sender.Actor, consent.Request{Space: t.sender.Account, Act: consent.ActMailSend, Title: to.String()}
	t.s.traceLater(func(ctx context.Context) error {
		return t.s.cfg.Gate.Trace(ctx, actor, req, "deny", "the exchange is not open")
	})
}

// Close frees the transaction; a message that Data has taken stays taken.
func (t *Transaction) Close() { t.rcpts = nil }
