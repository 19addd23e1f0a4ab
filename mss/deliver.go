package mss

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"io"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"pli/certs/keyring"
	"pli/consent"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/store"
)

// maxAtOnce bounds the recipients that one message is delivered to side by side.
const maxAtOnce = 8

// letter is a message that was read, checked and sealed, with what it does.
type letter struct {
	*facts
	effect  effect
	content []byte // keyed digest
	spool   *mailbox.Spool
	at      time.Time
}

// Data takes the message from r. When it returns nil the message is durable
// in the mailbox of every recipient; the id is that of its Received field.
// After an error some recipients may have it: the same message again adds
// nothing where it lies already.
//
// r may hold more when Data returns a Refusal: the caller reads it to its end.
// Refusals: TooLarge, BareNewline, BadHeader, HeaderFrom, HoldersInHeaders,
// Loop, NoExchange, UnknownRecipient (a space that closed meanwhile),
// MailboxFull, OneMailboxFull. Any other error is a failure of ours, or of r
// (IsReadError).
func (t *Transaction) Data(ctx context.Context, r io.Reader) (id string, err error) {
	id = newID()
	if err := t.s.stats.count(t.data(ctx, r, id)); err != nil {
		return "", err
	}
	t.s.stats.accepted.Add(1)
	return id, nil
}

