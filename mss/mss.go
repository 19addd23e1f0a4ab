// Package mss is the law of the trusted messaging space: who may write to
// whom, and what becomes of a message.
package mss

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"time"

	"pli/certs"
	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/mss/directory"
	"pli/space"
	"pli/store"
)

// Limits of the messaging space. A zero field takes the default beside it.
type Limits struct {
	MaxMessage    int64         // bytes of one message as it arrives: 25 000 000
	MaxHeader     int           // bytes of its header: 1 MiB
	MaxRecipients int           // of one message: 100
	UnknownShare  float64       // of unknown holders among a sender's holder recipients, above which it is paused: 0.3
	UnknownLeast  int           // holder recipients before the share counts: 20
	UnknownWindow time.Duration // over which it is taken: 1 h
	UnknownPause  time.Duration // how long holder addresses are then put off: 15 min
	RepeatDays    int           // days for which a repeat adds nothing: 7
	RefusalFloor  time.Duration // least time that a holder's refusal takes: 40 ms
}

// Recipients tells to whom an account's mail is sealed; signin.Service does.
type Recipients interface {
	Recipient(ctx context.Context, owner store.Owner) (keyring.Recipient, error)
}

// Outbox takes what a holder is told; notify.Outbox does.
type Outbox = consent.Outbox

// Config says what a Service works on.
type Config struct {
	DB        store.DB // the sealed records that Gate and Mail work on, for members' accounts
	Spaces    *space.Service
	Directory *directory.Directory
	Mail      *mailbox.Service
	Gate      *consent.Gate
	Signin    Recipients
	Outbox    Outbox // nil: nobody is told
	Filer     Filer  // nil: nothing can be filed
	Trust     *certs.Trust
	Secret    [32]byte // of keyed digests (sealed.Master.Derive)
	Hostname  string   // in Received lines; our authserv-id
	Product   string   // X-MSS-NIL on submitted messages that carry none; "" adds none
	Now       func() time.Time
	Log       *slog.Logger
	Limits    Limits

	RepliesOnly bool // a holder may only answer, not write anew
}

// Service is the messaging space of one instance.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg: cfg} }

// Close waits for what runs off the reply path.
func (s *Service) Close(ctx context.Context) error { return nil }

// Reason says why something was refused.
type Reason uint8

// The reasons.
const (
	NoCertificate Reason = iota + 1
	UnknownAuthority
	NotOnAllowList
	SenderDomain
	UnknownRecipient
	TooManyUnknown
	SecondHolder
	HoldersInHeaders
	TooLarge
	NoExchange
	NotMember
	HeaderFrom
	BadHeader
	BareNewline
	AuthRequired
	Busy
	SenderAddress
	TooManyRecipients
	Loop
	BadAddress
)

// Refusal is a refusal with its reason.
type Refusal struct {
	Reason Reason
	Text   string
}

// Error returns the words.
func (r *Refusal) Error() string { return r.Text }

// Peer is a peer operator whose certificate was checked.
type Peer struct{}

// Peer says who calls, or why they are refused.
func (s *Service) Peer(state tls.ConnectionState) (*Peer, error) { return nil, nil }

// Certificate returns the mailboxes that a member's certificate opens.
func (s *Service) Certificate(ctx context.Context, state tls.ConnectionState) ([]directory.Mailbox, error) {
	return nil, nil
}

// Params is what comes with MAIL.
type Params struct {
	Size     int64
	Body     string
	SMTPUTF8 bool
	Ret      string
	EnvID    string
	Helo     string
	Remote   string
	Protocol string
}

// RcptParams is what comes with RCPT.
type RcptParams struct {
	Notify []string
	ORcpt  string
}

// Sender is a member or holder who is signed in.
type Sender struct {
	Actor     identity.Actor
	Addresses []identity.Address
	Account   store.Owner
}

// Transaction is one message on its way.
type Transaction struct{}

// FromPeer begins a message of a peer's.
func (s *Service) FromPeer(ctx context.Context, p *Peer, mailFrom string, params Params) (*Transaction, error) {
	return nil, nil
}

// FromMember begins a message of a member's or holder's.
func (s *Service) FromMember(ctx context.Context, sender Sender, mailFrom string, params Params) (*Transaction, error) {
	return nil, nil
}

// Rcpt adds a recipient.
func (t *Transaction) Rcpt(ctx context.Context, to string, params RcptParams) error { return nil }

// Data takes the message; when it returns nil the message is durable for all.
func (t *Transaction) Data(ctx context.Context, r io.Reader) (id string, err error) { return "", nil }

// Close frees the transaction.
func (t *Transaction) Close() {}

// Exchange is the right of a holder to write to one mailbox, or its end.
type Exchange struct {
	Mailbox identity.Address
	Name    string
	Open    bool
	Since   time.Time // opened or ended
}

// Exchanges lists the exchanges of a space.
func (s *Service) Exchanges(ctx context.Context, actor identity.Actor, owner store.Owner) ([]Exchange, error) {
	return nil, nil
}

// Proposal is what a document may be filed as.
type Proposal struct {
	Type  string
	Title string
	Date  time.Time
}

// Propose reads a filing proposal from what a message carries.
func Propose(ix *message.Index, part *message.Part) Proposal { return Proposal{} }

// Filing is what is put into a dossier.
type Filing struct {
	Proposal
	MIME, Filename string
	Source         string // opaque id of the message
	Content        io.Reader
}

// Filer files a document into a space's dossier and returns its id.
type Filer interface {
	File(ctx context.Context, actor identity.Actor, owner store.Owner, f Filing) (id string, err error)
}
