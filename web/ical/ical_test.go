package ical_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pli/web/ical"
)

func paris(t testing.TB) *time.Location {
	t.Helper()
	l, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func event(t *testing.T, lines ...string) ical.Event {
	t.Helper()
	ev, err := ical.Read(strings.NewReader(object(lines...)), paris(t))
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func object(lines ...string) string {
	return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
}

// D3: a summons to an examination.
func TestASummonsIsRead(t *testing.T) {
	t.Parallel()
	ev := event(t, "UID:1", "DTSTART;TZID=Europe/Paris:20260410T083000", "DTEND;TZID=Europe/Paris:20260410T091500",
		"SUMMARY:IRM du genou\\, gauche", "LOCATION:Centre d'imagerie\\nHall B\\; 2e", " ­étage",
		"DESCRIPTION:À jeun", "ORGANIZER;CN=\"Dr Moreau; radiologie\":mailto:louise@medecin.pli.test",
		"BEGIN:VALARM", "SUMMARY:not this", "TRIGGER:-PT15M", "END:VALARM")
	if got := ev.Start.Format("2006-01-02 15:04 MST"); got != "2026-04-10 08:30 CEST" {
		t.Errorf("start %s", got)
	}
	if ev.End.Sub(ev.Start) != 45*time.Minute || ev.Summary != "IRM du genou, gauche" || ev.Location != "Centre d'imagerie\nHall B; 2e­étage" {
		t.Errorf("%+v", ev)
	}
	if ev.Organizer != "Dr Moreau; radiologie" || ev.Description != "À jeun" || ev.Cancelled || ev.AllDay || ev.Floating {
		t.Errorf("%+v", ev)
	}
}

// RFC 5545 3.3.5: the three forms of a time, and the date alone.
func TestFormsOfTime(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"DTSTART:20260410T063000Z":                       "2026-04-10 08:30 false false",
		"DTSTART:20260410T083000":                        "2026-04-10 08:30 false true",
		"DTSTART;TZID=America/New_York:20260410T023000":  "2026-04-10 08:30 false false",
		"DTSTART;TZID=Romance Standard:20260410T083000":  "2026-04-10 08:30 false true",
		"DTSTART;VALUE=DATE:20260410":                    "2026-04-10 00:00 true false",
		"DTSTART;TZID=../../etc/passwd:20260410T083000":  "2026-04-10 08:30 false true",
		"dtstart;tzid=\"Europe/Paris\":20260410T083000":  "2026-04-10 08:30 false false",
		"DTSTART;X-P=\"a:b;c\";X-Q=1:20260410T083000":    "2026-04-10 08:30 false true",
		"DTSTART;TZID=Europe/Paris;VALUE=DATE-TIME:junk": "",
	} {
		ev, err := ical.Read(strings.NewReader(object(line)), paris(t))
		if want == "" {
			if !errors.Is(err, ical.ErrNoEvent) {
				t.Errorf("%s: %v", line, err)
			}
			continue
		}
		flags := map[bool]string{true: "true", false: "false"}
		if got := ev.Start.Format("2006-01-02 15:04 ") + flags[ev.AllDay] + " " + flags[ev.Floating]; err != nil || got != want {
			t.Errorf("%s: %s, want %s (%v)", line, got, want, err)
		}
	}
}

func TestEndsAndCancellations(t *testing.T) {
	t.Parallel()
	start := "DTSTART;TZID=Europe/Paris:20260410T083000"
	if ev := event(t, start, "DURATION:P1DT2H30M"); ev.End.Sub(ev.Start) != 26*time.Hour+30*time.Minute {
		t.Errorf("duration: %v", ev.End)
	}
	for _, d := range []string{"DURATION:-PT1H", "DURATION:P", "DURATION:PT", "DURATION:P999999W", "DURATION:PTxH"} {
		if ev := event(t, start, d); !ev.End.IsZero() {
			t.Errorf("%s: %v", d, ev.End)
		}
	}
	if ev := event(t, start, "DTEND;TZID=Europe/Paris:20260409T083000"); !ev.End.IsZero() {
		t.Errorf("an end before the start is shown: %v", ev.End)
	}
	// RFC 5545 3.6.1: DTEND of whole days is not included.
	if ev := event(t, "DTSTART;VALUE=DATE:20260410", "DTEND;VALUE=DATE:20260412"); ev.End.Day() != 11 {
		t.Errorf("two whole days end on %v", ev.End)
	}
	if ev := event(t, start, "STATUS:cancelled"); !ev.Cancelled {
		t.Error("STATUS:CANCELLED is not seen")
	}
	ev, err := ical.Read(strings.NewReader(strings.Replace(object(start), "VERSION:2.0", "METHOD:CANCEL", 1)), paris(t))
	if err != nil || !ev.Cancelled {
		t.Errorf("METHOD:CANCEL is not seen: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	start := "DTSTART:20260410T083000"
	for n, want := range map[int]int{ical.MaxValue: ical.MaxValue, ical.MaxValue + 1: ical.MaxValue} {
		if ev := event(t, start, "SUMMARY:"+strings.Repeat("x", n)); len(ev.Summary) != want {
			t.Errorf("%d bytes: %d kept", n, len(ev.Summary))
		}
	}
	if ev := event(t, "SUMMARY:"+strings.Repeat("x", 2*ical.MaxLine), start); len(ev.Summary) != ical.MaxValue || ev.Start.IsZero() {
		t.Errorf("a long line spoils the next: %d %v", len(ev.Summary), ev.Start)
	}
	far := strings.Repeat("X-PAD:"+strings.Repeat("y", 60)+"\r\n", ical.MaxBytes/60)
	if _, err := ical.Read(strings.NewReader("BEGIN:VEVENT\r\n"+far+start+"\r\nEND:VEVENT\r\n"), paris(t)); !errors.Is(err, ical.ErrNoEvent) {
		t.Errorf("what lies beyond MaxBytes was read: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(object("DTSTART;TZID=Europe/Paris:20260410T083000", "SUMMARY:a\\nb", " folded", "DURATION:PT1H"))
	f.Add("BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260410\nDTEND:20260411")
	f.Add("END:VEVENT\r\n:;=\"\r\n\r\n \r\n")
	zone := paris(f)
	f.Fuzz(func(t *testing.T, s string) {
		ev, err := ical.Read(strings.NewReader(s), zone)
		if err != nil {
			return
		}
		if ev.Start.IsZero() || !ev.End.IsZero() && ev.End.Before(ev.Start) {
			t.Errorf("%+v", ev)
		}
		for _, text := range []string{ev.Summary, ev.Location, ev.Description, ev.Organizer} {
			if len(text) > ical.MaxValue {
				t.Errorf("%d bytes kept", len(text))
			}
		}
	})
}
