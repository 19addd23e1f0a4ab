package mss

import (
	"context"
	"errors"

	"pli/consent"
	"pli/mailbox"
)

// room refuses a recipient whose mailbox has certainly no room for the message
// that MAIL announced, before a byte of it is taken. What is not certain yet,
// the delivery decides.
func (t *Transaction) room(ctx context.Context, r *recipient) error {
	err := t.s.cfg.Mail.Room(ctx, r.owner, t.params.Size)
	if !errors.Is(err, mailbox.ErrOverQuota) {
		return err
	}
	if r.holder {
		actor, req := t.actor(t.from, ""), consent.Request{Space: r.owner, Act: consent.ActMailReject, Title: t.from.String()}
		t.s.traceLater(func(ctx context.Context) error {
			return errors.Join(t.s.cfg.Gate.Trace(ctx, actor, req, "deny", "the mailbox is full"), t.s.cfg.Mail.NoteRefused(ctx, req.Space))
		})
	}
	return refuse(MailboxFull)
}

// full turns the refusal of a mailbox without room outward. Where the message
// has other recipients they may have it already, or get it without this one:
// the sender is to come again, and hears at RCPT, for the mailbox is now known
// to be full, which one it is.
func (t *Transaction) full(r *recipient, err error) error {
	if !errors.Is(err, mailbox.ErrOverQuota) {
		return err
	}
	if r.holder {
		owner := r.owner
		t.s.traceLater(func(ctx context.Context) error { return t.s.cfg.Mail.NoteRefused(ctx, owner) })
	}
	if len(t.rcpts) > 1 {
		return refuse(OneMailboxFull)
	}
	return refuse(MailboxFull)
}
