package mss

import (
	"context"
	"io"

	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/store"
)

// Filing is a message's part on its way into a dossier.
type Filing struct {
	Proposal
	Author   identity.Actor // who wrote the message, by its From: a name to show, never a right
	MIME     string         // as declared
	Filename string
	Source   string    // opaque name of message and part, the same whenever it is filed
	Content  io.Reader // decoded
}

// Filer files a document into a space's dossier and returns its id; cmd/pli
// satisfies it with the dossier. It reads Content to its end.
type Filer interface {
	File(ctx context.Context, actor identity.Actor, owner store.Owner, f Filing) (id string, err error)
}

// File files one part of a message, named by its IMAP part number, as p says.
// Errors: errs.NotFound for a message or part that is not there, and those of
// the Filer.
func (s *Service) File(ctx context.Context, actor identity.Actor, account *mailbox.Account, box string, uid mailbox.UID, path string, p Proposal) (id string, err error) {
	if s.cfg.Filer == nil {
		return "", errs.New(errs.Unavailable, "nothing can be filed here")
	}
	view, err := account.Select(ctx, box, true)
	if err != nil {
		return "", err
	}
	defer view.Close()
	m, err := view.Message(ctx, uid)
	if err != nil {
		return "", err
	}
	part := m.Index.ByPath(path)
	if part == nil || len(part.Children) > 0 {
		return "", errs.New(errs.NotFound, "the message has no such part")
	}
	body, err := view.Open(ctx, uid)
	if err != nil {
		return "", err
	}
	defer body.Close()
	return s.cfg.Filer.File(ctx, actor, account.Owner(), Filing{
		Proposal: p, Author: author(m.Index), MIME: part.MediaType(), Filename: part.Filename(),
		Source: m.ID + "/" + path, Content: message.DecodePart(part.Content(body), part),
	})
}

// author names whoever From names. A holder can put any message into their
// folders, so that the name gives no right.
func author(ix *message.Index) identity.Actor {
	if len(ix.Envelope.From) != 1 {
		return identity.Actor{}
	}
	from := ix.Envelope.From[0]
	return identity.Actor{Name: from.Name, Address: from.String()}
}
