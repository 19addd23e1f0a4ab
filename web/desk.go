package web

import (
	"strconv"

	"pli/internal/errs"
	"pli/mailbox"
)

// desk is the signed-in person's mail, open for the time of one request.
type desk struct {
	*mailbox.Account
	views []*mailbox.View
}

// open opens the mail of whoever is signed in. The caller closes the desk.
func (v *visit) open() (*desk, error) {
	a, err := v.Mail.Open(v.r.Context(), v.session.Actor, v.session.Account, v.session.Keys)
	if err != nil {
		return nil, err
	}
	v.hold()
	return &desk{Account: a}, nil
}

// Close ends the desk and every view that it opened.
func (d *desk) Close() {
	for _, view := range d.views {
		view.Close()
	}
	d.Account.Close()
}

// look opens a view of the box that a slug names.
func (d *desk) look(v *visit, slug string, readOnly bool) (*mailbox.View, error) {
	name, err := boxOf(slug)
	if err != nil {
		return nil, err
	}
	view, err := d.Select(v.r.Context(), name, readOnly)
	if err != nil {
		if errs.Is(err, errs.NotFound) {
			err = sorry(err, "err.nobox")
		}
		return nil, err
	}
	d.views = append(d.views, view)
	return view, nil
}

// uidOf reads a message's number in its box.
func uidOf(s string) (mailbox.UID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, sorry(errs.New(errs.NotFound, "no such message"), "err.nomessage")
	}
	return mailbox.UID(n), nil
}

// opened is one message on the desk.
type opened struct {
	*desk
	slug string
	uid  mailbox.UID
	view *mailbox.View
	mailbox.Message
}

// pick opens the message that the request's address names. The caller closes
// the desk that comes with it.
func (v *visit) pick(readOnly bool) (*opened, error) {
	uid, err := uidOf(v.r.PathValue("uid"))
	if err != nil {
		return nil, err
	}
	d, err := v.open()
	if err != nil {
		return nil, err
	}
	o := &opened{desk: d, slug: v.r.PathValue("box"), uid: uid}
	if o.view, err = d.look(v, o.slug, readOnly); err == nil {
		o.Message, err = o.view.Message(v.r.Context(), uid)
		if errs.Is(err, errs.NotFound) {
			err = sorry(err, "err.nomessage")
		}
	}
	if err == nil && o.Index == nil {
		err = sorry(errs.New(errs.NotFound, "the message has no index"), "err.nomessage")
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return o, nil
}

// show is pick for what shows something of a message: it is marked read first.
func (v *visit) show() (*opened, error) {
	o, err := v.pick(false)
	if err != nil {
		return nil, err
	}
	if err := v.display(o); err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

// display marks a message read. The domain decides, and traces the first
// display, before anything of the message is shown.
func (v *visit) display(o *opened) error {
	if has(o.Flags, mailbox.Seen) {
		return nil
	}
	_, err := o.view.Store(v.r.Context(), []mailbox.UID{o.uid}, mailbox.FlagsAdd, []mailbox.Flag{mailbox.Seen}, 0)
	return err
}

// href returns the address of the message's page, or of one below it.
func (o *opened) href(below string) string {
	return "/mail/" + o.slug + "/" + strconv.FormatUint(uint64(o.uid), 10) + below
}
