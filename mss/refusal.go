package mss

import (
	"errors"

	"pli/internal/errs"
)

// Reason says why a sender, a recipient or a message is refused.
type Reason uint8

// The reasons. A face turns each into a code of its own.
const (
	NoCertificate     Reason = iota + 1 // the peer showed none
	UnknownAuthority                    // nobody whom we trust issued it
	BadCertificate                      // expired, not for this use, or a broken chain
	NotOnAllowList                      // its name speaks for no domain of the space
	SenderDomain                        // MAIL FROM is not in the operator's domains
	SenderAddress                       // MAIL FROM is not the signed-in member's
	BadAddress                          // not an address at all
	UnknownRecipient                    // no such mailbox, or no space that takes mail
	TooManyUnknown                      // too many such from one sender: not now
	SecondHolder                        // one holder a message; the others apart
	HoldersInHeaders                    // the header names several holders
	TooManyRecipients                   // the rest apart
	TooLarge                            // the message
	MailboxFull                         // the recipient's
	OneMailboxFull                      // of several recipients: told at RCPT next time
	NoExchange                          // the holder may not write to this mailbox
	NotMember                           // a domain that this server does not deliver to
	HeaderFrom                          // From does not agree with who sends
	BadHeader                           // the header breaks RFC 5322
	BareNewline                         // CR or LF alone, or NUL
	Loop                                // the message has been round too often
	AuthRequired                        // nobody has signed in
	Busy                                // not now
)

// law is one reason's kind and words. They are ASCII: SMTP shows them as they
// are, whoever asks.
type law struct {
	name string
	kind errs.Kind
	text string
}

var laws = [...]law{
	NoCertificate:     {"no-certificate", errs.Unauthenticated, "show a client certificate: only operators of the trusted messaging space deliver here"},
	UnknownAuthority:  {"unknown-authority", errs.Unauthenticated, "your certificate was not issued by an authority of the trusted messaging space"},
	BadCertificate:    {"bad-certificate", errs.Unauthenticated, "your certificate is not valid"},
	NotOnAllowList:    {"not-on-allow-list", errs.Denied, "the name in your certificate is not on the allow-list of the trusted messaging space"},
	SenderDomain:      {"sender-domain", errs.Denied, "the domain of MAIL FROM is not one of those that your certificate speaks for"},
	SenderAddress:     {"sender-address", errs.Denied, "MAIL FROM is not an address of the one who signed in"},
	BadAddress:        {"bad-address", errs.Invalid, "this is not an address"},
	UnknownRecipient:  {"unknown-recipient", errs.NotFound, "no mailbox here has this address"},
	TooManyUnknown:    {"too-many-unknown", errs.Unavailable, "too many of your recipients are unknown here; holders' addresses are refused for a while"},
	SecondHolder:      {"second-holder", errs.Unavailable, "one holder a message: send to this one in a transaction of its own"},
	HoldersInHeaders:  {"holders-in-headers", errs.Denied, "the header names another holder: write to each in a message of their own, so that none learns of another"},
	TooManyRecipients: {"too-many-recipients", errs.Unavailable, "too many recipients: send to this one in a transaction of its own"},
	TooLarge:          {"too-large", errs.TooLarge, "the message is too large"},
	MailboxFull:       {"mailbox-full", errs.TooLarge, "the mailbox is full: it takes no message of this size"},
	OneMailboxFull:    {"one-mailbox-full", errs.Unavailable, "the mailbox of one recipient is full: try again, and you are told whose"},
	NoExchange: {"no-exchange", errs.Denied, "Vous ne pouvez pas envoyer de message ici : c'est au professionnel de vous contacter d'abord. / " +
		"You cannot write to this address: the professional has to write to you first."},
	NotMember:    {"not-member", errs.Denied, "this server does not deliver mail to that domain"},
	HeaderFrom:   {"header-from", errs.Denied, "From must name one address, of the one who sends"},
	BadHeader:    {"bad-header", errs.Invalid, "the header breaks the rules of RFC 5322"},
	BareNewline:  {"bare-newline", errs.Invalid, "the message holds a CR or LF alone, or a NUL"},
	Loop:         {"loop", errs.Denied, "the message has passed too many servers"},
	AuthRequired: {"auth-required", errs.Unauthenticated, "sign in first"},
	Busy:         {"busy", errs.Unavailable, "not now; try again later"},
}

// Reasons returns every reason, in order.
func Reasons() []Reason {
	out := make([]Reason, 0, len(laws)-1)
	for r := NoCertificate; int(r) < len(laws); r++ {
		out = append(out, r)
	}
	return out
}

// String returns the reason's word, for logs and metrics.
func (r Reason) String() string {
	if int(r) < len(laws) && r > 0 {
		return laws[r].name
	}
	return "unknown"
}

// Kind returns what sort of failure the reason is.
func (r Reason) Kind() errs.Kind {
	if int(r) < len(laws) && r > 0 {
		return laws[r].kind
	}
	return errs.Internal
}

// Refusal is a refusal with its reason. Its text is ASCII, fit for whoever
// sends. It carries an *errs.Error of the reason's kind.
type Refusal struct {
	Reason Reason
	Text   string
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// Unwrap returns the same failure as the house's other rooms know it.
func (r *Refusal) Unwrap() error { return &errs.Error{Kind: r.Reason.Kind(), Text: r.Text} }

// Is makes two refusals for one reason equal, whatever their words.
func (r *Refusal) Is(target error) bool {
	other, ok := target.(*Refusal)
	return ok && other.Reason == r.Reason
}

// refuse returns a refusal with the reason's words, or with others.
func refuse(r Reason, text ...string) *Refusal {
	if len(text) > 0 {
		return &Refusal{r, text[0]}
	}
	return &Refusal{r, laws[r].text}
}

// ReasonOf returns why err refuses, 0 if it is no refusal.
func ReasonOf(err error) Reason {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return 0
}
