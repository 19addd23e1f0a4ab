// Package ical reads the appointment that an iCalendar object carries.
//
// It reads what a letter of summons needs (RFC 5545): the first event's dates,
// place, title, words and organiser, and whether it was called off. Recurrence
// and time zone definitions are left aside: a TZID is looked up by its name.
package ical

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrNoEvent is returned for what carries no event that can be shown.
var ErrNoEvent = errors.New("ical: no event with a date")

// Limits on what is read; what lies beyond is left out.
const (
	MaxBytes = 256 * 1024 // of the whole object
	MaxLine  = 16 * 1024  // of one unfolded content line
	MaxValue = 4000       // of one text value that is kept, in bytes
)

// Event is an appointment.
type Event struct {
	Start, End  time.Time // End is zero if not told
	AllDay      bool      // the dates have no time of day
	Floating    bool      // no time zone was told: local time was assumed
	Summary     string
	Location    string
	Description string
	Organizer   string // name, else address without "mailto:"
	Cancelled   bool   // METHOD:CANCEL or STATUS:CANCELLED
}

// Read returns the first event of an iCalendar object. Times without a zone,
// and those of a zone that is not known, are taken as local in loc.
func Read(r io.Reader, loc *time.Location) (Event, error) {
	p := parser{loc: loc}
	br := bufio.NewReader(io.LimitReader(r, MaxBytes))
	for !p.done {
		line, err := unfolded(br)
		if line != "" {
			p.line(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return Event{}, err
		}
	}
	return p.event()
}

// unfolded reads one content line, joined with those that continue it
// (RFC 5545 3.1). What is longer than MaxLine is cut.
func unfolded(br *bufio.Reader) (string, error) {
	var b []byte
	for {
		piece, err := br.ReadSlice('\n')
		if room := MaxLine - len(b); room > 0 {
			b = append(b, piece[:min(room, len(piece))]...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		b = trimEOL(b)
		if err != nil {
			return string(b), err
		}
		next, err := br.Peek(1)
		if err != nil || next[0] != ' ' && next[0] != '\t' {
			return string(b), nil
		}
		br.Discard(1)
	}
}

func trimEOL(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// parser takes content lines in order.
type parser struct {
	loc      *time.Location
	depth    int // of components open
	in       int // depth of the event, 0 outside it
	done     bool
	ev       Event
	duration time.Duration
}

func (p *parser) line(s string) {
	name, params, value, ok := split(s)
	if !ok {
		return
	}
	switch name {
	case "BEGIN":
		p.depth++
		if p.in == 0 && strings.EqualFold(value, "VEVENT") {
			p.in = p.depth
		}
		return
	case "END":
		if p.in != 0 && p.depth == p.in {
			p.done = true
		}
		p.depth--
		return
	case "METHOD":
		p.ev.Cancelled = p.ev.Cancelled || strings.EqualFold(value, "CANCEL")
	}
	if p.in != 0 && p.depth == p.in {
		p.property(name, params, value)
	}
}

func (p *parser) property(name string, params map[string]string, value string) {
	switch name {
	case "DTSTART":
		p.ev.Start, p.ev.AllDay, p.ev.Floating = p.when(params, value)
	case "DTEND":
		p.ev.End, _, _ = p.when(params, value)
	case "DURATION":
		p.duration = duration(value)
	case "SUMMARY":
		p.ev.Summary = text(value)
	case "LOCATION":
		p.ev.Location = text(value)
	case "DESCRIPTION":
		p.ev.Description = text(value)
	case "STATUS":
		p.ev.Cancelled = p.ev.Cancelled || strings.EqualFold(value, "CANCELLED")
	case "ORGANIZER":
		p.ev.Organizer = text(params["CN"])
		if p.ev.Organizer == "" && len(value) > 7 && strings.EqualFold(value[:7], "mailto:") {
			p.ev.Organizer = text(value[7:])
		}
	}
}

// event returns what was read, if it makes an appointment.
func (p *parser) event() (Event, error) {
	if p.ev.Start.IsZero() {
		return Event{}, ErrNoEvent
	}
	if p.ev.End.IsZero() && p.duration > 0 {
		p.ev.End = p.ev.Start.Add(p.duration)
	}
	// RFC 5545 3.6.1: the end of an all-day event is the day after it.
	if p.ev.AllDay && !p.ev.End.IsZero() {
		p.ev.End = p.ev.End.AddDate(0, 0, -1)
	}
	if p.ev.End.Before(p.ev.Start) {
		p.ev.End = time.Time{}
	}
	return p.ev, nil
}

// when reads a date or a date with time (RFC 5545 3.3.4, 3.3.5).
func (p *parser) when(params map[string]string, value string) (t time.Time, day, floating bool) {
	if t, err := time.ParseInLocation("20060102", value, p.loc); err == nil {
		return t, true, false
	}
	if t, err := time.Parse("20060102T150405Z", value); err == nil {
		return t.In(p.loc), false, false
	}
	zone, known := p.loc, false
	if id := params["TZID"]; id != "" && len(id) < 64 && !strings.Contains(id, "..") {
		if l, err := time.LoadLocation(id); err == nil {
			zone, known = l, true
		}
	}
	t, err := time.ParseInLocation("20060102T150405", value, zone)
	if err != nil {
		return time.Time{}, false, false
	}
	return t.In(p.loc), false, !known
}

// cut shortens s to at most n bytes between two characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
