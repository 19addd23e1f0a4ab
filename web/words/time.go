package words

import (
	"fmt"
	"time"
)

var months = map[Lang][12]string{
	French:  {"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
	English: {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
}

var days = map[Lang][7]string{
	French:  {"dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"},
	English: {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
}

// Day returns a date as people say it: "3 mars 2026", "1er mai 2026"; "3 March
// 2026". A zero time is the empty string.
func Day(l Lang, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := fmt.Sprint(t.Day())
	if l == French && t.Day() == 1 {
		d = "1er"
	}
	return fmt.Sprintf("%s %s %d", d, months[l][t.Month()-1], t.Year())
}

// WeekDay returns the date with its day of the week: "mardi 3 mars 2026".
func WeekDay(l Lang, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return days[l][t.Weekday()] + " " + Day(l, t)
}

// Hour returns the time of day: "14 h 02"; "14:02".
func Hour(l Lang, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if l == French {
		return fmt.Sprintf("%d\u00a0h\u00a0%02d", t.Hour(), t.Minute())
	}
	return fmt.Sprintf("%02d:%02d", t.Hour(), t.Minute())
}

// Moment returns date and time: "3 mars 2026 à 14 h 02"; "3 March 2026 at
// 14:02".
func Moment(l Lang, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if l == French {
		return Day(l, t) + " à " + Hour(l, t)
	}
	return Day(l, t) + " at " + Hour(l, t)
}

// Short returns the least that tells when it was, seen from now: the hour of
// today's, the day and month of this year's, else the whole date.
func Short(l Lang, t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	now = now.In(t.Location())
	if t.Year() != now.Year() {
		return fmt.Sprintf("%02d/%02d/%d", t.Day(), t.Month(), t.Year())
	}
	if t.YearDay() == now.YearDay() {
		return Hour(l, t)
	}
	d := fmt.Sprint(t.Day())
	if l == French && t.Day() == 1 {
		d = "1er"
	}
	return d + " " + months[l][t.Month()-1]
}

// Month returns month and year: "mars 2026".
func Month(l Lang, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s %d", months[l][t.Month()-1], t.Year())
}

// Size returns a number of bytes as people read it: "512 octets", "48 Ko",
// "1,2 Mo", "5 Go"; "1.2 MB". Units are decimal, as in the limits that people are told.
func Size(l Lang, n int64) string {
	unit := map[Lang][4]string{French: {"octets", "Ko", "Mo", "Go"}, English: {"bytes", "kB", "MB", "GB"}}[l]
	switch {
	case n < 1000:
		return fmt.Sprintf("%d\u00a0%s", n, unit[0])
	case n < 1000*1000:
		return fmt.Sprintf("%d\u00a0%s", (n+500)/1000, unit[1])
	}
	if n >= 999_450_000 { // what would read as 1000 of the smaller unit
		n, unit[2] = n/1000, unit[3]
	}
	tenths := (n + 50*1000) / (100 * 1000)
	if tenths%10 == 0 || tenths >= 100 {
		return fmt.Sprintf("%d\u00a0%s", (tenths+5)/10, unit[2])
	}
	point := map[Lang]string{French: ",", English: "."}[l]
	return fmt.Sprintf("%d%s%d\u00a0%s", tenths/10, point, tenths%10, unit[2])
}
