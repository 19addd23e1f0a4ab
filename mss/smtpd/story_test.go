package smtpd_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"pli/certs"
	"pli/identity"
	"pli/mss"
	"pli/space"
)

const labo = "labo@" + peerDomain

// Story 2. D1
func TestAPeerDelivers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder := h.holder(space.Active)
	c := h.peer()
	c.begin(labo, holder.address.String())
	c.data("250 2.0.0", mailText("From: "+labo, "To: "+holder.address.String(), "Subject: dots")+".\r\n..\r\n. x\r\n")
	c.begin(labo, holder.address.String())
	c.bdat("250 2.0.0", mailText("From: "+labo, "Subject: chunks")+".\r\n", 17)
	c.cmd("221", "QUIT")
	c.ended()
	got := holder.letters()
	if len(got) != 2 || !strings.HasSuffix(got[0], "Bonjour.\r\n.\r\n..\r\n. x\r\n") || !strings.HasSuffix(got[1], "Bonjour.\r\n.\r\n") {
		t.Errorf("%q", got)
	}
}

// Story 2: the refusal says which it was, at MAIL, with a permanent code.
func TestWhoIsRefusedAtMail(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	foreign, err := certs.NewAuthority("Somebody else", h.now())
	h.must(err)
	for _, c := range []struct {
		name, from, want, words string
		shown                   []tls.Certificate
	}{
		{"no certificate", labo, "550 5.7.0", "show a client certificate", nil},
		{"a foreign authority", labo, "550 5.7.0", "not issued by an authority", []tls.Certificate{h.pair(foreign.IssueOperator(h.now(), "smtp.autre.test", peerDomain))}},
		{"not on the allow-list", labo, "550 5.7.1", "not on the allow-list", []tls.Certificate{h.pair(h.authority.IssueOperator(h.now(), "smtp.inconnu.test", "inconnu.test"))}},
		{"expired", labo, "550 5.7.0", "validity", []tls.Certificate{h.pair(h.authority.IssueOperator(h.now().Add(-20*365*24*time.Hour), "smtp.autre.test", peerDomain))}},
		{"another's domain", "dr@" + localDomain, "550 5.7.1", "MAIL FROM", []tls.Certificate{h.caller}},
		{"nobody's address", "a@-", "553 5.1.3", "address", []tls.Certificate{h.caller}},
		{"the null sender", "", "250", "", []tls.Certificate{h.caller}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := h.starttls(h.mx, c.shown...).cmd(c.want, "MAIL FROM:<%s>", c.from)
			if !strings.Contains(got, c.words) {
				t.Errorf("%q does not speak of %q", got, c.words)
			}
		})
	}
}

// Nothing is taken in clear, on either port.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, addr := range []string{h.mx, h.submit} {
		c := h.dial(addr)
		c.reply("220")
		if got := c.cmd("250", "EHLO x"); !strings.Contains(got, "STARTTLS") || strings.Contains(got, "AUTH") {
			t.Errorf("%q", got)
		}
		for _, line := range []string{"MAIL FROM:<" + labo + ">", "AUTH PLAIN AGEAYg==", "RCPT TO:<a@b>", "DATA", "VRFY a"} {
			c.cmd("530 5.7.0", "%s", line)
		}
		c.cmd("250", "HELO x")
		c.cmd("250", "NOOP")
		c.cmd("501", "STARTTLS now")
		c.cmd("221", "QUIT")
		c.ended()
	}
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	want := []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN", "SIZE 25000000"}
	c := h.peer()
	got := c.cmd("250", "EHLO x")
	for _, w := range want {
		if !strings.Contains(got, "-"+w) && !strings.Contains(got, " "+w) {
			t.Errorf("the MX does not offer %s: %q", w, got)
		}
	}
	if strings.Contains(got, "AUTH") || strings.Contains(got, "STARTTLS") || strings.Contains(got, "REQUIRETLS") || strings.Contains(got, "BINARYMIME") {
		t.Errorf("%q", got)
	}
	c.cmd("502", "STARTTLS")
	c.cmd("504", "AUTH PLAIN AGEAYg==")
	if got := h.starttls(h.submit).cmd("250", "EHLO x"); !strings.Contains(got, "AUTH PLAIN LOGIN\n") {
		t.Errorf("without a certificate: %q", got)
	}
	if got := h.starttls(h.submit, h.caller).cmd("250", "EHLO x"); !strings.Contains(got, "AUTH PLAIN LOGIN EXTERNAL\n") {
		t.Errorf("with one: %q", got)
	}
}

