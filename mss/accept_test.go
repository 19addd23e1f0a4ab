package mss_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/certs"
	"pli/identity"
	"pli/internal/errs"
	"pli/mss"
	"pli/mss/directory"
	"pli/space"
)

// D1
func TestAPeerWritesToAHolder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, state := range []space.State{space.Open, space.Active} {
		holder := h.holder(state)
		want(t, h.peerWrites("labo@"+peerDomain, strings.ToUpper(holder.address.Local())+"@"+patientDomain), 0)
		if got := letters(h, holder); len(got) != 1 {
			t.Fatalf("%s: %d letters", state, len(got))
		}
		if state == space.Active && !slices.Contains(holder.trace(), "mail.deliver permit labo@"+peerDomain) { // C4
			t.Errorf("%s: trace %q", state, holder.trace())
		}
	}
}

// letters reads a holder's inbox; a space must be active for that.
func letters(h *house, p *person) []string {
	h.t.Helper()
	if p.actor.Kind == identity.Holder {
		h.must(h.spaces.SetState(context.Background(), p.owner, space.Active))
	}
	return p.letters()
}

// Each refusal of a caller says which it was.
func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	state := func(i certs.Issued, err error) tls.ConnectionState {
		h.must(err)
		return showing(i.Cert)
	}
	foreign, err := certs.NewAuthority("Somebody else", h.now())
	h.must(err)
	longAgo := h.now().Add(-20 * 365 * 24 * time.Hour)
	words := map[string]bool{}
	for _, c := range []struct {
		name string
		tls  tls.ConnectionState
		want mss.Reason
	}{
		{"no certificate", tls.ConnectionState{}, mss.NoCertificate},
		{"another authority", state(foreign.IssueOperator(h.now(), "smtp.autre.test", peerDomain)), mss.UnknownAuthority},
		{"expired", state(h.authority.IssueOperator(longAgo, "smtp.autre.test", peerDomain)), mss.BadCertificate},
		{"a server's only", state(h.authority.IssueServer(h.now(), "smtp.autre.test")), mss.BadCertificate},
		{"a name nobody allowed", state(h.authority.IssueOperator(h.now(), "smtp.inconnu.test", "inconnu.test")), mss.NotOnAllowList},
		{"the operator's second server, before it is listed", state(h.authority.IssueOperator(h.now(), "smtp-2.autre.test", peerDomain)), mss.NotOnAllowList},
		{"the operator, with a new certificate", state(h.authority.IssueOperator(h.now(), "smtp.autre.test", peerDomain)), 0},
	} {
		_, err := h.mss.Peer(c.tls)
		if got := mss.ReasonOf(err); got != c.want {
			t.Errorf("%s: %v (%v), want %v", c.name, got, err, c.want)
		}
		if err != nil && c.want != mss.BadCertificate && words[err.Error()] {
			if c.want != mss.NotOnAllowList {
				t.Errorf("%s: the words do not say which it was: %v", c.name, err)
			}
		} else if err != nil {
			words[err.Error()] = true
		}
	}
}

// A check is remembered, but not past a change of the allow-list.
func TestAPeerThatIsTakenOffTheListIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	caller := h.operator("smtp.tiers.test", otherDomain)
	if _, err := h.mss.Peer(caller); err != nil {
		t.Fatal(err)
	}
	h.must(h.directory.RemoveDomain(context.Background(), otherDomain))
	_, err := h.mss.Peer(caller)
	want(t, err, mss.NotOnAllowList)
}

func TestMailFromOfAPeer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.operator("smtp.tiers.test", otherDomain)
	for from, reason := range map[string]mss.Reason{
		"dr@" + peerDomain:           0,
		"dr@" + "MSS.Autre.Test":     0,
		"":                           0,
		"dr@" + otherDomain:          mss.SenderDomain, // on the list, and another's
		"dr@" + localDomain:          mss.SenderDomain,
		"1@" + patientDomain:         mss.SenderDomain,
		"dr@gmail.example":           mss.SenderDomain,
		"dr@x." + peerDomain:         mss.SenderDomain,
		"dr@" + peerDomain + ".evil": mss.SenderDomain,
		"no address":                 mss.BadAddress,
	} {
		_, err := h.mss.FromPeer(context.Background(), h.peer, from, mss.Params{})
		if got := mss.ReasonOf(err); got != reason {
			t.Errorf("%q: %v, want %v", from, got, reason)
		}
	}
}

