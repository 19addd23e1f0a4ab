package mss_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/certs"
	"pli/consent"
	"pli/internal/errs"
	"pli/mss"
	"pli/mss/directory"
	"pli/space"
)

// The right belongs to the pair (holder, mailbox). Each story is a list of
// steps; "a" and "b" are a member's mailboxes, "sec" another's of the house.
//
//	a            a writes to the holder
//	a:FIN        with the header X-MSS-MES: FIN
//	a:[FIN]      with that subject
//	a>sec        with Reply-To: sec
//	a?auto       with Auto-Submitted: auto-replied
//	a?null       with the null sender
//	→a=yes       the holder writes to a, and may
//	→a=no        the holder writes to a, and may not
//
// D2, and story item 4.
func TestExchanges(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string]string{
		"never first":                            "→a=no",
		"whoever wrote may be written to":        "a →a=yes →a=yes →b=no",
		"an end ends":                            "a a:FIN →a=no",
		"an end by subject ends":                 "a a:[FIN] →a=no",
		"only the exact subject":                 "a a:[fin] →a=yes",
		"only the whole subject":                 "a a:Re:_[FIN] →a=yes",
		"an encoded subject is a subject":        "a a:=?utf-8?Q?=5BFIN=5D?= →a=no",
		"an end that comes first opens nothing":  "a:FIN →a=no",
		"writing again opens again":              "a a:FIN a →a=yes",
		"one end does not end another":           "a b b:FIN →a=yes →b=no",
		"an automatic message opens nothing":     "a?auto →a=no",
		"an automatic message ends nothing":      "a a:FIN?auto →a=yes",
		"an automatic message reopens nothing":   "a a:FIN a?auto →a=no",
		"a null sender opens nothing":            "a?null →a=no",
		"a null sender ends nothing":             "a a:FIN?null →a=yes",
		"a null sender reopens nothing":          "a a:FIN a?null →a=no",
		"Auto-Submitted: no is written by hand":  "a?no →a=yes",
		"Reply-To opens for its own address":     "a>sec →sec=yes →a=no",
		"whoever opened for another ends it":     "a>sec a:FIN →sec=no",
		"the mailbox itself ends, whoever opens": "a>sec sec:FIN →sec=no",
		"nobody ends what the mailbox opened":    "sec a>sec:FIN →sec=yes",
		"nobody ends what another opened":        "a>sec b:FIN →sec=yes",
		"nor by naming it":                       "a>sec b>sec:FIN →sec=yes",
		"two opened, one ended":                  "a>sec b>sec a:FIN →sec=yes b:FIN →sec=no",
		"two opened, the mailbox ended":          "a>sec b>sec sec:FIN →sec=no",
		"an end ends all that its From opened":   "a a>sec a:FIN →a=no →sec=no",
		"Reply-To outside does not count":        "a>out →a=yes",
		"Reply-To to a holder does not count":    "a>self →a=yes",
		"a holder's own message changes nothing": "a →a=yes a:FIN →a=no →a=no",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newTale(t).walk(steps)
		})
	}
}

// tale is a holder and three mailboxes.
type tale struct {
	*house
	holder *person
	boxes  map[string]*person
	n      int
}

func newTale(t *testing.T, change ...func(*mss.Config)) *tale {
	h := newHouse(t, change...)
	return &tale{house: h, holder: h.holder(space.Active), boxes: map[string]*person{"a": h.member("a"), "b": h.member("b"), "sec": h.member("sec")}}
}

func (s *tale) walk(steps string) {
	s.t.Helper()
	for _, step := range strings.Fields(steps) {
		if to, may, ok := strings.Cut(strings.TrimPrefix(step, "→"), "="); ok && strings.HasPrefix(step, "→") {
			reason := mss.NoExchange
			if may == "yes" {
				reason = 0
			}
			s.n++
			if got := mss.ReasonOf(s.holder.write(s.boxes[to].address.String(), "X-Step: "+strings.Repeat("x", s.n))); got != reason {
				s.t.Fatalf("%s in %q: %v", step, steps, got)
			}
			continue
		}
		s.professional(step)
	}
}

