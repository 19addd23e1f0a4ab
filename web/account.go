package web

import (
	"errors"
	"strings"
	"time"

	"pli/certs/keyring"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/signin"
	"pli/web/words"
)

// accountPage is what the page of the account shows.
type accountPage struct {
	Address    string
	Profession string
	Since      string // since when the space is there, "" for a member
	Quota      mailbox.Quota
	Secret     string // a new mail password, shown once
	Label      string
	Host       string
	IMAP, SMTP int
	Clients    []clientView
	Sessions   []sessionView
	Others     bool // there are sessions but this one
	Error      string
	ErrorAt    string // the section that the error belongs to
	MinLength  int
	Code       time.Time // when the recovery code was made, zero if there is none
}

// clientView is a mail password, without its secret, which nobody has.
type clientView struct {
	ID, Label string
	Created   time.Time
	Used      time.Time // the day of its last use, zero if never
}

// sessionView is a place where the person is signed in.
type sessionView struct {
	ID            string
	Remote        string
	Started, Seen time.Time
	This          bool
}

// accountPage gathers what the page shows.
func (v *visit) accountPage() (accountPage, error) {
	p := accountPage{
		Address: v.session.Address.String(), Profession: v.profession(v.session.Actor),
		Host: v.MailHost, IMAP: v.IMAPPort, SMTP: v.SubmissionPort,
	}
	if v.isHolder() {
		home, err := v.Spaces.ByID(v.r.Context(), v.space())
		if err != nil {
			return p, err
		}
		p.Since = v.say("account.space.since", words.Day(v.lang, home.Created.In(v.Zone)))
	}
	var err error
	if p.Quota, err = v.Mail.Quota(v.r.Context(), v.session.Account); err != nil {
		return p, err
	}
	slots, err := v.Signin.MailPasswords(v.r.Context(), v.session.Account)
	if err != nil {
		return p, err
	}
	for _, slot := range slots {
		p.Clients = append(p.Clients, clientView{slot.ID, slot.Label, slot.Created.In(v.Zone), slot.Used})
	}
	keys, err := v.Signin.Keys(v.r.Context(), v.session.Account)
	if err != nil {
		return p, err
	}
	if keys.Code {
		p.Code = keys.CodeCreated.In(v.Zone)
	}
	for _, d := range v.Signin.Sessions(v.session.Account) {
		remote := ""
		if d.Remote.IsValid() {
			remote = d.Remote.String()
		}
		// This session was seen just now, by this very request.
		this := d.Started.Equal(v.session.Started) && d.Seen.Equal(v.session.Seen)
		p.Others = p.Others || !this
		p.Sessions = append(p.Sessions, sessionView{d.ID, remote, d.Started.In(v.Zone), d.Seen.In(v.Zone), this})
	}
	return p, nil
}

// showAccount answers with the page; an error is told in the section where it
// belongs.
func (v *visit) showAccount(at string, failed error, change func(*accountPage)) error {
	p, err := v.accountPage()
	if err != nil {
		return err
	}
	status := 200
	if failed != nil {
		if errs.KindOf(failed) == errs.Internal {
			return failed
		}
		p.Error, p.ErrorAt, status = wordsOf(failed), at, statusOf(failed)
	}
	if change != nil {
		change(&p)
	}
	return v.renderStatus(status, "account", "account.title", "account", p)
}

// account shows the account: addresses, mail clients, sessions, password.
func (v *visit) account() error { return v.showAccount("", nil, nil) }

// newMailPassword makes a password for a mail client and shows it, once.
func (v *visit) newMailPassword() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/account"
	label := oneLine(form.Get("label"))
	if label == "" {
		label = v.say("account.mail.label.default")
	}
	if len(label) > keyring.MaxLabel {
		label = strings.ToValidUTF8(label[:keyring.MaxLabel], "")
	}
	secret, err := v.Signin.AddMailPassword(v.r.Context(), v.session.Account, v.session.Keys, label)
	if errs.Is(err, errs.TooLarge) {
		err = sorry(err, "err.account.manypasswords")
	}
	return v.showAccount("mail", err, func(p *accountPage) { p.Secret, p.Label = secret, label })
}

// removeMailPassword makes a mail client's password useless.
func (v *visit) removeMailPassword() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/account"
	err = v.Signin.RemoveMailPassword(v.r.Context(), v.session.Account, form.Get("id"))
	if err != nil && !errs.Is(err, errs.NotFound) {
		return v.showAccount("mail", err, nil)
	}
	v.leave(note{Key: "note.client.removed"})
	v.goTo("/account#mail")
	return nil
}

// endSession ends one of the person's other sessions.
func (v *visit) endSession() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/account"
	if err := v.Signin.Revoke(v.session.Account, form.Get("id")); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	v.forgetEnded(v.session.Account)
	v.leave(note{Key: "note.session.ended"})
	v.goTo("/account#sessions")
	return nil
}

// newPassword changes the password; the other sessions end with it.
func (v *visit) newPassword() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	v.formPage = "/account"
	next := form.Get("new")
	if next != form.Get("again") {
		err = sorry(errs.New(errs.Invalid, "the two differ"), "err.account.differ")
		return v.showAccount("password", err, nil)
	}
	err = v.Signin.ChangePassword(v.r.Context(), v.session.Token, form.Get("present"), next)
	switch {
	case errs.Is(err, errs.Unauthenticated):
		// A wrong password is no end of the session: 403, and the page stays.
		err = sorry(errs.New(errs.Denied, "wrong password"), "err.account.present")
	case errs.Is(err, errs.Invalid):
		err = sorry(err, "err.account.weak")
	}
	if err != nil {
		return v.showAccount("password", err, nil)
	}
	v.forgetEnded(v.session.Account)
	v.leave(note{Key: "note.password"})
	v.goTo("/account")
	return nil
}

// gone reports whether an error says that the awaited code is no longer good.
func gone(err error) bool { return errors.Is(err, signin.ErrOver) }