// Whether a space exists is a secret: every address that takes no mail is
// refused in the same words.
func TestRefusalsOfHoldersAreAlike(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mss.Config) { c.Limits.UnknownLeast = 100; c.Limits.RefusalFloor = 60 * time.Millisecond })
	to := map[string]string{
		"unknown":       matricule(9999) + "@" + patientDomain,
		"not a number":  "toto@" + patientDomain,
		"a test number": "reponse.automatique-test@" + patientDomain,
		"too long":      strings.Repeat("9", 64) + "@" + patientDomain,
	}
	var closed []*person
	for _, s := range []space.State{space.Opposed, space.Closed, space.Archived, space.Deleted} {
		p := h.holder(s)
		to[s.String()], closed = p.address.String(), append(closed, p)
	}
	announced := h.holder(space.Announced)
	to["announced"], closed = announced.address.String(), append(closed, announced)
	destroyed := h.holder(space.Deleted)
	h.must(h.keys.Destroy(context.Background(), destroyed.owner, ""))
	h.people = h.people[:len(h.people)-1] // nothing of theirs can be checked
	to["destroyed"] = destroyed.address.String()
	words := map[string][]string{}
	for name, address := range to {
		start := time.Now()
		err := h.peerWrites("labo@"+peerDomain, address)
		want(t, err, mss.UnknownRecipient)
		words[err.Error()] = append(words[err.Error()], name)
		if took := time.Since(start); took < 55*time.Millisecond {
			t.Errorf("%s: refused after %v; the floor is 60 ms", name, took)
		}
	}
	if len(words) != 1 {
		t.Errorf("the words differ: %q", words)
	}
	h.must(h.mss.Close(context.Background())) // the traces are written
	for _, p := range closed {
		if lines := p.trace(); !slices.Contains(lines, "mail.reject deny labo@"+peerDomain) { // C7
			t.Errorf("%s: the attempt is not traced: %q", p.owner, lines)
		}
	}
}

func TestOneHolderAMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b, doctor := h.holder(space.Active), h.holder(space.Active), h.member("louise.moreau")
	ctx := context.Background()
	tx, err := h.mss.FromPeer(ctx, h.peer, "labo@"+peerDomain, mss.Params{})
	h.must(err)
	defer tx.Close()
	h.must(tx.Rcpt(ctx, a.address.String(), mss.RcptParams{}))
	h.must(tx.Rcpt(ctx, strings.ToUpper(a.address.String()), mss.RcptParams{})) // the same
	want(t, tx.Rcpt(ctx, b.address.String(), mss.RcptParams{}), mss.SecondHolder)
	want(t, tx.Rcpt(ctx, matricule(9999)+"@"+patientDomain, mss.RcptParams{}), mss.SecondHolder) // tells nothing
	h.must(tx.Rcpt(ctx, doctor.address.String(), mss.RcptParams{}))
	_, err = tx.Data(ctx, strings.NewReader(mailText("From: labo@"+peerDomain, "To: "+a.address.String())))
	want(t, err, 0)
	if len(a.letters()) != 1 || len(b.letters()) != 0 || len(doctor.letters()) != 1 {
		t.Errorf("letters: %d %d %d", len(a.letters()), len(b.letters()), len(doctor.letters()))
	}
}

