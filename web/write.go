package web

import (
	"strings"

	"pli/identity"
	"pli/mailbox/message"
	"pli/web/compose"
	"pli/web/words"
)

// writePage is the form in which a message is written.
type writePage struct {
	To        string // chosen recipients, separated by ", "
	ToName    string // of an answer's recipient
	Fixed     bool   // the recipient of an answer stands
	Contacts  []exchangeView
	Subject   string
	Text      string
	ReplyBox  string // the answered message: slug and UID
	ReplyUID  string
	Draft     string // UID of the draft that this goes on with
	Kept      []file // files of the draft
	MayEnd    bool   // a professional may end the exchange with this message
	End       bool
	MaxFiles  int
	FileBytes int64
	Error     string // key of what is wrong
	Stamp     string // what makes its letter the same when it comes twice
	Lost      bool   // chosen files must be chosen again
	Back      string
}

// newPage returns an empty form.
func (v *visit) newPage() (*writePage, error) {
	p := &writePage{Stamp: v.newStamp(), MaxFiles: v.MaxFiles, FileBytes: v.MaxFileBytes, MayEnd: !v.isHolder(), Back: "/mail/inbox"}
	if !v.isHolder() {
		return p, nil
	}
	list, err := v.exchanges(nil)
	for _, e := range list {
		if e.Open && !e.Elsewhere {
			p.Contacts = append(p.Contacts, e)
		}
	}
	return p, err
}

// showWrite answers with the form.
func (v *visit) showWrite(status int, p *writePage) error {
	title := "write.title"
	if p.ReplyUID != "" {
		title = "write.reply.title"
	}
	return v.renderStatus(status, "write", title, "mail", p)
}

// writeForm shows the form of a new message.
func (v *visit) writeForm() error {
	p, err := v.newPage()
	if err != nil {
		return err
	}
	if addr, err := identity.ParseAddress(v.r.URL.Query().Get("to")); err == nil {
		p.To = addr.String()
	}
	return v.showWrite(200, p)
}

// replyForm shows the form of an answer, its subject and quotation filled in.
func (v *visit) replyForm() error {
	o, err := v.show()
	if err != nil {
		return err
	}
	defer o.Close()
	p, err := v.newPage()
	if err != nil {
		return err
	}
	to, name, err := v.answerTo(o)
	if err != nil {
		return err
	}
	p.To, p.ToName, p.Fixed = to, name, true
	p.ReplyBox, p.ReplyUID = o.slug, v.r.PathValue("uid")
	p.Subject, p.Back = compose.ReplySubject(v.subject(o.Index)), o.href("")
	quoted, err := v.quote(o)
	if err != nil {
		return err
	}
	p.Text = "\n\n" + quoted
	return v.showWrite(200, p)
}

// answerTo returns the address that an answer goes to, and its name: that of
// the exchange for a holder, Reply-To or From for a professional.
func (v *visit) answerTo(o *opened) (address, name string, err error) {
	if v.isHolder() {
		e, found, err := v.contact(o)
		if err != nil || found {
			return e.Mailbox.String(), e.Name, err
		}
	}
	list := append(append([]message.Address(nil), o.Index.Envelope.ReplyTo...), o.Index.Envelope.From...)
	if len(list) == 0 {
		return "", "", nil
	}
	return list[0].String(), personName(list[0]), nil
}

// maxQuote is how many bytes of a message an answer quotes.
const maxQuote = 20_000

// quote returns the quotation that an answer begins with.
func (v *visit) quote(o *opened) (string, error) {
	text := ""
	if r := read(o.Index, true); len(r.pieces) > 0 && !o.Damaged {
		body, err := o.view.Open(v.r.Context(), o.uid)
		if err != nil {
			return "", err
		}
		defer body.Close()
		first := r.pieces[0]
		if text, err = message.TextOf(first.part.Content(body), first.part, maxQuote+1); err != nil {
			return "", err
		}
		if first.isHTML() {
			text = o.Index.Preview // the tags of a letter are no words
		}
	}
	who := v.people(o.Index.Envelope.From)
	at := o.Date.In(v.Zone)
	head := v.say("write.quote", words.Day(v.lang, at), words.Hour(v.lang, at), who)
	if strings.TrimSpace(text) == "" {
		return head + "\n", nil
	}
	return head + "\n" + compose.Quote(text, maxQuote), nil
}
