package web

import (
	"strconv"
	"strings"

	"pli/mailbox/message"
)

// piece is one text of a letter's body.
type piece struct {
	path string // IMAP part number
	part *message.Part
}

// isHTML reports whether the piece is an HTML text.
func (p piece) isHTML() bool { return p.part.Subtype == "html" }

// reading is how a message is taken apart for its page.
type reading struct {
	pieces   []piece // the body, in order
	files    []piece // what is attached
	calendar []piece // iCalendar parts
	images   map[string]*message.Part
	hasHTML  bool
	hasText  bool
}

// read takes a message apart: what to show as its body, preferring HTML where
// the sender wrote both (RFC 2046 5.1.4) unless plain is asked for.
func read(ix *message.Index, plain bool) *reading {
	r := &reading{images: map[string]*message.Part{}}
	inBody := map[*message.Part]bool{}
	path := ""
	if ix.Root.Type != "multipart" {
		path = "1"
	}
	r.body(&ix.Root, path, plain, inBody)
	attached := map[*message.Part]bool{}
	for _, p := range ix.Attachments() {
		attached[p] = true
	}
	ix.Walk(func(path string, p *message.Part) bool {
		switch {
		case p.Type == "text" && (p.Subtype == "plain" || p.Subtype == "html") && !isFile(p):
			r.hasHTML = r.hasHTML || p.Subtype == "html"
			r.hasText = r.hasText || p.Subtype == "plain"
		case isCalendar(p):
			r.calendar = append(r.calendar, piece{path, p})
		}
		if id := strings.Trim(p.ID, "<>"); id != "" && p.Type == "image" {
			r.images[id] = p
		}
		if attached[p] && !inBody[p] && !isCalendar(p) {
			if path == "" {
				path = "1"
			}
			r.files = append(r.files, piece{path, p})
		}
		return p.Message == nil // what lies in an attached message is its own
	})
	return r
}

// body adds the texts of p and of what lies in it.
func (r *reading) body(p *message.Part, path string, plain bool, in map[*message.Part]bool) {
	switch {
	case p.Type == "multipart" && p.Subtype == "alternative":
		if i := choose(p.Children, plain); i >= 0 {
			r.body(&p.Children[i], below(path, i), plain, in)
		}
	case p.Type == "multipart":
		for i := range p.Children {
			child := &p.Children[i]
			if p.Subtype == "related" && i > 0 {
				// Pictures of the letter itself are no attachments.
				in[child] = child.ID != "" && child.Type == "image" && child.Disposition != "attachment" && !plain
				continue
			}
			r.body(child, below(path, i), plain, in)
		}
	case p.Type == "text" && (p.Subtype == "plain" || p.Subtype == "html") && !isFile(p):
		in[p] = true
		r.pieces = append(r.pieces, piece{path, p})
	}
}

// choose returns which of several forms of the same text to show, -1 if none.
func choose(forms []message.Part, plain bool) int {
	best := -1
	for i := range forms {
		switch wants := contains(&forms[i], "html"); {
		case wants && !plain, !wants && plain && contains(&forms[i], "plain"):
			return i
		case best < 0 && (wants || contains(&forms[i], "plain")):
			best = i
		}
	}
	return best
}

// contains reports whether p is, or holds, a text of that subtype.
func contains(p *message.Part, subtype string) bool {
	if p.Type == "text" && p.Subtype == subtype {
		return true
	}
	for i := range p.Children {
		if contains(&p.Children[i], subtype) {
			return true
		}
	}
	return false
}

func below(path string, i int) string {
	if path == "" {
		return strconv.Itoa(i + 1)
	}
	return path + "." + strconv.Itoa(i+1)
}

// isFile reports whether the sender meant a text as a file of its own.
func isFile(p *message.Part) bool { return p.Disposition == "attachment" || p.Filename() != "" }

// isCalendar reports whether a part is an iCalendar object.
func isCalendar(p *message.Part) bool {
	if p.Type == "text" && p.Subtype == "calendar" {
		return true
	}
	return p.MediaType() == "application/ics" || strings.HasSuffix(strings.ToLower(p.Filename()), ".ics")
}
