package web

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"pli/audit"
	"pli/consent"
	"pli/identity"
	"pli/store"
	"pli/web/words"
)

// tracePage is what the page of the trace shows.
type tracePage struct {
	Days   []traceDay
	Older  string // address of the page before, "" if this is the last
	Newest string // address of the first page, "" if this is it
	Others bool   // the person's own acts are left out
}

// traceDay is the lines of one day.
type traceDay struct {
	Day   time.Time
	Lines []traceLine
}

// traceLine is one line in words, or several alike that follow each other.
type traceLine struct {
	At      time.Time // of the latest
	Text    string
	Times   int
	Reason  string
	Refused bool
	Failed  bool
	You     bool
	Icon    string
}

// same reports whether a line says again what l says.
func (l traceLine) same(other traceLine) bool {
	l.At, l.Times = other.At, other.Times
	return l == other
}

// entries reads at most n lines of the trace before a line, newest first,
// through the gate: looking at the trace is an act like another.
func (v *visit) entries(ctx context.Context, before uint64, n int) ([]audit.Entry, error) {
	var list []audit.Entry
	req := consent.Request{Space: v.space(), Act: consent.ActTraceRead}
	err := v.Gate.Do(ctx, v.session.Actor, req, func(tx store.Tx) error {
		var err error
		list, err = audit.List(tx, before, n)
		return err
	})
	return list, err
}

// traceShown is how many lines a page takes from the trace: alike ones that
// follow each other are shown as one, and the person's own may be left out.
const traceShown = 100

// trace shows who did what, in words.
func (v *visit) trace() error {
	before, _ := strconv.ParseUint(v.r.URL.Query().Get("before"), 10, 64)
	list, err := v.entries(v.r.Context(), before, traceShown+1)
	if err != nil {
		return err
	}
	p := tracePage{Others: v.r.URL.Query().Get("who") == "others"}
	link := func(before uint64) string {
		q := url.Values{}
		if p.Others {
			q.Set("who", "others")
		}
		if before > 0 {
			q.Set("before", strconv.FormatUint(before, 10))
		}
		return local("/trace", q)
	}
	if before > 0 {
		p.Newest = link(0)
	}
	if len(list) > traceShown {
		list = list[:traceShown]
		p.Older = link(list[len(list)-1].Seq)
	}
	p.Days = v.days(list, p.Others)
	return v.render("trace", "trace.title", "trace", p)
}

// days puts lines into words, by day.
func (v *visit) days(list []audit.Entry, others bool) []traceDay {
	var days []traceDay
	senders := v.senders(list)
	for _, e := range list {
		line := v.traceLine(e, senders)
		if others && line.You {
			continue
		}
		if n := len(days); n == 0 || words.Day(v.lang, days[n-1].Day) != words.Day(v.lang, line.At) {
			days = append(days, traceDay{Day: line.At})
		}
		day := &days[len(days)-1]
		if n := len(day.Lines); n > 0 && day.Lines[n-1].same(line) {
			day.Lines[n-1].Times++
			continue
		}
		day.Lines = append(day.Lines, line)
	}
	return days
}

// senders returns who sent the letters that the lines tell of, by their names
// in the trace.
func (v *visit) senders(list []audit.Entry) map[string]string {
	out := map[string]string{}
	for _, e := range list {
		if e.Act == string(consent.ActMailDeliver) && e.Outcome == audit.Permit && e.Object != "" {
			out[e.Object] = e.Actor.Name
		}
	}
	return out
}

// actIcons are the drawings of the acts.
var actIcons = map[consent.Act]string{
	consent.ActMailDeliver: "inbox", consent.ActMailSend: "sent", consent.ActMailOpen: "inbox", consent.ActMailDisplay: "eye",
	consent.ActMailReject: "refused", consent.ActDossierFile: "filed", consent.ActDossierList: "report",
	consent.ActDossierRead: "eye", consent.ActTraceRead: "trace", consent.ActExchangeClose: "refused", consent.ActKeyTake: "key",
	consent.ActKeyChange: "key", consent.ActKeyRecover: "key", consent.ActKeyRotate: "key",
}

// traceLine puts one line of the trace into words.
func (v *visit) traceLine(e audit.Entry, senders map[string]string) traceLine {
	l := traceLine{
		At: e.At.In(v.Zone), Times: 1, Refused: e.Outcome == audit.Deny, Failed: e.Outcome == audit.Fail,
		You: v.isYou(e.Actor), Icon: actIcons[consent.Act(e.Act)],
	}
	if l.Icon == "" {
		l.Icon = "trace"
	}
	if l.Refused || l.Failed {
		l.Icon = "refused"
		l.Reason = v.reason(e)
	}
	what := e.Title
	if what != "" {
		what = v.say("trace.what", what)
	}
	switch {
	case e.Act == string(consent.ActMailDisplay) && senders[e.Object] != "":
		what = v.say("trace.from", senders[e.Object])
	case e.Act == string(consent.ActMailSend) && e.Title != "":
		what = v.say("trace.to", e.Title)
	}
	l.Text = v.sentence(e, l.You, what)
	return l
}

func (v *visit) isYou(a identity.Actor) bool {
	return a.Kind == identity.Holder && (a.Account == "" || a.Account == string(v.session.Account))
}

// sentence says what happened: "Vous avez …" or "Dr … (médecin) a …". An act
// that has no sentence yet is named by its word.
func (v *visit) sentence(e audit.Entry, you bool, what string) string {
	key := "trace." + e.Act
	if e.Outcome != audit.Permit {
		key += ".refused"
	}
	switch {
	case you && v.book.Has(key+".you"):
		return v.say(key+".you", what)
	case you:
		return v.say("trace.other.you", e.Act, what)
	case !v.book.Has(key):
		return v.say("trace.other", v.who(e), e.Act, what)
	}
	s := v.say(key, v.who(e), what)
	if e.Detail["exchange"] == "ended" {
		s = v.say("trace.ended", s)
	}
	return s
}

// who names an actor: "Dr Louise MOREAU (médecin)", or, where another operator
// brought the letter, "Dr … (par l’opérateur …)".
func (v *visit) who(e audit.Entry) string {
	a := e.Actor
	name := a.Name
	if name == "" {
		name = a.Address
	}
	if name == "" {
		return v.say("actor." + a.Kind.String())
	}
	if a.Kind == identity.Operator {
		through := e.Detail["operator"]
		if name == through && a.Address != "" {
			name = a.Address // From gave no name
		}
		if through != "" && through != name {
			return name + v.say("who.operator", through)
		}
	}
	role := v.profession(a)
	if role == "" {
		role = v.say("actor." + a.Kind.String())
	}
	return name + v.say("who.role", role)
}

// reason says why something was refused: by the rule that decided, else by
// what such a refusal means. The domain's own sentence is English.
func (v *visit) reason(e audit.Entry) string {
	for _, key := range []string{"rule." + e.Rule, "why." + e.Act} {
		if e.Outcome == audit.Deny && v.book.Has(key) {
			return v.say(key)
		}
	}
	if v.lang == words.English && e.Outcome == audit.Deny {
		return e.Reason
	}
	return ""
}