// DSN parameters are accepted (RFC 3461), and UTF-8 with SMTPUTF8 alone.
func TestParameters(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	c := h.peer()
	c.cmd("250", "MAIL FROM:<%s> BODY=8BITMIME RET=HDRS ENVID=QQ314159 SIZE=1000 SMTPUTF8", labo)
	c.cmd("250", "RCPT TO:<%s> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b", doctor.address)
	c.cmd("550 5.1.1", "RCPT TO:<loïse@%s>", localDomain)
	c.cmd("250", "RSET")
	c.cmd("553 5.6.7", "MAIL FROM:<josé@%s>", peerDomain)
	c.cmd("250", "MAIL FROM:<josé@%s> SMTPUTF8", peerDomain)
	c.cmd("250", "RSET")
	c.cmd("250", "MAIL FROM:<%s>", labo)
	c.cmd("553 5.6.7", "RCPT TO:<loïse@%s>", localDomain)
	c.cmd("250", "RSET")
	c.cmd("504", "MAIL FROM:<%s> REQUIRETLS", labo)
}

// Story 2: unknown holders, the second holder, holders in headers.
func TestHoldersOfAPeer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mss.Config) { c.Limits.UnknownLeast = 5 })
	a, b, closed := h.holder(space.Active), h.holder(space.Active), h.holder(space.Closed)
	c := h.peer()
	c.begin(labo)
	unknown := c.cmd("550 5.1.1", "RCPT TO:<%s@%s>", matricule(9999), patientDomain)
	if got := c.cmd("550 5.1.1", "RCPT TO:<%s>", closed.address); got != unknown {
		t.Errorf("%q and %q", got, unknown)
	}
	c.cmd("250", "RCPT TO:<%s>", a.address)
	c.cmd("452 4.5.3", "RCPT TO:<%s>", b.address)
	c.cmd("550 5.7.1", "RCPT TO:<x@gmail.example>")
	c.data("550 5.7.1", mailText("From: "+labo, "To: "+a.address.String()+", "+b.address.String()))
	c.begin(labo)
	for i := range 2 {
		c.cmd("550 5.1.1", "RCPT TO:<%s@%s>", matricule(9000+i), patientDomain)
	}
	c.cmd("450 4.7.1", "RCPT TO:<%s>", a.address)
	c.cmd("450 4.7.1", "RCPT TO:<%s@%s>", matricule(9999), patientDomain)
}

// Story 1: with the mail password, on both ports, by PLAIN and LOGIN.
func TestADoctorSubmits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, holder := h.member("louise.moreau"), h.holder(space.Active)
	own := doctor.address.String()
	c := doctor.signedIn()
	c.begin(own, holder.address.String())
	c.data("250", mailText("From: Louise <"+own+">", "To: "+holder.address.String(), "Subject: one"))
	c.cmd("550 5.7.1", "MAIL FROM:<other@%s>", localDomain)
	c.begin(own, holder.address.String())
	c.data("550 5.7.1", mailText("From: other@"+localDomain))
	c = h.starttls(h.submit)
	c.cmd("530 5.7.0", "MAIL FROM:<%s>", own)
	c.cmd("334", "AUTH LOGIN")
	c.cmd("334", "%s", base64.StdEncoding.EncodeToString([]byte(strings.ToUpper(own))))
	c.cmd("235", "%s", base64.StdEncoding.EncodeToString([]byte(doctor.secret)))
	c.begin(own, holder.address.String())
	c.data("250", mailText("From: "+own, "Subject: two"))
	if got := len(holder.letters()); got != 2 {
		t.Errorf("%d letters", got)
	}
}

// Story 1: with the client certificate and no password.
func TestADoctorSubmitsWithACertificate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, nurse, holder := h.member("louise.moreau"), h.member("nadia.petit"), h.holder(space.Active)
	number, err := identity.ParseRPPS(doctor.actor.ID)
	h.must(err)
	card := h.pair(h.authority.IssueProfessional(h.now(), certs.Person{RPPS: number, Family: "MOREAU", Given: "Louise"}))
	own := doctor.address.String()
	for i, auth := range []string{"AUTH EXTERNAL =", "AUTH EXTERNAL " + base64.StdEncoding.EncodeToString([]byte(own)), "AUTH EXTERNAL"} {
		c := h.dial(h.submits).secure(card)
		c.reply("220")
		c.cmd("250", "EHLO client.example")
		if i == 2 {
			c.cmd("334", "%s", auth)
			auth = ""
		}
		c.cmd("235", "%s", auth)
		c.begin(own, holder.address.String())
		c.data("250", mailText("From: "+own, fmt.Sprint("Subject: ", i)))
	}
	if got := len(holder.letters()); got != 3 {
		t.Errorf("%d letters", got)
	}
	c := h.starttls(h.submit, card)
	c.cmd("535 5.7.8", "AUTH EXTERNAL %s", base64.StdEncoding.EncodeToString([]byte(nurse.address.String())))
	c.cmd("530", "MAIL FROM:<%s>", own)
	foreign, err := certs.NewAuthority("Somebody else", h.now())
	h.must(err)
	c = h.starttls(h.submit, h.pair(foreign.IssueProfessional(h.now(), certs.Person{RPPS: number})))
	c.cmd("535 5.7.8", "AUTH EXTERNAL =")
	c = h.starttls(h.submit, h.caller) // an operator is no member
	c.cmd("535 5.7.8", "AUTH EXTERNAL =")
}

