package smtpd

import (
	"bytes"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"pli/identity"
	"pli/internal/errs"
	"pli/mss"
)

// AuthMechanisms lists how one can sign in: EXTERNAL only with a client
// certificate (RFC 4422 A).
func (m *member) AuthMechanisms() []string {
	if len(m.l.tls.ConnectionState().PeerCertificates) > 0 {
		return []string{"PLAIN", "LOGIN", "EXTERNAL"}
	}
	return []string{"PLAIN", "LOGIN"}
}

// Auth begins a sign-in.
func (m *member) Auth(mech string) (sasl.Server, error) {
	switch {
	case m.tx != nil:
		return nil, errNested // RFC 4954 4: not during a mail transaction
	case m.failures >= m.s.cfg.Limits.MaxAuthFailures:
		m.l.bye("421 4.7.0 too many failed sign-ins")
		return nil, errAuthFailed
	case mech == "PLAIN":
		return &plain{m}, nil
	case mech == "LOGIN":
		return &login{m: m}, nil
	case mech == "EXTERNAL":
		return &external{m}, nil
	}
	return nil, errAuthUnknown
}

// password signs in with a mail password; the user is the mailbox's address.
func (m *member) password(user, password string) error {
	opened, err := m.s.cfg.Signin.Mail(m.ctx, user, password)
	if err != nil {
		return m.failed(err)
	}
	opened.Keys.Wipe() // writing needs no key
	if err := m.settle(held{opened.Account, opened.Slot}); err != nil {
		return m.failed(err)
	}
	m.sender = &mss.Sender{Actor: opened.Actor, Addresses: []identity.Address{opened.Address}, Account: opened.Account}
	return nil
}

// failed counts a sign-in that failed, and turns it outward.
func (m *member) failed(err error) error {
	if r := mss.ReasonOf(err); r != 0 {
		m.failures++
		return &smtp.SMTPError{Code: errAuthFailed.Code, EnhancedCode: errAuthFailed.EnhancedCode, Message: err.Error()}
	}
	switch errs.KindOf(err) {
	case errs.Unauthenticated, errs.NotFound, errs.Denied, errs.Invalid:
		m.failures++
		return errAuthFailed
	case errs.Unavailable:
		return errAuthLater
	}
	m.s.cfg.Log.Error("a sign-in failed for a reason of ours", "error", err)
	return errAuthLater
}

// plain is SASL PLAIN (RFC 4616).
type plain struct{ m *member }

func (p *plain) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte{}, false, nil
	}
	f := bytes.Split(response, []byte{0})
	if len(f) != 3 {
		return nil, false, errAuthSyntax
	}
	if authz := string(f[0]); authz != "" && !strings.EqualFold(authz, string(f[1])) {
		p.m.failures++
		return nil, false, errAuthFailed // nobody acts for another here
	}
	return nil, true, p.m.password(string(f[1]), string(f[2]))
}

// login is the LOGIN mechanism (draft-murchison-sasl-login), for clients that
// know no other.
type login struct {
	m    *member
	user *string
}

func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil && l.user == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	}
	return nil, true, l.m.password(*l.user, string(response))
}

// external is SASL EXTERNAL: the client's certificate says who it is, and the
// response, perhaps, which of its mailboxes (RFC 4422 A).
type external struct{ m *member }

func (e *external) Next(response []byte) (challenge []byte, done bool, err error) {
	if response == nil {
		return []byte{}, false, nil
	}
	boxes, err := e.m.s.cfg.Service.Certificate(e.m.ctx, e.m.l.tls.ConnectionState(), string(response))
	if err != nil {
		return nil, false, e.m.failed(err)
	}
	all := make([]held, len(boxes))
	for i, b := range boxes {
		all[i].account = b.Account
	}
	if err := e.m.settle(all...); err != nil {
		return nil, false, e.m.failed(err)
	}
	e.m.boxes = boxes
	return nil, true, nil
}

var _ smtp.AuthSession = (*member)(nil)
