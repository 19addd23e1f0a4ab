package web

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"pli/internal/errs"
	"pli/mailbox"
	"pli/mailbox/message"
	"pli/web/words"
)

// Flags of our own that the portal sets and other clients may show.
const flagFiled mailbox.Flag = "$Filed" // a part of the message was filed into the dossier

// maxQuery is how many bytes of a search are read.
const maxQuery = 200

// boxPage is what the page of a box shows.
type boxPage struct {
	Slug, Name  string
	Outgoing    bool // shows to whom, not from whom
	Rows        []row
	Query       string
	Total       int
	First, Last int // numbers of the rows, from 1
	Newer       string
	Older       string
	CanWrite    bool
	Empty       bool // the box itself has no message
	Quota       mailbox.Quota
}

// row is one message in the list.
type row struct {
	Href     string
	UID      uint32
	Who      string
	Initials string
	Tint     int // which of the rounds' colours, 1 to 6
	Subject  string
	Preview  string
	When     string
	At       time.Time
	Unread   bool
	Files    int
	Answered bool
	Filed    bool
	Summons  bool
	Damaged  bool
}

// mailHome leads to the inbox.
func (v *visit) mailHome() error {
	v.goTo("/mail/inbox")
	return nil
}

// box shows a page of a box, or what a search in it found.
func (v *visit) box() error {
	d, err := v.open()
	if err != nil {
		return err
	}
	defer d.Close()
	slug := v.r.PathValue("box")
	view, err := d.look(v, slug, true)
	if err != nil {
		return err
	}
	p := boxPage{Slug: slug, Name: v.boxName(view.Box()), Outgoing: slug == "sent" || slug == "drafts"}
	p.Empty = view.Len() == 0
	if p.Quota, err = d.Quota(v.r.Context()); err != nil {
		return err
	}
	uids, err := v.found(view, &p)
	if err != nil {
		return err
	}
	page := v.turn(&p, len(uids))
	if page.from < page.to { // to Messages, no UIDs are all of them
		err = view.Messages(v.r.Context(), uids[page.from:page.to], true, func(m mailbox.Message) error {
			p.Rows = append(p.Rows, v.row(&p, m))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return v.renderTitled(200, "box", p.Name, "mail", p)
}

// found returns the UIDs to show, newest first: those of the whole box, or
// those that the search finds.
func (v *visit) found(view *mailbox.View, p *boxPage) ([]mailbox.UID, error) {
	p.Query = strings.TrimSpace(v.r.URL.Query().Get("q"))
	if len(p.Query) > maxQuery {
		p.Query = strings.ToValidUTF8(p.Query[:maxQuery], "")
	}
	var uids []mailbox.UID
	if p.Query == "" {
		for seq := view.Len(); seq > 0; seq-- {
			if uid, ok := view.UID(seq); ok {
				uids = append(uids, uid)
			}
		}
		return uids, nil
	}
	uids, err := view.Search(v.r.Context(), criteria(p.Query))
	slices.Reverse(uids)
	return uids, err
}

// criteria asks that every word be in the subject, the text, or the names and
// addresses of a message; not in the rest of its header, which nobody sees.
func criteria(query string) mailbox.Criteria {
	in := func(field, word string) mailbox.Criteria {
		return mailbox.Criteria{Header: []mailbox.HeaderMatch{{Name: field, Value: word}}}
	}
	either := func(a, b mailbox.Criteria) mailbox.Criteria {
		return mailbox.Criteria{Or: [][2]mailbox.Criteria{{a, b}}}
	}
	var c mailbox.Criteria
	for _, word := range strings.Fields(query) {
		people := either(in("From", word), either(in("To", word), in("Cc", word)))
		c.Or = append(c.Or, [2]mailbox.Criteria{either(in("Subject", word), people), {Body: []string{word}}})
	}
	return c
}

// span is the part of a list that a page shows.
type span struct{ from, to int }

// turn finds the asked page's part of n rows, and the links to the next ones.
func (v *visit) turn(p *boxPage, n int) span {
	number, err := strconv.Atoi(v.r.URL.Query().Get("page"))
	last := max(1, (n+v.PageSize-1)/v.PageSize)
	if err != nil || number < 1 {
		number = 1
	}
	number = min(number, last)
	link := func(to int) string {
		q := url.Values{}
		if p.Query != "" {
			q.Set("q", p.Query)
		}
		if to > 1 {
			q.Set("page", strconv.Itoa(to))
		}
		return local("/mail/"+p.Slug, q)
	}
	at := span{(number - 1) * v.PageSize, min(n, number*v.PageSize)}
	p.Total, p.First, p.Last = n, at.from+1, at.to
	if number > 1 {
		p.Newer = link(number - 1)
	}
	if number < last {
		p.Older = link(number + 1)
	}
	return at
}

// row puts a message into a line of the list.
func (v *visit) row(p *boxPage, m mailbox.Message) row {
	r := row{
		Href: "/mail/" + p.Slug + "/" + strconv.FormatUint(uint64(m.UID), 10), UID: uint32(m.UID),
		Unread: !has(m.Flags, mailbox.Seen), Answered: has(m.Flags, mailbox.Answered), Filed: has(m.Flags, flagFiled),
		At: m.Date.In(v.Zone), Damaged: m.Damaged || m.Index == nil,
	}
	r.When = words.Short(v.lang, r.At, v.now())
	if r.Damaged {
		r.Who, r.Tint = v.say("letter.damaged"), 1
		return r
	}
	people := m.Index.Envelope.From
	if p.Outgoing {
		people = m.Index.Envelope.To
		if p.Slug == "drafts" {
			r.Href += "/edit"
		}
	}
	r.Who = v.people(people)
	r.Initials, r.Tint = initials(r.Who), tint(people)
	r.Subject = v.subject(m.Index)
	r.Preview = m.Index.Preview
	for _, part := range m.Index.Attachments() {
		if part.Type == "text" && part.Subtype == "calendar" {
			r.Summons = true
			continue
		}
		r.Files++
	}
	return r
}

// people returns the names that a list shows for some addresses.
func (v *visit) people(list []message.Address) string {
	if len(list) == 0 {
		return v.say("letter.nobody")
	}
	name := personName(list[0])
	if len(list) > 1 {
		name = v.say("letter.andothers", name, len(list)-1)
	}
	return name
}

// personName returns the name of an address, else the address.
func personName(a message.Address) string {
	if name := strings.TrimSpace(a.Name); name != "" {
		// ECO.2.2.7 joins a name's words by underscores.
		return strings.ReplaceAll(name, "_", " ")
	}
	return a.String()
}

// subject returns a message's subject as pages show it: without the mark of
// ECO.2.1.3, which is for machines, and with words for the one that ends an
// exchange.
func (v *visit) subject(ix *message.Index) string {
	s := strings.TrimSpace(ix.Envelope.Subject)
	if s == "[FIN]" {
		return v.say("letter.fin")
	}
	if rest, ok := strings.CutPrefix(s, "XDM/1.0/DDM+"); ok && rest != "" {
		return rest
	}
	return s
}

// has reports whether flag is among flags, whatever its case.
func has(flags []mailbox.Flag, flag mailbox.Flag) bool {
	return slices.ContainsFunc(flags, func(f mailbox.Flag) bool { return strings.EqualFold(string(f), string(flag)) })
}

// tint gives each correspondent the same colour every time.
func tint(list []message.Address) int {
	sum := 0
	if len(list) > 0 {
		for _, c := range []byte(strings.ToLower(list[0].String())) {
			sum = (sum*31 + int(c)) % 6000
		}
	}
	return sum%6 + 1
}

// boxLinks returns the navigation's boxes for the page being made; a failure
// leaves them out, for the page has its own words to say.
func (v *visit) boxLinks() []boxLink {
	d, err := v.open()
	if err != nil {
		return nil
	}
	defer d.Close()
	boxes, err := d.Boxes(v.r.Context())
	if err != nil {
		if !errs.Is(err, errs.Unavailable) {
			v.Log.Warn("boxes not listed", "err", err)
		}
		return nil
	}
	return v.links(boxes, v.r.PathValue("box"))
}
