package imapd

import (
	"math"

	"github.com/emersion/go-imap/v2"

	"pli/mailbox/message"
)

// envelope translates a stored envelope (RFC 9051 7.5.2, ENVELOPE).
func envelope(e *message.Envelope) *imap.Envelope {
	return &imap.Envelope{
		Date: e.Date, Subject: e.Subject,
		From: addresses(e.From), Sender: addresses(e.Sender), ReplyTo: addresses(e.ReplyTo),
		To: addresses(e.To), Cc: addresses(e.Cc), Bcc: addresses(e.Bcc),
		InReplyTo: e.InReplyTo, MessageID: e.MessageID,
	}
}

// noHost stands for a host that the sender left out: without one, the address
// would be a group's beginning (RFC 9051 7.5.2).
const noHost = "missing.invalid"

func addresses(list []message.Address) []imap.Address {
	if len(list) == 0 {
		return nil // the library puts From for an absent Sender and Reply-To
	}
	out := make([]imap.Address, len(list))
	for i, a := range list {
		out[i] = imap.Address{Name: a.Name, Mailbox: a.Mailbox, Host: a.Host}
		if a.Host == "" {
			out[i].Host = noHost
		}
	}
	return out
}

// structure translates a stored part (RFC 9051 7.5.2, BODYSTRUCTURE). It
// relies on the index's bounds for its depth, and on nothing else: a part that
// is not what it should be is shown as opaque bytes.
func structure(p *message.Part) imap.BodyStructure {
	if len(p.Children) > 0 {
		return multipart(p)
	}
	single := &imap.BodyStructureSinglePart{
		Type: p.Type, Subtype: p.Subtype, Params: p.Params,
		ID: p.ID, Description: p.Description, Encoding: p.Encoding,
		Size: uint32(min(max(p.Size(), 0), math.MaxUint32)),
		Extended: &imap.BodyStructureSinglePartExt{
			Disposition: disposition(p), Language: p.Language, Location: p.Location,
		},
	}
	switch {
	case p.Message != nil && isMessageType(p):
		single.MessageRFC822 = &imap.BodyStructureMessageRFC822{
			Envelope:      envelope(&p.Message.Envelope),
			BodyStructure: structure(&p.Message.Root),
			NumLines:      p.Lines,
		}
	case p.Type == "text" && p.Subtype != "":
		single.Text = &imap.BodyStructureText{NumLines: p.Lines}
	case p.Type == "multipart", p.Type == "", p.Subtype == "", isMessageType(p):
		// The grammar has another form for these, which this part has not.
		single.Type, single.Subtype = "application", "octet-stream"
	}
	return single
}

// isMessageType reports whether p's type carries an envelope in BODYSTRUCTURE
// (RFC 9051 9, media-message).
func isMessageType(p *message.Part) bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}

func multipart(p *message.Part) *imap.BodyStructureMultiPart {
	multi := &imap.BodyStructureMultiPart{
		Subtype: p.Subtype,
		Extended: &imap.BodyStructureMultiPartExt{
			Params: p.Params, Disposition: disposition(p), Language: p.Language, Location: p.Location,
		},
		Children: make([]imap.BodyStructure, len(p.Children)),
	}
	if multi.Subtype == "" {
		multi.Subtype = "mixed"
	}
	for i := range p.Children {
		multi.Children[i] = structure(&p.Children[i])
	}
	return multi
}

func disposition(p *message.Part) *imap.BodyStructureDisposition {
	if p.Disposition == "" {
		return nil
	}
	return &imap.BodyStructureDisposition{Value: p.Disposition, Params: p.DispositionParams}
}