// professional takes a step of a professional's: who[>reply][:end][?how].
func (s *tale) professional(step string) {
	s.t.Helper()
	step, how, _ := strings.Cut(step, "?")
	step, end, _ := strings.Cut(step, ":")
	who, reply, _ := strings.Cut(step, ">")
	if strings.HasPrefix(how, "utf-8") { // an encoded word has the marks of a step in it
		end, how = end+"?"+how, ""
	}
	p := s.boxes[who]
	s.n++
	fields := []string{"From: " + p.address.String(), "To: " + s.holder.address.String(), "X-Step: " + strings.Repeat("x", s.n)}
	switch {
	case end == "FIN":
		fields = append(fields, "X-MSS-MES: FIN")
	case end != "":
		fields = append(fields, "Subject: "+strings.ReplaceAll(end, "_", " "))
	}
	switch reply {
	case "":
	case "out":
		fields = append(fields, "Reply-To: someone@"+peerDomain)
	case "self":
		fields = append(fields, "Reply-To: "+s.holder.address.String())
	default:
		fields = append(fields, "Reply-To: "+s.boxes[reply].address.String())
	}
	from := p.address.String()
	switch how {
	case "auto":
		fields = append(fields, "Auto-Submitted: auto-replied (vacation)")
	case "no":
		fields = append(fields, "Auto-Submitted: No")
	case "null":
		from = ""
	}
	if err := p.send(from, mailText(fields...), s.holder.address.String()); err != nil {
		s.t.Fatalf("%s: %v", step, err)
	}
}

// A peer's Reply-To counts within that peer's own domains.
func TestReplyToOfAPeer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.operator("smtp.tiers.test", otherDomain)
	caller := h.operator("smtp.autre.test", peerDomain)
	name, err := certs.Subject(caller.PeerCertificates[0])
	h.must(err)
	h.must(h.directory.AddDomain(context.Background(), directory.Domain{Name: "labo.autre.test", Kind: directory.Peer, Operators: []certs.Name{name}}))
	h.peer, err = h.mss.Peer(caller)
	h.must(err)
	holder := h.holder(space.Active)
	open := func() (list []string) {
		t.Helper()
		all, err := h.mss.Exchanges(context.Background(), holder.actor, holder.owner)
		h.must(err)
		for _, x := range all {
			if x.Open {
				list = append(list, x.Mailbox.String())
			}
		}
		slices.Sort(list)
		return list
	}
	for _, c := range []struct{ reply, opens string }{
		{"secretariat@labo.autre.test", "secretariat@labo.autre.test"},
		{"dr@" + otherDomain, "app@" + peerDomain},
		{"x@gmail.example, s2@" + peerDomain, "s2@" + peerDomain},
		{"s3 (secretariat) @ (x) " + peerDomain + ".", "s3@" + peerDomain},
		{spell("s4@"+peerDomain, "@", "\u3002"), "s4@" + peerDomain},
	} {
		before := open()
		want(t, h.peerWrites("app@"+peerDomain, holder.address.String(), "Reply-To: "+c.reply), 0)
		after := open()
		if len(after) != len(before)+1 || !slices.Contains(after, c.opens) {
			t.Errorf("Reply-To: %s opened %q after %q, want %s", c.reply, after, before, c.opens)
		}
	}
	want(t, h.peerWrites("app@"+peerDomain, holder.address.String(), "X-MSS-MES: FIN"), 0)
	if left := open(); len(left) != 0 {
		t.Errorf("after the end: %q", left)
	}
}

