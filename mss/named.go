package mss

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"pli/mailbox/message"
	"pli/mss/directory"
)

// maxPeople bounds the addresses of one field.
const maxPeople = 10_000

// holdersIn adds the holders that a field names to set, by Key: in addresses,
// as every mail program reads them (comments, white space, groups and
// internationalized domains included), and in the text of names and comments,
// encoded words decoded.
func (s *Service) holdersIn(set map[string]bool, value string) error {
	texts := []string{value}
	if strings.Contains(value, "=?") {
		texts = append(texts, message.DecodeHeader(value))
	}
	for _, text := range texts {
		list := message.ParseAddresses(text, maxPeople+1)
		if len(list) > maxPeople {
			return refuse(BadHeader, "the header has a field with too many addresses")
		}
		for _, a := range list {
			s.holderOf(set, a)
		}
		plain := plainText(text)
		for _, domain := range s.cfg.Directory.Of(directory.Patient) {
			addressesAt(set, plain, domain)
		}
	}
	return nil
}

// holderOf adds an address of a patient domain.
func (s *Service) holderOf(set map[string]bool, a message.Address) {
	host, err := addressOf(message.Address{Mailbox: "x", Host: a.Host})
	if err != nil || s.cfg.Directory.Kind(host.Domain()) != directory.Patient {
		return
	}
	if full, err := addressOf(a); err == nil {
		set[full.Key()] = true
	} else {
		set[plainText(a.Mailbox)+"@"+host.Domain()] = true // no address, and in a holder's domain
	}
}

// plainText returns text as a reader takes it in: compatible forms of a
// character made one (full width, other dots), lower-case, without what is
// not seen and without backslashes, %40 and % as the @ that they stand for.
func plainText(text string) string {
	text = strings.ReplaceAll(lowerASCII(text), "%40", "@")
	for i := 0; i < len(text); i++ {
		if text[i] >= 0x80 {
			text = strings.ToLower(norm.NFKC.String(strings.Map(seen, text)))
			break
		}
	}
	if strings.ContainsAny(text, "\\%\u3002") {
		text = visible.Replace(text)
	}
	return text
}

// visible writes what stands for @ and dot as these; U+3002 is IDNA's other dot
// (RFC 5895 2.3).
var visible = strings.NewReplacer(`\`, "", "%", "@", "\u3002", ".")

// seen drops the characters that have no look.
func seen(r rune) rune {
	if unicode.In(r, unicode.Cf, unicode.Variation_Selector) || r == '\u034f' {
		return -1
	}
	return r
}

// addressesAt adds every local part that stands before @domain in plain text,
// white space and quotes around and within disregarded.
func addressesAt(set map[string]bool, text, domain string) {
	for from := 0; ; {
		i := strings.IndexByte(text[from:], '@')
		if i < 0 {
			return
		}
		i += from
		from = i + 1
		if !domainAt(text[from:], domain) {
			continue
		}
		local := strings.TrimRight(text[:i], " \t\r\n\"")
		start := len(local)
		for start > 0 && localByte(local[start-1]) {
			start--
		}
		if local = strings.TrimLeft(local[start:], "'"); local != "" {
			set[local+"@"+domain] = true
		}
	}
}

// domainAt reports whether text begins with a domain, and not with a longer
// one.
func domainAt(text, domain string) bool {
	for n := 0; n < len(domain); {
		if text == "" {
			return false
		}
		c := text[0]
		text = text[1:]
		switch {
		case c == domain[n]:
			n++
		case c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '"':
			return false
		}
	}
	rest := strings.TrimPrefix(text, ".")
	return (rest == "" || !alphanumeric(rest[0])) && !strings.HasPrefix(text, "-")
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// localByte reports whether c may stand in a local part. RFC 5322 3.2.3, RFC 6532.
func localByte(c byte) bool {
	return alphanumeric(c) || c >= 0x80 || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
