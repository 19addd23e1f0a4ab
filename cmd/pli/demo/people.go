package demo

import (
	"fmt"
	"strconv"
	"time"
)

// File is demo.json: where the demo listens and who its sample people are.
// Its names are relied on by tests, scripts and operators.
type File struct {
	Web            string          `json:"web"`
	IMAPS          string          `json:"imaps"`
	IMAP           string          `json:"imap"`
	Submissions    string          `json:"submissions"`
	Submission     string          `json:"submission"`
	MX             string          `json:"mx"`
	Metrics        string          `json:"metrics"`
	CA             string          `json:"ca"`
	Outbox         string          `json:"outbox"`
	Holders        []Holder        `json:"holders"`
	Professionals  []Professional  `json:"professionals"`
	Establishments []Establishment `json:"establishments"`
	Operators      []Operator      `json:"operators"`
}

// Holder is a sample holder with every sign-in.
type Holder struct {
	INS          string `json:"ins"`
	Name         string `json:"name"`
	Address      string `json:"address"`
	Login        string `json:"login"`
	Password     string `json:"password"`
	MailPassword string `json:"mail_password"`
}

// Professional is a sample professional; Cert and Key are PEM files.
type Professional struct {
	RPPS         string `json:"rpps"`
	Profession   string `json:"profession"`
	Name         string `json:"name"`
	Address      string `json:"address"`
	Login        string `json:"login"`
	Password     string `json:"password"`
	MailPassword string `json:"mail_password"`
	Cert         string `json:"cert"`
	Key          string `json:"key"`
}

// Establishment is a sample establishment with an APP mailbox.
type Establishment struct {
	FINESS       string `json:"finess"`
	Name         string `json:"name"`
	Address      string `json:"address"`
	MailPassword string `json:"mail_password"`
	Cert         string `json:"cert"`
	Key          string `json:"key"`
}

// Operator is a sample peer operator of the trusted space.
type Operator struct {
	Domain string `json:"domain"`
	Cert   string `json:"cert"`
	Key    string `json:"key"`
}

// person is who a sample holder is; serial makes the matricule differ.
type person struct {
	family, given, sex string
	birth              time.Time
	place              string // COG, five characters
	serial             int
}

var holders = []person{
	{"ROUX", "Camille", "F", date(1979, 3, 12), "35238", 121},
	{"LEFEVRE", "Antoine", "M", date(1952, 11, 2), "75112", 18},
	{"COLONNA", "Ghjulia", "F", date(1991, 7, 23), "2B033", 12},
}

var professionals = []struct {
	serial                                  int // of the RPPS
	profession, family, given, title, local string
}{
	{1010134323, "10", "MOREAU", "Louise", "Dr", "louise.moreau"},
	{1000242297, "21", "GARNIER", "Paul", "M.", "paul.garnier"},
	{1010099724, "60", "PETIT", "Nadia", "Mme", "nadia.petit"},
}

func date(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC) }

// matricule returns the 15 characters of p's NIR: sex, year, month, place,
// serial, and the key 97 − (N mod 97), where 2A counts as 19 and 2B as 18.
func (p person) matricule() string {
	sex := "1"
	if p.sex == "F" {
		sex = "2"
	}
	body := fmt.Sprintf("%s%02d%02d%s%03d", sex, p.birth.Year()%100, int(p.birth.Month()), p.place, p.serial)
	digits := []byte(body)
	switch string(digits[5:7]) {
	case "2A":
		copy(digits[5:7], "19")
	case "2B":
		copy(digits[5:7], "18")
	}
	n, _ := strconv.ParseInt(string(digits), 10, 64)
	return fmt.Sprintf("%s%02d", body, 97-n%97)
}

// further returns the nth of the people that --spaces adds: one of them for
// each day of a made-up calendar, so that no two share a matricule.
func further(n int) person {
	families := []string{"BERNARD", "DUBOIS", "THOMAS", "ROBERT", "RICHARD", "SIMON", "LAURENT", "MICHEL", "GARCIA", "DAVID"}
	given := []string{"Alix", "Noé", "Inès", "Hugo", "Lina", "Jules", "Rose", "Adam", "Anna", "Louis"}
	p := person{family: families[n%10], given: given[n/10%10], sex: "F", place: fmt.Sprintf("%05d", 35001+n%400), serial: 1 + n/400%999}
	if n/10%2 == 1 {
		p.sex = "M"
	}
	p.birth = date(1950+n%50, 1+n/50%12, 1+n%28)
	return p
}

// withLuhn appends the Luhn check digit of n: an RPPS from its first ten
// digits, a FINESS from its first eight.
func withLuhn(n int) string {
	sum, double := 0, true
	for m := n; m > 0; m /= 10 {
		d := m % 10
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return fmt.Sprintf("%d%d", n, (10-sum%10)%10)
}
