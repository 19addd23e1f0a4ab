package safehtml

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Block is a run of lines of a plain text letter at one depth of quotation.
type Block struct {
	Depth int    // 0 for the writer's own words, n for n times quoted
	HTML  string // escaped, addresses of pages made links
}

// Depths above this are shown as this.
const maxDepth = 4

// link finds addresses of pages in text.
var link = regexp.MustCompile(`(?i)\b(?:https?://|www\.)[^\s<>"'` + "`" + `\x00-\x1f\x7f]+`)

// Text makes a plain text letter safe to show: its lines, escaped, in blocks
// by depth of quotation (RFC 3676 4.5), with links that open apart.
func Text(s string) []Block {
	var blocks []Block
	var lines []string
	depth := 0
	flush := func() {
		text := strings.Trim(strings.Join(lines, "\n"), "\n")
		lines = nil
		if strings.TrimSpace(text) != "" {
			blocks = append(blocks, Block{Depth: depth, HTML: Line(text)})
		}
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	for line := range strings.SplitSeq(s, "\n") {
		d, rest := quoted(line)
		if d != depth {
			flush()
			depth = d
		}
		lines = append(lines, strings.TrimRight(rest, " \t"))
	}
	flush()
	return blocks
}

// quoted returns how often a line is quoted, and the line without the marks.
func quoted(line string) (int, string) {
	depth := 0
	rest := line
	for {
		next := strings.TrimPrefix(rest, " ")
		if depth == 0 {
			next = rest
		}
		after, ok := strings.CutPrefix(next, ">")
		if !ok {
			break
		}
		depth++
		rest = after
	}
	if depth == 0 {
		return 0, line
	}
	return min(depth, maxDepth), strings.TrimPrefix(rest, " ")
}

// Line escapes text and makes links of the addresses of pages in it.
func Line(text string) string {
	text = visible(text)
	var out strings.Builder
	last := 0
	for _, at := range link.FindAllStringIndex(text, -1) {
		addr := trimAddress(text[at[0]:at[1]])
		href := addr
		if _, ok := cutPrefixFold(addr, "www."); ok {
			href = "https://" + addr
		}
		u, err := url.Parse(href)
		if err != nil || u.Host == "" || u.User != nil {
			continue
		}
		out.WriteString(html.EscapeString(text[last:at[0]]))
		out.WriteString(`<a href="` + html.EscapeString(u.String()) + `" rel="nofollow noopener noreferrer" target="_blank">`)
		out.WriteString(html.EscapeString(addr) + `</a>`)
		last = at[0] + len(addr)
	}
	out.WriteString(html.EscapeString(text[last:]))
	return out.String()
}

// trimAddress leaves out the punctuation that ends the sentence around an
// address, and a closing bracket that was not opened inside it.
func trimAddress(s string) string {
	for {
		r, n := utf8.DecodeLastRuneInString(s)
		switch {
		case strings.ContainsRune(".,;:!?…»”’", r):
		case r == ')' && strings.Count(s, "(") < strings.Count(s, ")"):
		case r == ']' && strings.Count(s, "[") < strings.Count(s, "]"):
		default:
			return s
		}
		s = s[:len(s)-n]
	}
}

// visible drops what makes text look like other text: controls other than tab
// and newline, and marks that turn the direction of writing.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
}

// firstHost returns the host of the first address of a page in s.
func firstHost(s string) (string, bool) {
	m := link.FindString(s)
	if m == "" {
		m = strings.TrimSpace(s)
		if strings.ContainsAny(m, " \n\t") || !strings.Contains(m, ".") {
			return "", false
		}
	}
	if _, ok := cutPrefixFold(m, "http"); !ok {
		m = "https://" + m
	}
	u, err := url.Parse(trimAddress(m))
	if err != nil || u.Hostname() == "" {
		return "", false
	}
	return u.Hostname(), true
}
