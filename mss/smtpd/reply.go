package smtpd

import (
	"errors"

	"github.com/emersion/go-smtp"

	"pli/mss"
)

// code is how SMTP says a reason (RFC 5321 4.2, RFC 3463, RFC 7372).
type code struct {
	basic    int
	enhanced smtp.EnhancedCode
}

// codes turns every reason of mss outward.
var codes = map[mss.Reason]code{
	mss.NoCertificate:     {550, smtp.EnhancedCode{5, 7, 0}},
	mss.UnknownAuthority:  {550, smtp.EnhancedCode{5, 7, 0}},
	mss.BadCertificate:    {550, smtp.EnhancedCode{5, 7, 0}},
	mss.NotOnAllowList:    {550, smtp.EnhancedCode{5, 7, 1}},
	mss.SenderDomain:      {550, smtp.EnhancedCode{5, 7, 1}},
	mss.SenderAddress:     {550, smtp.EnhancedCode{5, 7, 1}},
	mss.BadAddress:        {553, smtp.EnhancedCode{5, 1, 3}},
	mss.UnknownRecipient:  {550, smtp.EnhancedCode{5, 1, 1}},
	mss.TooManyUnknown:    {450, smtp.EnhancedCode{4, 7, 1}},
	mss.SecondHolder:      {452, smtp.EnhancedCode{4, 5, 3}},
	mss.HoldersInHeaders:  {550, smtp.EnhancedCode{5, 7, 1}},
	mss.TooManyRecipients: {452, smtp.EnhancedCode{4, 5, 3}},
	mss.TooLarge:          {552, smtp.EnhancedCode{5, 3, 4}},
	mss.MailboxFull:       {552, smtp.EnhancedCode{5, 2, 2}},
	mss.OneMailboxFull:    {452, smtp.EnhancedCode{4, 2, 2}},
	mss.NoExchange:        {550, smtp.EnhancedCode{5, 7, 1}},
	mss.NotMember:         {550, smtp.EnhancedCode{5, 7, 1}},
	mss.HeaderFrom:        {550, smtp.EnhancedCode{5, 7, 1}},
	mss.BadHeader:         {550, smtp.EnhancedCode{5, 6, 0}},
	mss.BareNewline:       {554, smtp.EnhancedCode{5, 6, 0}},
	mss.Loop:              {554, smtp.EnhancedCode{5, 4, 6}},
	mss.AuthRequired:      {530, smtp.EnhancedCode{5, 7, 0}},
	mss.Busy:              {451, smtp.EnhancedCode{4, 3, 2}},
}

// The replies that this face gives by itself.
var (
	errInternal    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "something went wrong on our side; try again later"}
	errBrokeOff    = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2}, Message: "the message broke off"}
	errNested      = &smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "a message has begun already; RSET gives it up"}
	errNoMail      = &smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "MAIL first"}
	errNeedUTF8    = &smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 6, 7}, Message: "this address needs SMTPUTF8"}
	errAuthFailed  = &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "address or password is wrong"}
	errAuthLater   = &smtp.SMTPError{Code: 454, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "signing in is not possible now; try again later"}
	errSignedOut   = &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 7, 0}, Message: "this sign-in has ended"}
	errAuthSyntax  = &smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "the answer is not of the mechanism's form"}
	errAuthUnknown = &smtp.SMTPError{Code: 504, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "unknown mechanism"}
)

// reply turns a failure of the domain outward: a refusal by its reason, and
// everything else, whatever its words, as a failure of ours that may pass.
func reply(err error) error {
	if err == nil {
		return nil
	}
	var ours *smtp.SMTPError
	if errors.As(err, &ours) {
		return ours
	}
	if r := mss.ReasonOf(err); r != 0 {
		return refusal(r, err.Error())
	}
	if mss.IsReadError(err) {
		return errBrokeOff
	}
	return errInternal
}

func refusal(r mss.Reason, text string) *smtp.SMTPError {
	c, ok := codes[r]
	if !ok {
		return errInternal
	}
	return &smtp.SMTPError{Code: c.basic, EnhancedCode: c.enhanced, Message: text}
}
