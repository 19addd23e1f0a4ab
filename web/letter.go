package web

import (
	"html/template"
	"strconv"
	"strings"
	"time"

	"pli/identity"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/web/ical"
	"pli/web/safehtml"
)

// letterPage is what the page of a message shows.
type letterPage struct {
	Href     string // of this page
	Slug     string
	BoxName  string
	UID      uint32
	Subject  string
	From     person
	To, Cc   []person
	At       time.Time
	Texts    []text
	Blocked  int  // remote images left out
	Cut      bool // the text is longer than what is shown
	HasBoth  bool
	Plain    bool
	Damaged  bool
	Events   []event
	Files    []file
	CanReply bool
	// Elsewhere says that the sender is at another operator, to which nothing
	// can be sent yet.
	Elsewhere bool
	Ended     bool      // the professional has ended the exchange
	EndedAt   time.Time // zero if not known
	Filed     bool
	Answered  bool
}

// person is a correspondent as pages show them.
type person struct {
	Name, Initials string
	Tint           int
	Address        string
	Role           string // profession, "" if not known
	You            bool
}

// text is one piece of the body: blocks of plain text, or a frame.
type text struct {
	Blocks []block
	Frame  string // address of the frame's content
	Class  string // sizes the frame
}

// block is a run of lines at one depth of quotation.
type block struct {
	Depth int
	HTML  template.HTML
	Fold  bool // long quotation at the end: folded away
}

// event is an appointment as the page shows it.
type event struct {
	ical.Event
	Download string
	Past     bool
	MapQuery string
}

// letter shows a message, and marks it read.
func (v *visit) letter() error {
	o, err := v.show()
	if err != nil {
		return err
	}
	defer o.Close()
	p := v.letterHead(o)
	if err := v.exchange(o, p); err != nil {
		return err
	}
	if !o.Damaged {
		if err := v.letterBody(o, p); err != nil {
			return err
		}
	}
	title := p.Subject
	if title == "" {
		title = v.say("letter.nosubject")
	}
	return v.renderTitled(200, "letter", title, "mail", p)
}

// letterHead fills in what the envelope tells.
func (v *visit) letterHead(o *opened) *letterPage {
	env := o.Index.Envelope
	p := &letterPage{
		Href: o.href(""), Slug: o.slug, BoxName: v.boxName(o.view.Box()), UID: uint32(o.uid), Subject: v.subject(o.Index),
		Damaged: o.Damaged, Filed: has(o.Flags, flagFiled), Answered: has(o.Flags, mailbox.Answered),
		At: o.Date.In(v.Zone), Plain: v.r.URL.Query().Get("as") == "text",
	}
	if len(env.From) > 0 {
		p.From = v.person(env.From[0])
	} else {
		p.From = person{Name: v.say("letter.nobody"), Tint: 1}
	}
	for _, a := range env.To {
		p.To = append(p.To, v.person(a))
	}
	for _, a := range env.Cc {
		p.Cc = append(p.Cc, v.person(a))
	}
	return p
}

// person tells who an address is.
func (v *visit) person(a message.Address) person {
	p := person{Name: personName(a), Address: a.String(), Tint: tint([]message.Address{a})}
	p.Initials = initials(p.Name)
	addr, err := identity.ParseAddress(a.String())
	if err != nil {
		return p
	}
	p.You = addr.Key() == v.session.Address.Key()
	if m, err := v.Directory.Lookup(v.r.Context(), addr); err == nil {
		p.Role = v.profession(m.Actor)
	}
	return p
}

// profession returns the word for what somebody does, "" if there is none.
func (v *visit) profession(a identity.Actor) string {
	if key := "profession." + a.Profession; a.Profession != "" && v.book.Has(key) {
		return v.say(key)
	}
	if a.Kind == identity.Establishment {
		return v.say("actor.establishment")
	}
	return ""
}

// exchange says whether the holder may answer. A professional always may: what
// is refused then is told when they send.
func (v *visit) exchange(o *opened, p *letterPage) error {
	if o.slug == "sent" || o.slug == "drafts" || p.From.You || len(o.Index.Envelope.From) == 0 {
		return nil
	}
	if !v.isHolder() {
		p.CanReply = true
		return nil
	}
	contact, found, err := v.contact(o)
	if err != nil || !found {
		return err
	}
	p.CanReply, p.Ended = contact.Open && !contact.Elsewhere, !contact.Open
	p.Elsewhere = contact.Open && contact.Elsewhere
	if p.Ended {
		p.EndedAt = contact.Since.In(v.Zone)
	}
	return nil
}

// letterBody fills in texts, appointments and attachments.
func (v *visit) letterBody(o *opened, p *letterPage) error {
	body, err := o.view.Open(v.r.Context(), o.uid)
	if err != nil {
		return err
	}
	defer body.Close()
	r := read(o.Index, p.Plain)
	p.HasBoth = r.hasHTML && r.hasText
	left := v.MaxShown
	for _, piece := range r.pieces {
		if piece.isHTML() {
			letter, err := v.clean(body, r, piece.part)
			if err != nil {
				return err
			}
			p.Blocked += letter.Blocked
			p.Cut = p.Cut || letter.Cut
			p.Texts = append(p.Texts, text{Frame: o.href("/letter/" + piece.path), Class: frameClass(letter.Height)})
			continue
		}
		s, err := message.TextOf(piece.part.Content(body), piece.part, left+1)
		if err != nil {
			return err
		}
		if len(s) > left {
			s, p.Cut = strings.ToValidUTF8(s[:left], ""), true
		}
		left -= len(s)
		if blocks := blocksOf(s); len(blocks) > 0 {
			p.Texts = append(p.Texts, text{Blocks: blocks})
		}
	}
	p.Events = v.events3(body, o, r)
	for _, piece := range r.files {
		p.Files = append(p.Files, v.fileOf(o, piece))
	}
	return nil
}

// blocksOf makes the blocks of a plain text; what is quoted at its end is
// folded away.
func blocksOf(s string) []block {
	var out []block
	for _, b := range safehtml.Text(s) {
		out = append(out, block{Depth: b.Depth, HTML: template.HTML(b.HTML)}) // escaped by safehtml
	}
	if n := len(out); n > 1 && out[n-1].Depth > 0 {
		for i := n - 1; i > 0 && out[i].Depth > 0; i-- {
			out[i].Fold = true
		}
	}
	return out
}

// frameClass sizes a frame for about so many lines, in steps of 100 pixels:
// without script it cannot grow with its content.
func frameClass(lines int) string {
	return "frame-" + strconv.Itoa(min(10, max(2, (lines*38+119)/100)))
}

// maxEvents is how many appointments of one message are shown.
const maxEvents = 3

// events3 reads the appointments that a message carries; what cannot be read
// stays a file.
func (v *visit) events3(body *mailbox.Body, o *opened, r *reading) []event {
	var out []event
	for _, c := range r.calendar {
		if len(out) == maxEvents {
			break
		}
		s, err := message.TextOf(c.part.Content(body), c.part, ical.MaxBytes)
		if err != nil {
			continue
		}
		ev, err := ical.Read(strings.NewReader(s), v.Zone)
		if err != nil {
			r.files = append(r.files, c)
			continue
		}
		end := ev.End
		if end.IsZero() {
			end = ev.Start
		}
		if ev.AllDay {
			end = end.AddDate(0, 0, 1)
		}
		out = append(out, event{Event: ev, Download: o.href("/part/" + c.path + "?download=1"), Past: end.Before(v.Now())})
	}
	return out
}
