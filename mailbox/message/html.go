package message

import (
	"bytes"
	"html"
	"unicode/utf8"
)

// htmlText appends the text of an HTML page to dst: without tags, comments,
// scripts and styles, entities decoded. It looks at each byte once or twice;
// it is for searching and previews, never for showing.
func htmlText(dst, src []byte) []byte {
	noTagEnd := false // once no '>' follows, none ever will
	for len(src) > 0 {
		i := bytes.IndexAny(src, "<&")
		if i < 0 {
			return append(dst, src...)
		}
		dst = append(dst, src[:i]...)
		src = src[i:]
		if src[0] == '&' {
			dst, src = appendEntity(dst, src)
			continue
		}
		if noTagEnd || !beginsTag(src) {
			dst = append(dst, '<')
			src = src[1:]
			continue
		}
		rest, space, ok := skipTag(src)
		if !ok {
			noTagEnd = true
			continue
		}
		if n := len(dst); space && n > 0 && dst[n-1] != ' ' {
			dst = append(dst, ' ')
		}
		src = rest
	}
	return dst
}

func beginsTag(src []byte) bool {
	if len(src) < 2 {
		return false
	}
	c := src[1]
	return c == '!' || c == '/' || c == '?' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// skipTag passes over the tag or comment that begins src, and over what a
// script, style or title holds. space tells whether words before and after are apart.
func skipTag(src []byte) (rest []byte, space, ok bool) {
	if bytes.HasPrefix(src, []byte("<!--")) {
		i := bytes.Index(src[4:], []byte("-->"))
		if i < 0 {
			return nil, true, true // a comment without end is one to the end
		}
		return src[4+i+3:], false, true
	}
	end := bytes.IndexByte(src, '>')
	if end < 0 {
		return src, false, false
	}
	var name [10]byte
	n := 0
	for _, c := range src[1:end] {
		if n == len(name) || c|0x20 < 'a' || c|0x20 > 'z' {
			break
		}
		name[n] = c | 0x20
		n++
	}
	rest = src[end+1:]
	switch string(name[:n]) {
	case "script", "style", "title":
		return skipElement(rest, name[:n]), true, true
	case "b", "i", "u", "a", "em", "strong", "span", "font", "small", "big", "code", "tt", "sub", "sup":
		return rest, false, true
	case "": // an end tag, a declaration
		return rest, !inlineEnd(src), true
	}
	return rest, true, true
}

// inlineEnd reports whether src begins with the end tag of an inline element.
func inlineEnd(src []byte) bool {
	if src[1] != '/' || len(src) < 3 {
		return false
	}
	switch i := bytes.IndexAny(src[:min(len(src), 12)], "> "); {
	case i < 0:
		return false
	default:
		switch string(bytes.ToLower(src[2:i])) {
		case "b", "i", "u", "a", "em", "strong", "span", "font", "small", "big", "code", "tt", "sub", "sup":
			return true
		}
	}
	return false
}

// skipElement passes over all up to the end tag of name, to the end without one.
func skipElement(src, name []byte) []byte {
	for {
		i := bytes.Index(src, []byte("</"))
		if i < 0 {
			return nil
		}
		src = src[i+2:]
		if len(src) >= len(name) && bytes.EqualFold(src[:len(name)], name) {
			if end := bytes.IndexByte(src, '>'); end >= 0 {
				return src[end+1:]
			}
			return nil
		}
	}
}

// appendEntity decodes the character reference that begins src, or takes the
// ampersand as it is.
func appendEntity(dst, src []byte) (_, rest []byte) {
	end := bytes.IndexByte(src[:min(len(src), 34)], ';')
	if end < 2 {
		return append(dst, '&'), src[1:]
	}
	switch string(src[1:end]) {
	case "nbsp":
		return append(dst, ' '), src[end+1:]
	case "amp":
		return append(dst, '&'), src[end+1:]
	case "lt":
		return append(dst, '<'), src[end+1:]
	case "gt":
		return append(dst, '>'), src[end+1:]
	}
	text := html.UnescapeString(string(src[:end+1]))
	if !utf8.ValidString(text) {
		return dst, src[end+1:]
	}
	return append(dst, text...), src[end+1:]
}
