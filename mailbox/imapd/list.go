package imapd

import (
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pli/mailbox"
)

// What one LIST may ask for: matching costs names × patterns × lengths.
const (
	maxPatterns = 16
	maxPattern  = 1024 // bytes
)

// List answers LIST and LSUB (RFC 9051 6.3.9, RFC 5258, 5819, 6154).
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions) error {
	s.enter()
	defer s.leave()
	if err := checkList(ref, patterns); err != nil {
		return err
	}
	if len(patterns) == 0 {
		// RFC 9051 6.3.9: an empty name asks for the delimiter.
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delimiter})
	}
	names, err := s.listed(options)
	if err != nil {
		return s.reply(err)
	}
	lsub := s.guard.command() == "LSUB"
	for i := range patterns {
		patterns[i] = fullPattern(ref, patterns[i])
	}
	for _, n := range names.rows {
		data := n.answer(patterns, options)
		if data == nil && lsub {
			data = n.lsubAnswer(patterns)
		}
		if data == nil {
			continue
		}
		if options.ReturnStatus != nil && n.exists {
			if data.Status, err = s.status(n.box, options.ReturnStatus); err != nil {
				return s.reply(err)
			}
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

func checkList(ref string, patterns []string) error {
	if len(patterns) > maxPatterns || len(ref) > maxPattern {
		return answer(imap.StatusResponseTypeNo, imap.ResponseCodeLimit, "Too many patterns")
	}
	for _, p := range patterns {
		if len(p) > maxPattern {
			return answer(imap.StatusResponseTypeNo, imap.ResponseCodeLimit, "Pattern too long")
		}
	}
	return nil
}

// row is one name that LIST may tell.
type row struct {
	box        mailbox.Box
	exists     bool // false for a subscribed name whose box is gone
	subscribed bool
	children   bool // names of boxes lie below
	below      bool // subscribed names lie below
}

type rows struct {
	rows []*row
	at   map[string]*row
}

func (r *rows) add(n *row) {
	r.rows = append(r.rows, n)
	r.at[n.box.Name] = n
}

// mark calls fn for each name above name.
func (r *rows) mark(name string, fn func(*row)) {
	for i := strings.LastIndexByte(name, delimiter); i > 0; i = strings.LastIndexByte(name, delimiter) {
		name = name[:i]
		if n := r.at[name]; n != nil {
			fn(n)
		}
	}
}

// listed gathers every box, and the subscribed names without one.
func (s *session) listed(options *imap.ListOptions) (*rows, error) {
	boxes, err := s.account.Boxes(s.ctx)
	if err != nil {
		return nil, err
	}
	all := &rows{at: make(map[string]*row, len(boxes))}
	for _, b := range boxes {
		all.add(&row{box: b, exists: true, subscribed: b.Subscribed})
	}
	if options.SelectSubscribed {
		subscribed, err := s.account.Subscriptions(s.ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range subscribed {
			if all.at[name] == nil {
				all.add(&row{box: mailbox.Box{Name: name}, subscribed: true})
			}
		}
	}
	for _, n := range all.rows {
		if n.exists {
			all.mark(n.box.Name, func(up *row) { up.children = true })
		}
		if n.subscribed {
			all.mark(n.box.Name, func(up *row) { up.below = true })
		}
	}
	return all, nil
}

// answer returns what to tell of a name, nil for nothing.
func (n *row) answer(patterns []string, options *imap.ListOptions) *imap.ListData {
	data := &imap.ListData{Mailbox: n.box.Name, Delim: delimiter}
	if options.SelectSubscribed && !n.subscribed {
		if !options.SelectRecursiveMatch || !n.below {
			return nil
		}
	}
	if options.SelectSpecialUse && n.box.Use == "" || !matchesAny(n.box.Name, patterns) {
		return nil
	}
	if options.SelectRecursiveMatch && n.below { // RFC 5258 3.5
		data.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
	}
	switch {
	case !n.exists:
		data.Attrs = append(data.Attrs, imap.MailboxAttrNonExistent)
	case n.children:
		data.Attrs = append(data.Attrs, imap.MailboxAttrHasChildren)
	default:
		data.Attrs = append(data.Attrs, imap.MailboxAttrHasNoChildren)
	}
	if n.subscribed && (options.SelectSubscribed || options.ReturnSubscribed) {
		data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
	}
	data.Attrs = append(data.Attrs, useAttrs(n.box)...)
	return data
}

// lsubAnswer returns what LSUB tells of a name that is not subscribed but leads
// to one that is, which "%" would hide (RFC 3501 6.3.9).
func (n *row) lsubAnswer(patterns []string) *imap.ListData {
	if n.subscribed || !n.below || !strings.HasSuffix(patterns[0], "%") || !match(n.box.Name, patterns[0]) {
		return nil
	}
	return &imap.ListData{Mailbox: n.box.Name, Delim: delimiter, Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}}
}

// useAttrs returns a box's special use as attributes. They are told to every
// client, asked or not (RFC 6154 2 allows it).
func useAttrs(box mailbox.Box) []imap.MailboxAttr {
	if box.Use == "" {
		return nil
	}
	return []imap.MailboxAttr{imap.MailboxAttr(box.Use)}
}

// fullPattern puts a reference before a pattern (RFC 9051 6.3.9).
func fullPattern(ref, pattern string) string {
	if strings.HasPrefix(pattern, string(delimiter)) {
		pattern, ref = pattern[1:], ""
	}
	if ref != "" && !strings.HasSuffix(ref, string(delimiter)) {
		ref += string(delimiter)
	}
	return ref + pattern
}

func matchesAny(name string, patterns []string) bool {
	for _, p := range patterns {
		if match(name, p) {
			return true
		}
	}
	return false
}

// match reports whether a name matches a pattern with "*" (anything) and "%"
// (anything within a level). It takes time by the product of the lengths: the
// library's own matcher tries every way, which a few wildcards make endless.
// INBOX matches in any case.
func match(name, pattern string) bool {
	if name == mailbox.Inbox && len(pattern) >= 5 && strings.EqualFold(pattern[:5], name) {
		pattern = mailbox.Inbox + pattern[5:]
	}
	// can[i]: the pattern so far matches name[:i].
	can := make([]bool, len(name)+1)
	can[0] = true
	for _, c := range []byte(pattern) {
		if c == '*' || c == '%' {
			for i := 0; i < len(name); i++ {
				can[i+1] = can[i+1] || can[i] && (c == '*' || name[i] != delimiter)
			}
			continue
		}
		for i := len(name); i > 0; i-- {
			can[i] = can[i-1] && name[i-1] == c
		}
		can[0] = false
	}
	return can[len(name)]
}