// Story 4, over submission.
func TestAHolderAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, holder := h.member("louise.moreau"), h.holder(space.Active)
	own, to := holder.address.String(), doctor.address.String()
	c := holder.signedIn()
	c.begin(own)
	if got := c.cmd("550 5.7.1", "RCPT TO:<%s>", to); !strings.Contains(got, "professionnel") || !strings.Contains(got, "professional") {
		t.Errorf("%q", got)
	}
	c.cmd("250", "RSET")
	d := doctor.signedIn()
	d.begin(to, own)
	d.data("250", mailText("From: "+to, "To: "+own, "Subject: Vos analyses"))
	c.begin(own, to)
	c.data("250", mailText("From: "+own, "To: "+to, "Subject: Re: Vos analyses"))
	d.begin(to, own)
	d.data("250", mailText("From: "+to, "To: "+own, "Subject: [FIN]"))
	c.begin(own)
	c.cmd("550 5.7.1", "RCPT TO:<%s>", to)
	if got := len(doctor.letters()); got != 1 {
		t.Errorf("%d letters", got)
	}
}

func TestWrongSignIns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	enc := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	open := func() *client {
		c := h.dial(h.submits).secure()
		c.reply("220")
		c.cmd("250", "EHLO client.example")
		return c
	}
	c := open()
	wrong := c.cmd("535 5.7.8", "AUTH PLAIN %s", enc("\x00"+doctor.address.String()+"\x00wrong"))
	if got := c.cmd("535 5.7.8", "AUTH PLAIN %s", enc("\x00nobody@"+localDomain+"\x00wrong")); got != wrong {
		t.Errorf("%q and %q", got, wrong)
	}
	c.cmd("235", "AUTH PLAIN %s", doctor.plain())
	c.cmd("503", "AUTH PLAIN %s", doctor.plain())
	c = open()
	c.cmd("535", "AUTH PLAIN %s", enc("someone@else.example\x00"+doctor.address.String()+"\x00"+doctor.secret)) // for another
	c.cmd("501", "AUTH PLAIN %s", enc("nonsense"))
	c.cmd("504", "AUTH CRAM-MD5")
	c.cmd("334", "AUTH LOGIN")
	c.cmd("501", "*")
	c = open()
	for range 3 {
		c.cmd("535", "AUTH PLAIN %s", enc("\x00a@b.example\x00wrong"))
	}
	c.cmd("421", "AUTH PLAIN %s", doctor.plain())
	c.ended()
}

// A client that nobody here wrote, with pipelining of its own.
func TestGoSMTPClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, holder := h.member("louise.moreau"), h.holder(space.Active)
	c, err := smtp.DialStartTLS(h.submit, &tls.Config{RootCAs: h.roots, ServerName: "127.0.0.1"})
	h.must(err)
	defer c.Close()
	h.must(c.Auth(sasl.NewPlainClient("", doctor.address.String(), doctor.secret)))
	text := mailText("From: "+doctor.address.String(), "To: "+holder.address.String(), "Subject: é") + strings.Repeat("une ligne\r\n", 5000)
	h.must(c.SendMail(doctor.address.String(), []string{holder.address.String()}, strings.NewReader(text)))
	h.must(c.Quit())
	if got := holder.letters(); len(got) != 1 || !strings.HasSuffix(got[0], "une ligne\r\n") {
		t.Errorf("%d letters", len(got))
	}
}

// Everything at once, in order (RFC 2920).
func TestPipelining(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	c := h.peer()
	var b strings.Builder
	for i := range 5 {
		fmt.Fprintf(&b, "MAIL FROM:<%s>\r\nRCPT TO:<nobody@%s>\r\nRCPT TO:<%s>\r\nBDAT 5\r\nFrom:BDAT %d LAST\r\n%s", labo, localDomain, doctor.address, len(labo)+4+1, labo+"\r\n\r\n"+fmt.Sprint(i))
	}
	b.WriteString("NOOP\r\nQUIT\r\n")
	c.write(b.String())
	for range 5 {
		for _, want := range []string{"250", "550 5.1.1", "250", "250 2.0.0 go on", "250 2.0.0 taken"} {
			c.reply(want)
		}
	}
	c.reply("250")
	c.reply("221")
	c.ended()
	if got := len(doctor.letters()); got != 5 {
		t.Errorf("%d letters", got)
	}
}
