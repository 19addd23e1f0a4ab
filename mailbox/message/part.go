package message

import (
	"io"
	"strconv"
	"strings"
)

// Filename returns the name that the sender gave the part (RFC 2183 2.3, RFC
// 2231), made harmless: no folder, no control character, at most 255 bytes;
// empty if it has none.
func (p *Part) Filename() string {
	name := p.DispositionParams["filename"]
	if name == "" {
		name = p.Params["name"]
	}
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	if name = strings.TrimSpace(name); name == "." || name == ".." {
		return ""
	}
	return string(cutRune([]byte(name), 255))
}

// Walk calls fn for each part in document order with its IMAP part number
// ("" for the message as a whole, "1.2"); where fn returns false, the parts
// within are left out. It goes into embedded messages; the body of one that
// is a multipart has the number of the message/rfc822 part and ".TEXT".
func (ix *Index) Walk(fn func(path string, p *Part) bool) {
	if !fn("", &ix.Root) {
		return
	}
	if ix.Root.Message != nil {
		walkMessage("1", &ix.Root.Message.Root, fn)
	}
	walkChildren("", &ix.Root, fn)
}

func walkChildren(prefix string, p *Part, fn func(string, *Part) bool) {
	for i := range p.Children {
		c := &p.Children[i]
		path := prefix + strconv.Itoa(i+1)
		if !fn(path, c) {
			continue
		}
		if c.Message != nil {
			walkMessage(path, &c.Message.Root, fn)
		}
		walkChildren(path+".", c, fn)
	}
}

// walkMessage walks the body of the message that is the part at path.
func walkMessage(path string, root *Part, fn func(string, *Part) bool) {
	if len(root.Children) > 0 {
		if fn(path+".TEXT", root) {
			walkChildren(path+".", root, fn)
		}
		return
	}
	if fn(path+".1", root) && root.Message != nil {
		walkMessage(path+".1", &root.Message.Root, fn)
	}
}

// ByPath returns the part with an IMAP part number (RFC 9051 6.4.5), the whole
// message for "", nil if there is none. In a message that is no multipart, "1"
// is its body; the same holds within embedded messages. It knows the paths
// that Walk gives.
func (ix *Index) ByPath(path string) *Part {
	p, root := &ix.Root, true // root: p is the body of a message
	for path != "" {
		number, rest, more := strings.Cut(path, ".")
		if path = rest; more && rest == "" {
			return nil
		}
		if !root && p.Message != nil {
			p, root = &p.Message.Root, true
		}
		if number == "TEXT" && root && path == "" {
			return p
		}
		n, err := strconv.Atoi(number)
		switch {
		case err == nil && n >= 1 && n <= len(p.Children):
			p = &p.Children[n-1]
		case n != 1 || !root || len(p.Children) > 0:
			return nil
		}
		root = false
	}
	return p
}

// Attachments returns the parts that are not the text of the message, in
// order: each leaf that is no plain or HTML text, or says that it is an
// attachment, and each embedded message as a whole.
func (ix *Index) Attachments() []*Part {
	var list []*Part
	var collect func(p *Part)
	collect = func(p *Part) {
		if len(p.Children) == 0 && !p.isBody() {
			list = append(list, p)
		}
		for i := range p.Children {
			collect(&p.Children[i])
		}
	}
	collect(&ix.Root)
	return list
}

// isBody reports whether a leaf is text to be read with the message.
func (p *Part) isBody() bool {
	return p.Type == "text" && (p.Subtype == "plain" || p.Subtype == "html") && p.Disposition != "attachment" &&
		(p.Disposition == "inline" || p.Filename() == "")
}

// Content returns the part's content, still encoded, from the whole message.
func (p *Part) Content(r io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(r, p.BodyStart, p.Size())
}