func newID() string {
	b := make([]byte, 15)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

func (t *Transaction) data(ctx context.Context, r io.Reader, id string) error {
	if t.given || len(t.rcpts) == 0 {
		return errs.New(errs.Invalid, "a message needs recipients, and is given once")
	}
	t.given = true
	c := newContent(r, t.s.cfg.Limits.MaxMessage, t.s.cfg.Secret[:], &t.s.chunks)
	defer c.free()
	head, body, err := c.header(t.s.cfg.Limits.MaxHeader)
	if err != nil {
		return err
	}
	l := &letter{at: t.s.cfg.Now()}
	if l.facts, err = t.examine(head, id); err != nil {
		return err
	}
	if err := t.judge(ctx, l); err != nil {
		return err
	}
	l.spool, err = t.s.cfg.Mail.Spool(ctx, t.keys())
	if err != nil {
		return err
	}
	defer l.spool.Discard()
	if err := c.copyTo(l.spool, l.header, body); errs.Is(err, errs.TooLarge) {
		return refuse(TooLarge)
	} else if err != nil {
		return err
	}
	if err := l.spool.Close(); err != nil {
		return err
	}
	l.content = c.sum()
	return t.deliver(ctx, l)
}

func (t *Transaction) keys() []keyring.Recipient {
	keys := make([]keyring.Recipient, len(t.rcpts))
	for i, r := range t.rcpts {
		keys[i] = r.key
	}
	return keys
}

// judge applies the rules that need the header and the recipients together.
func (t *Transaction) judge(ctx context.Context, l *letter) error {
	for _, r := range t.rcpts {
		if r.holder {
			l.holders[r.address.Key()] = true
		}
	}
	if len(l.holders) > 1 { // no patient learns another's number
		return refuse(HoldersInHeaders)
	}
	if !t.fromHolder() {
		l.effect = effectOf(l.facts, t.from.IsZero(), t.within)
		return nil
	}
	if !t.s.cfg.RepliesOnly {
		return nil
	}
	answers := append([]string{}, l.answers...) // not nil: an answer to nothing is none
	return t.s.cfg.DB.View(ctx, t.sender.Account, func(tx store.Tx) error {
		for _, r := range t.rcpts {
			if err := t.s.mayWrite(tx, r.address, answers); err != nil {
				return err
			}
		}
		return nil
	})
}

// deliver puts the letter into every mailbox: the holder's first, since only
// there it may still be refused, then the members' side by side.
func (t *Transaction) deliver(ctx context.Context, l *letter) error {
	if t.fromHolder() {
		if err := t.send(ctx, l); err != nil {
			return err
		}
	}
	var members []int
	for i := range t.rcpts {
		if !t.rcpts[i].holder {
			members = append(members, i)
		} else if err := t.toHolder(ctx, l, i); err != nil {
			return err
		}
	}
	if len(members) == 1 {
		return t.toMember(ctx, l, members[0])
	}
	var g errgroup.Group
	g.SetLimit(maxAtOnce)
	for _, i := range members {
		g.Go(func() error { return t.toMember(ctx, l, i) })
	}
	return g.Wait()
}

// toHolder delivers into a space, through the gate: the repeat check, the
// exchange, the letter, the trace and the notice are one transaction.
func (t *Transaction) toHolder(ctx context.Context, l *letter, i int) error {
	r, sealed := &t.rcpts[i], l.spool.Letter(i)
	digest := t.s.repeatDigest(t.from, r.address, r.owner, l.content)
	req := consent.Request{Space: r.owner, Act: consent.ActMailDeliver, Object: sealed.ID(), Title: l.facts.from.String(), Detail: t.detail(l)}
	var permitted, repeated bool
	err := t.s.cfg.Gate.Do(ctx, t.actor(l.facts.from, l.name), req, func(tx store.Tx) (err error) {
		permitted = true
		if repeated, err = t.s.has(tx, digest, t.s.repeatWindow(l.facts), l.at); err != nil {
			return err
		}
		changed, err := t.s.apply(tx, l.facts, l.effect, l.at)
		if err != nil {
			return err
		}
		if repeated = repeated && !changed; repeated {
			return consent.ErrNothing
		}
		if err := t.s.remember(tx, digest, l.at); err != nil {
			return err
		}
		_, err = t.s.cfg.Mail.Deliver(tx, sealed, mailbox.Inbox, nil, l.at)
		return err
	})
	if !permitted && (errs.Is(err, errs.Denied) || errs.Is(err, errs.NotFound)) {
		return refuse(UnknownRecipient) // closed since RCPT
	}
	return t.s.countDelivery(repeated, t.full(r, err))
}

// detail is what the trace says of a delivery beside who and when.
func (t *Transaction) detail(l *letter) map[string]string {
	d := make(map[string]string, 2)
	if t.peer != nil {
		d["operator"] = t.peer.actor.Name
	}
	if l.effect.ends {
		d["exchange"] = "ended"
	}
	return d
}

func (t *Transaction) toMember(ctx context.Context, l *letter, i int) error {
	r, sealed := &t.rcpts[i], l.spool.Letter(i)
	digest := t.s.repeatDigest(t.from, r.address, r.owner, l.content)
	var repeated bool
	err := t.s.cfg.DB.Update(ctx, r.owner, func(tx store.Tx) (err error) {
		if repeated, err = t.s.has(tx, digest, t.s.repeatWindow(l.facts), l.at); err != nil || repeated {
			return err
		}
		if err := t.s.remember(tx, digest, l.at); err != nil {
			return err
		}
		_, err = t.s.cfg.Mail.Deliver(tx, sealed, mailbox.Inbox, nil, l.at)
		return err
	})
	return t.s.countDelivery(repeated, t.full(r, err))
}

func (s *Service) countDelivery(repeated bool, err error) error {
	switch {
	case err != nil:
		return err
	case repeated:
		s.stats.repeats.Add(1)
	default:
		s.stats.delivered.Add(1)
	}
	return nil
}

// send passes the gate for a letter of the holder's own: the exchanges must
// still be open. A repeat leaves no second line.
func (t *Transaction) send(ctx context.Context, l *letter) error {
	owner := t.sender.Account
	digest := t.s.repeatDigest(t.from, t.from, owner, l.content)
	to := make([]string, len(t.rcpts))
	for i, r := range t.rcpts {
		to[i] = r.address.String()
	}
	req := consent.Request{Space: owner, Act: consent.ActMailSend, Object: l.spool.Letter(0).ID(), Title: strings.Join(to, ", ")}
	permitted := false
	err := t.s.cfg.Gate.Do(ctx, t.actor(l.facts.from, ""), req, func(tx store.Tx) error {
		permitted = true
		for _, r := range t.rcpts {
			if err := t.s.mayWrite(tx, r.address, nil); err != nil {
				return err
			}
		}
		repeated, err := t.s.has(tx, digest, t.s.repeatWindow(l.facts), l.at)
		if err != nil {
			return err
		}
		if repeated {
			return consent.ErrNothing
		}
		return t.s.remember(tx, digest, l.at)
	})
	if !permitted && errs.Is(err, errs.Denied) {
		return refuse(NoExchange, "your space is not open")
	}
	return err
}