// A holder writes to professionals alone, as themselves.
func TestAHolderWrites(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder, other, doctor := h.holder(space.Active), h.holder(space.Active), h.member("louise.moreau")
	want(t, doctor.write(holder.address.String()), 0)
	want(t, h.peerWrites("dr@"+peerDomain, holder.address.String()), 0)
	for to, reason := range map[string]mss.Reason{
		other.address.String():                mss.NoExchange, // never another holder
		holder.address.String():               mss.NoExchange,
		matricule(9999) + "@" + patientDomain: mss.NoExchange, // nor is told whether there is one
		"nobody@" + localDomain:               mss.NoExchange,
		"dr2@" + peerDomain:                   mss.NoExchange,
		"someone@gmail.example":               mss.NoExchange,
		"dr@" + peerDomain:                    mss.NotMember, // may, but not from here yet
		strings.ToUpper(doctor.address.Key()): 0,
	} {
		if got := mss.ReasonOf(holder.write(to)); got != reason {
			t.Errorf("to %s: %v, want %v", to, got, reason)
		}
	}
	text := mailText("From: "+other.address.String(), "To: "+doctor.address.String())
	want(t, holder.send(holder.address.String(), text, doctor.address.String()), mss.HeaderFrom)
	text = mailText("From: "+holder.address.String(), "To: "+doctor.address.String(), "Cc: "+other.address.String())
	want(t, holder.send(holder.address.String(), text, doctor.address.String()), mss.HoldersInHeaders)
	if got := doctor.letters(); len(got) != 1 {
		t.Errorf("%d letters", len(got))
	}
	h.must(h.mss.Close(context.Background()))
	lines := holder.trace()
	for _, line := range []string{"mail.send permit " + strings.ToLower(doctor.address.String()), "mail.send deny nobody@" + localDomain} { // C4, C7
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.EqualFold(l, line) }) {
			t.Errorf("the trace lacks %q: %q", line, lines)
		}
	}
}

func TestTheRefusalSpeaksFrenchAndEnglish(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	err := h.holder(space.Active).write(h.member("louise.moreau").address.String())
	want(t, err, mss.NoExchange)
	if text := err.Error(); !strings.Contains(text, "professionnel") || !strings.Contains(text, "professional") || len(text) > 480 {
		t.Errorf("%q", text)
	}
	for _, r := range mss.Reasons() {
		if r.String() == "unknown" || r.Kind() == errs.Internal {
			t.Errorf("reason %d has no name or kind", r)
		}
	}
}

// A setting lets holders answer, and not write anew.
func TestRepliesOnly(t *testing.T) {
	t.Parallel()
	s := newTale(t, func(c *mss.Config) { c.RepliesOnly = true })
	a, b := s.boxes["a"], s.boxes["b"]
	to := s.holder.address.String()
	want(t, a.write(to, "Message-ID: <one@a>"), 0)
	want(t, b.write(to, "Message-ID: <two@b>"), 0)
	for _, c := range []struct {
		name   string
		fields []string
		want   mss.Reason
	}{
		{"anew", nil, mss.NoExchange},
		{"an answer", []string{"In-Reply-To: <one@a>"}, 0},
		{"within a thread", []string{"In-Reply-To: <mine@x>", "References: <one@a> <mine@x>"}, 0},
		{"an answer to another's", []string{"In-Reply-To: <two@b>"}, mss.NoExchange},
		{"an answer to nothing known", []string{"In-Reply-To: <three@a>"}, mss.NoExchange},
	} {
		if got := mss.ReasonOf(s.holder.write(a.address.String(), c.fields...)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	want(t, a.write(to, "X-MSS-MES: FIN"), 0)
	want(t, s.holder.write(a.address.String(), "In-Reply-To: <one@a>"), mss.NoExchange)
}

// The holder sees whom they may write to, and nobody else does.
func TestExchangesAreListed(t *testing.T) {
	t.Parallel()
	s := newTale(t)
	s.walk("a b b:FIN")
	ctx := context.Background()
	list, err := s.mss.Exchanges(ctx, s.holder.actor, s.holder.owner)
	s.must(err)
	if len(list) != 2 || !list[0].Open || list[0].Mailbox != s.boxes["a"].address || list[1].Open {
		t.Errorf("%+v", list)
	}
	if age := s.now().Sub(list[0].Since); age < 0 || age > time.Minute {
		t.Errorf("since %v", list[0].Since)
	}
	if _, err := s.mss.Exchanges(ctx, s.boxes["a"].actor, s.holder.owner); !errs.Is(err, errs.Denied) {
		t.Errorf("to a professional: %v", err)
	}
	if !slices.Contains(s.holder.trace(), string(consent.ActExchangeList)+" deny") {
		t.Errorf("trace %q", s.holder.trace())
	}
}
