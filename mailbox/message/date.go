package message

import (
	"strings"
	"time"
)

// ParseDate reads a date as mail writes it (RFC 5322 3.3 and 4.3), leniently:
// the day of the week, seconds and zone may be missing, comments are passed
// over. It returns the zero time for what cannot be understood.
func ParseDate(v string) time.Time {
	words := dateWords(v)
	if len(words) > 0 {
		if _, ok := digits(words[0], 2); !ok { // the day of the week
			words = words[1:]
		}
	}
	if len(words) < 4 {
		return time.Time{}
	}
	day, ok1 := digits(words[0], 2)
	month := monthOf(words[1])
	year, ok2 := yearOf(words[2])
	if !ok1 || month == 0 || !ok2 {
		return time.Time{}
	}
	h, m, s, ok := clock(words[3])
	if !ok {
		return time.Time{}
	}
	loc := time.UTC
	if len(words) > 4 {
		loc = zone(words[4])
	}
	t := time.Date(year, month, day, h, m, s, 0, loc)
	if t.Day() != day { // 31 February
		return time.Time{}
	}
	return t
}

// dateWords splits a date at blanks and commas, without comments.
func dateWords(v string) []string {
	v = string(withoutComments([]byte(v[:min(len(v), 1000)])))
	if strings.Contains(v, " :") || strings.Contains(v, ": ") { // RFC 5322 4.3 allows blanks there
		at := strings.Split(v, ":")
		for i := range at {
			at[i] = strings.TrimSpace(at[i])
		}
		v = strings.Join(at, ":")
	}
	var words []string
	for _, w := range strings.FieldsFunc(v, isDateBlank) {
		if strings.Count(w, "-") == 2 { // 23-Jan-2026
			words = append(words, strings.Split(w, "-")...)
		} else {
			words = append(words, w)
		}
	}
	return words
}

func isDateBlank(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\r' || r == '\n' }

// digits reads a whole number of at most n digits.
func digits(w string, n int) (int, bool) {
	if w == "" || len(w) > n {
		return 0, false
	}
	v := 0
	for _, c := range []byte(w) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

func monthOf(w string) time.Month {
	if len(w) < 3 {
		return 0
	}
	const names = "jan feb mar apr may jun jul aug sep oct nov dec"
	i := strings.Index(names, strings.ToLower(w[:3]))
	if i < 0 || i%4 != 0 {
		return 0
	}
	return time.Month(i/4 + 1)
}

// yearOf reads a year of four digits, or of two or three (RFC 5322 4.3).
func yearOf(w string) (int, bool) {
	y, ok := digits(w, 4)
	switch {
	case !ok:
		return 0, false
	case len(w) == 2 && y < 50:
		y += 2000
	case len(w) <= 3:
		y += 1900
	}
	return y, y >= 1900
}

// clock reads hh:mm or hh:mm:ss; a leap second is the one before it.
func clock(w string) (h, m, s int, ok bool) {
	parts := strings.SplitN(strings.ReplaceAll(w, ".", ":"), ":", 3)
	if len(parts) < 2 {
		return 0, 0, 0, false
	}
	h, ok = digits(parts[0], 2)
	m, ok2 := digits(parts[1], 2)
	if len(parts) == 3 {
		var ok3 bool
		s, ok3 = digits(parts[2], 2)
		ok = ok && ok3
	}
	if s == 60 {
		s = 59
	}
	return h, m, s, ok && ok2 && h < 24 && m < 60 && s < 60
}

// zone reads +hhmm or an old name (RFC 5322 4.3); an unknown one is UTC.
func zone(w string) *time.Location {
	if len(w) == 5 && (w[0] == '+' || w[0] == '-') {
		h, ok1 := digits(w[1:3], 2)
		m, ok2 := digits(w[3:], 2)
		if !ok1 || !ok2 || h > 23 || m > 59 || h == 0 && m == 0 {
			return time.UTC
		}
		sec := h*3600 + m*60
		if w[0] == '-' {
			sec = -sec
		}
		return time.FixedZone("", sec)
	}
	hours := 0
	switch strings.ToUpper(w) {
	case "EDT":
		hours = -4
	case "EST", "CDT":
		hours = -5
	case "CST", "MDT":
		hours = -6
	case "MST", "PDT":
		hours = -7
	case "PST":
		hours = -8
	case "CET", "MET":
		hours = 1
	case "CEST", "MEST":
		hours = 2
	default:
		return time.UTC
	}
	return time.FixedZone("", hours*3600)
}
