package ical

import (
	"strconv"
	"strings"
	"time"
)

// split takes a content line apart: name, parameters and value
// (RFC 5545 3.1). Names come back in capitals.
func split(s string) (name string, params map[string]string, value string, ok bool) {
	end := strings.IndexAny(s, ";:")
	if end <= 0 {
		return "", nil, "", false
	}
	name = strings.ToUpper(s[:end])
	rest := s[end:]
	for strings.HasPrefix(rest, ";") && len(params) < 32 {
		key, after, found := strings.Cut(rest[1:], "=")
		if !found || strings.Contains(key, ":") {
			return "", nil, "", false
		}
		var v string
		v, rest = parameter(after)
		if params == nil {
			params = map[string]string{}
		}
		params[strings.ToUpper(key)] = v
	}
	value, ok = strings.CutPrefix(rest, ":")
	return name, params, value, ok
}

// parameter returns the value of a parameter, quoted or not, and what follows.
func parameter(s string) (string, string) {
	if strings.HasPrefix(s, `"`) {
		if v, rest, ok := strings.Cut(s[1:], `"`); ok {
			return v, rest
		}
		return "", ""
	}
	end := strings.IndexAny(s, ";:")
	if end < 0 {
		return s, ""
	}
	return s[:end], s[end:]
}

// text takes the escapes out of a text value (RFC 5545 3.3.11) and keeps at
// most MaxValue bytes of it.
func text(s string) string {
	var out strings.Builder
	for i := 0; i < len(s) && out.Len() < MaxValue; i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n', 'N':
			out.WriteByte('\n')
		default:
			out.WriteByte(s[i])
		}
	}
	return cut(strings.TrimSpace(strings.ToValidUTF8(out.String(), "\uFFFD")), MaxValue)
}

// duration reads a positive duration (RFC 5545 3.3.6), at most a year; others
// are zero.
func duration(s string) time.Duration {
	s, ok := strings.CutPrefix(strings.TrimPrefix(strings.ToUpper(s), "+"), "P")
	if !ok {
		return 0
	}
	units := map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour, 'H': time.Hour, 'M': time.Minute, 'S': time.Second}
	var sum time.Duration
	for s != "" {
		s = strings.TrimPrefix(s, "T")
		n := strings.IndexAny(s, "WDHMS")
		if n <= 0 || n > 6 {
			return 0
		}
		count, err := strconv.Atoi(s[:n])
		if err != nil || count < 0 {
			return 0
		}
		if sum += time.Duration(count) * units[s[n]]; sum > 366*24*time.Hour || sum < 0 {
			return 0
		}
		s = s[n+1:]
	}
	return sum
}