func TestNoPatientLearnsOfAnother(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.holder(space.Active).address.String(), h.holder(space.Active).address.String()
	doctor := h.member("louise.moreau").address.String()
	from := "labo@" + peerDomain
	for _, c := range []struct {
		name   string
		to     string
		fields []string
		want   mss.Reason
	}{
		{"two in To", a, []string{"To: " + a + ", " + b}, mss.HoldersInHeaders},
		{"one in To, one in Cc", a, []string{"To: " + a, "Cc: x <" + b + ">"}, mss.HoldersInHeaders},
		{"the other one alone", a, []string{"To: " + b}, mss.HoldersInHeaders},
		{"in a name", a, []string{"To: \"" + b + "\" <" + a + ">"}, mss.HoldersInHeaders},
		{"in an encoded name", a, []string{"To: =?utf-8?q?" + strings.ReplaceAll(b, "@", "=40") + "?= <" + a + ">"}, mss.HoldersInHeaders},
		{"in a comment", a, []string{"To: " + a + " (" + strings.ToUpper(b) + ")"}, mss.HoldersInHeaders},
		{"in a group", a, []string{"To: patients: " + a + ", " + b + ";"}, mss.HoldersInHeaders},
		{"folded", a, []string{"To: " + a + ",\r\n\t" + b}, mss.HoldersInHeaders},
		{"Resent-Cc", a, []string{"To: " + a, "Resent-Cc: " + b}, mss.HoldersInHeaders},
		{"Reply-To", a, []string{"To: " + a, "Reply-To: " + b}, mss.HoldersInHeaders},
		{"to a doctor, of two patients", doctor, []string{"To: " + doctor, "Cc: " + a + ", " + b}, mss.HoldersInHeaders},
		{"to a doctor, of one patient", doctor, []string{"To: " + doctor, "Cc: " + a}, 0},
		{"twice the same", a, []string{"To: " + a, "Cc: " + strings.ToUpper(a)}, 0},
		{"the same as a name", a, []string{"To: '" + a + "' <" + a + ">"}, 0},
		{"quoted", a, []string{"To: \"" + strings.Replace(a, "@", "\"@", 1)}, 0},
		{"in Bcc, which goes", a, []string{"To: " + a, "Bcc: " + b}, 0},
		{"a comment before the @", a, []string{"To: " + a + ", " + spell(b, "(x)@", ".")}, mss.HoldersInHeaders},
		{"a comment after the @", a, []string{"To: " + a + ", " + spell(b, "@(x)", ".")}, mss.HoldersInHeaders},
		{"a comment in the domain", a, []string{"To: " + a + ", " + spell(b, "@", "(x).")}, mss.HoldersInHeaders},
		{"comments in brackets", a, []string{"To: " + a + ", x <" + spell(b, "(x)@(y(z))", ".") + ">"}, mss.HoldersInHeaders},
		{"space around the @", a, []string{"To: " + a + ", " + spell(b, " @ ", ".")}, mss.HoldersInHeaders},
		{"space around the @, folded", a, []string{"To: " + a + ", " + spell(b, "\r\n @\r\n\t", ".")}, mss.HoldersInHeaders},
		{"space in the domain", a, []string{"To: " + a + ", <" + spell(b, "@", " .") + ">"}, mss.HoldersInHeaders},
		{"quoted, with a comment", a, []string{"To: " + a + ", \"" + spell(b, "\" (x)@", ".")}, mss.HoldersInHeaders},
		{"space in a name", a, []string{"To: \"" + spell(b, " @ ", ".") + "\" <" + a + ">"}, mss.HoldersInHeaders},
		{"a quoted pair", a, []string{"To: " + a + ", <" + spell(b, "@", "\\.") + ">"}, mss.HoldersInHeaders},
		{"a route", a, []string{"To: " + a + ", <@relay.example:" + spell(b, "(x)@", ".") + ">"}, mss.HoldersInHeaders},
		{"a comment in a group", a, []string{"To: patients:" + a + "," + spell(b, "(x)@", ".") + ";"}, mss.HoldersInHeaders},
		{"the domain's root", a, []string{"To: " + a + ", " + spell(b, "(x)@", ".") + "."}, mss.HoldersInHeaders},
		{"percent for the @", a, []string{"To: " + a + ", " + spell(b, "%", ".") + "@relay.example"}, mss.HoldersInHeaders},
		{"the @ percent-encoded", a, []string{"To: " + a + ", <mailto:" + spell(b, "%40", ".") + ">"}, mss.HoldersInHeaders},
		{"a domain with IDNA's dots", a, []string{"To: " + a + ", " + spell(b, "@", "\u3002")}, mss.HoldersInHeaders},
		{"in full width", a, []string{"To: " + a + ", <" + spell(b, "@", "\uff0e") + ">"}, mss.HoldersInHeaders},
		{"in full width, as a name", a, []string{"To: " + spell(b, "\uff20", ".") + " <" + a + ">"}, mss.HoldersInHeaders},
		{"with what is not seen", a, []string{"To: " + a + ", " + spell(b, "@\u200b", ".\u00ad")}, mss.HoldersInHeaders},
		{"encoded, with a comment", a, []string{"To: " + a + ", =?utf-8?q?" + strings.NewReplacer("@", "=40", "(", "=28", ")", "=29").Replace(spell(b, "(x)@", ".")) + "?="}, mss.HoldersInHeaders},
		{"Cc with a comment", a, []string{"To: " + a, "Cc: " + spell(b, "(x)@", ".")}, mss.HoldersInHeaders},
		{"Reply-To with a comment", a, []string{"To: " + a, "Reply-To: " + spell(b, "(x)@", ".")}, mss.HoldersInHeaders},
		{"Resent-To with a comment", a, []string{"To: " + a, "Resent-To: " + spell(b, "(x)@", ".")}, mss.HoldersInHeaders},
		{"the same with a comment", a, []string{"To: " + spell(a, "(x) @ (y)", " . ")}, 0},
		{"the same in full width", a, []string{"To: " + spell(a, "@", "\uff0e")}, 0},
		{"as many as may be", a, []string{"To: " + a + strings.Repeat(",x@y", 9_999)}, 0},
		{"one more", a, []string{"To: " + a + strings.Repeat(",x@y", 10_000)}, mss.BadHeader},
		{"another domain", a, []string{"To: " + a, "Cc: " + strings.Replace(b, patientDomain, patientDomain+".example", 1)}, 0},
		{"ids are no addresses", a, []string{"To: " + a, "References: <1." + b + ">"}, 0},
	} {
		text := mailText(append([]string{"From: " + from, "Subject: " + c.name}, c.fields...)...)
		if got := mss.ReasonOf(h.fromPeer(from, text, c.to)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// spell writes an address with something else for its @ and its domain's dots.
func spell(address, at, dot string) string {
	local, domain, _ := strings.Cut(address, "@")
	return local + at + strings.ReplaceAll(domain, ".", dot)
}

func TestOtherRecipients(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, nurse := h.member("louise.moreau"), h.member("nadia.petit")
	h.operator("smtp.tiers.test", otherDomain)
	for to, reason := range map[string]mss.Reason{
		"LOUISE.MOREAU@" + localDomain: 0,
		"nobody@" + localDomain:        mss.UnknownRecipient,
		"dr@" + otherDomain:            mss.NotMember, // of the space, and not ours to deliver
		"dr@gmail.example":             mss.NotMember,
		"no address":                   mss.BadAddress,
	} {
		if got := mss.ReasonOf(h.peerWrites("labo@"+peerDomain, to)); got != reason {
			t.Errorf("a peer to %s: %v, want %v", to, got, reason)
		}
		if got := mss.ReasonOf(nurse.write(to)); got != reason {
			t.Errorf("a member to %s: %v, want %v", to, got, reason)
		}
	}
	if got := len(doctor.letters()); got != 2 {
		t.Errorf("%d letters", got)
	}
}

func TestMembersWriteAsThemselves(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, holder := h.member("louise.moreau"), h.holder(space.Active)
	own, to := doctor.address.String(), holder.address.String()
	for _, c := range []struct {
		name, mailFrom, from string
		more                 []string
		want                 mss.Reason
	}{
		{"as themselves", own, own, nil, 0},
		{"in capitals", strings.ToUpper(own), "Louise <" + strings.ToUpper(own) + ">", nil, 0},
		{"with the null sender", "", own, nil, 0},
		{"MAIL FROM another", "nadia.petit@" + localDomain, own, nil, mss.SenderAddress},
		{"From another", own, "nadia.petit@" + localDomain, nil, mss.HeaderFrom},
		{"From another, null sender", "", "nadia.petit@" + localDomain, nil, mss.HeaderFrom},
		{"From two", own, own + ", nadia.petit@" + localDomain, nil, mss.HeaderFrom},
		{"Sender another", own, own, []string{"Sender: nadia.petit@" + localDomain}, mss.HeaderFrom},
		{"Sender themselves", own, own, []string{"Sender: " + own}, 0},
	} {
		text := mailText(append([]string{"From: " + c.from, "To: " + to, "Subject: " + c.name}, c.more...)...)
		if got := mss.ReasonOf(doctor.send(c.mailFrom, text, to)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLimitsOfAMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mss.Config) {
		c.Limits.MaxMessage, c.Limits.MaxRecipients, c.Limits.MaxHeader, c.Limits.MaxReceived = 5000, 3, 2000, 2
	})
	doctor := h.member("louise.moreau").address.String()
	from := "labo@" + peerDomain
	sized := func(n int) string {
		text := mailText("From: " + from)
		return text + strings.Repeat("x", n-len(text)-2) + "\r\n"
	}
	header := func(n int) string {
		first := "From: " + from + "\r\nX-Filler: "
		return first + strings.Repeat("x", n-len(first)-4) + "\r\n\r\n"
	}
	for _, c := range []struct {
		name, text string
		want       mss.Reason
	}{
		{"as large as may be", sized(5000), 0},
		{"a byte more", sized(5001), mss.TooLarge},
		{"a header as large as may be", header(2000), 0},
		{"a header larger", header(2001), mss.BadHeader},
		{"two Received", mailText("Received: a", "Received: b", "From: "+from), 0},
		{"three Received", mailText("Received: a", "Received: b", "Received: c", "From: "+from), mss.Loop},
	} {
		if got := mss.ReasonOf(h.fromPeer(from, c.text, doctor)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	ctx := context.Background()
	for size, reason := range map[int64]mss.Reason{5000: 0, 5001: mss.TooLarge} {
		_, err := h.mss.FromPeer(ctx, h.peer, from, mss.Params{Size: size})
		want(t, err, reason)
	}
	tx, err := h.mss.FromPeer(ctx, h.peer, from, mss.Params{})
	h.must(err)
	defer tx.Close()
	for i := range 4 {
		reason := mss.Reason(0)
		if i == 3 {
			reason = mss.TooManyRecipients
		}
		want(t, tx.Rcpt(ctx, h.member(fmt.Sprint("m", i)).address.String(), mss.RcptParams{}), reason)
	}
}

// SASL EXTERNAL: a certificate opens its bearer's mailboxes, and no other's.
func TestACertificateOpensItsMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	h.member("nadia.petit")
	number, err := identity.ParseRPPS(doctor.actor.ID)
	h.must(err)
	issued, err := h.authority.IssueProfessional(h.now(), certs.Person{RPPS: number, Family: "MOREAU", Given: "Louise"})
	h.must(err)
	ctx, state := context.Background(), showing(issued.Cert)
	boxes := func(address string) []directory.Mailbox {
		t.Helper()
		list, err := h.mss.Certificate(ctx, state, address)
		h.must(err)
		return list
	}
	for _, address := range []string{"", strings.ToUpper(doctor.address.String())} {
		if list := boxes(address); len(list) != 1 || list[0].Account != doctor.owner {
			t.Errorf("%q: %v", address, list)
		}
	}
	if _, err := h.mss.Certificate(ctx, state, "nadia.petit@"+localDomain); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("another's mailbox: %v", err)
	}
	foreign, err := certs.NewAuthority("Somebody else", h.now())
	h.must(err)
	forged, err := foreign.IssueProfessional(h.now(), certs.Person{RPPS: number, Family: "MOREAU", Given: "Louise"})
	h.must(err)
	_, err = h.mss.Certificate(ctx, showing(forged.Cert), "")
	want(t, err, mss.UnknownAuthority)
	_, err = h.mss.Certificate(ctx, tls.ConnectionState{}, "")
	want(t, err, mss.NoCertificate)
}
