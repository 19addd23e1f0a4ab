package imapd

import (
	"bytes"
	"strings"
)

// searchArgs is how many arguments follow a search key (RFC 9051 6.4.4);
// those that are not named have none.
var searchArgs = map[string]int{
	"BCC": 1, "BEFORE": 1, "BODY": 1, "CC": 1, "CHARSET": 1, "FROM": 1, "HEADER": 2, "KEYWORD": 1, "LARGER": 1,
	"ON": 1, "SENTBEFORE": 1, "SENTON": 1, "SENTSINCE": 1, "SINCE": 1, "SMALLER": 1, "SUBJECT": 1, "TEXT": 1,
	"TO": 1, "UID": 1, "UNKEYWORD": 1,
}

// searchScan walks the keys of a SEARCH command.
type searchScan struct {
	line     []byte
	pos      int
	out      []byte
	args     int   // arguments that the last key still wants
	open     []int // what is not complete: keys that NOT (1) and OR (2, then 1) want; 0 for a parenthesis
	maxDepth int
}

// searchLine readies a SEARCH command for the library, which reads its keys by
// recursion without a bound, and forgets SMALLER when a LARGER or a date comes
// after it. It returns the line with each SMALLER on its own, behind two NOT,
// and why the command cannot be, if so.
func searchLine(line []byte, maxDepth int) (out []byte, spoilt string) {
	_, name := nameOf(line)
	start := bytes.IndexByte(line, ' ') + 1 + len(name)
	if start > len(line) {
		return line, "" // spaces where none belong: the library will say so
	}
	s := &searchScan{line: line, pos: start, maxDepth: maxDepth}
	s.out = append(make([]byte, 0, len(line)+16), line[:start]...)
	for s.pos < len(line) {
		s.token()
		if len(s.open) > maxDepth {
			return nil, "Search keys nested too deep"
		}
	}
	return s.out, ""
}

// token takes one token, or one byte between tokens.
func (s *searchScan) token() {
	start := s.pos
	switch c := s.line[s.pos]; c {
	case '(':
		s.pos++
		s.open = append(s.open, 0)
	case ')':
		s.pos++
		s.close()
	case ' ', '\r', '\n':
		s.pos++
	case '"':
		s.skipQuoted()
		s.value()
	default:
		for s.pos < len(s.line) && strings.IndexByte("() \"\r\n", s.line[s.pos]) < 0 {
			s.pos++
		}
		s.atom(strings.ToUpper(string(s.line[start:s.pos])))
	}
	s.out = append(s.out, s.line[start:s.pos]...)
}

func (s *searchScan) skipQuoted() {
	for s.pos++; s.pos < len(s.line) && s.line[s.pos] != '"'; s.pos++ {
		if s.line[s.pos] == '\\' {
			s.pos++
		}
	}
	s.pos = min(s.pos+1, len(s.line))
}

// atom takes a key, or an argument that is not quoted.
func (s *searchScan) atom(word string) {
	switch {
	case s.args > 0:
		s.value()
	case word == "NOT":
		s.open = append(s.open, 1)
	case word == "OR":
		s.open = append(s.open, 2)
	case searchArgs[word] > 0:
		s.args = searchArgs[word]
		if word == "SMALLER" {
			s.out = append(s.out, "NOT NOT "...)
		}
	default:
		s.complete()
	}
}

// value takes an argument.
func (s *searchScan) value() {
	if s.args > 0 {
		s.args--
	}
	if s.args == 0 {
		s.complete()
	}
}

// close is at ")": what its list left open is not going to be complete.
func (s *searchScan) close() {
	s.args = 0
	for n := len(s.open); n > 0; n = len(s.open) {
		last := s.open[n-1]
		s.open = s.open[:n-1]
		if last == 0 {
			break
		}
	}
	s.complete()
}

// complete is at the end of a key, which may complete the NOT and OR before it.
func (s *searchScan) complete() {
	for n := len(s.open); n > 0 && s.open[n-1] > 0; n = len(s.open) {
		if s.open[n-1]--; s.open[n-1] > 0 {
			return
		}
		s.open = s.open[:n-1]
	}
}
