package testenv_test

import (
	"strings"
	"testing"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// correspondence is a doctor and a holder who write to each other.
type correspondence struct {
	*testenv.Env
	doctor demo.Professional
	holder demo.Holder
}

func begin(t *testing.T, options ...func(*demo.Options)) correspondence {
	e := testenv.Start(t, options...)
	return correspondence{e, e.File.Professionals[0], e.File.Holders[0]}
}

// doctorWrites sends one message of the doctor's with further header fields.
func (c correspondence) doctorWrites(subject string, header ...[2]string) demo.Message {
	c.T.Helper()
	m := c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: subject, Text: "Bonjour", Header: header})
	c.Write(c.doctor.MailPassword, m)
	return m
}

// holderWrites sends one message of the holder's and returns its refusal.
func (c correspondence) holderWrites(to, subject string, header ...[2]string) error {
	m := c.Complete(demo.Message{From: c.holder.Address, To: to, Subject: subject, Text: "Bonjour docteur", Header: header})
	return c.Submit(c.holder.Address, c.holder.MailPassword, []string{to}, m.Bytes())
}

func (c correspondence) mustRefuse(when, to string) {
	c.T.Helper()
	err := c.holderWrites(to, "Question")
	if testenv.SMTPCode(err) != "550 5.7.1" {
		c.T.Errorf("%s: the holder's message: %v; want 550 5.7.1", when, err)
	}
}

func (c correspondence) mustAccept(when, to string) {
	c.T.Helper()
	if err := c.holderWrites(to, "Question"); err != nil {
		c.T.Errorf("%s: the holder's message is refused: %v", when, err)
	}
}

// The exchange starts with the professional, who may end it and begin again;
// the right belongs to the pair (D2).
func TestExchangeBeginsAndEndsWithTheProfessional(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(correspondence){
		"header":  func(c correspondence) { c.doctorWrites("Merci", [2]string{"X-MSS-MES", "FIN"}) },
		"subject": func(c correspondence) { c.doctorWrites("[FIN]") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := begin(t)
			err := c.holderWrites(c.doctor.Address, "Question")
			if testenv.SMTPCode(err) != "550 5.7.1" || !strings.Contains(err.Error(), "professionnel") || !strings.Contains(err.Error(), "professional") {
				t.Fatalf("never written to: %v; want 550 5.7.1 in French and English", err)
			}
			first := c.doctorWrites("Votre suivi")
			if err := c.holderWrites(c.doctor.Address, "Re: Votre suivi", [2]string{"In-Reply-To", "<" + first.ID + ">"}); err != nil {
				t.Fatalf("the answer: %v", err)
			}
			c.mustAccept("a new subject", c.doctor.Address)
			c.mustRefuse("another professional", c.File.Professionals[1].Address)
			if got := c.Mailbox(c.doctor.Address, c.doctor.MailPassword, "INBOX"); len(got) != 2 || got[0].Subject != "Re: Votre suivi" {
				t.Errorf("the doctor's inbox: %+v", got)
			}
			end(c)
			c.mustRefuse("after the end", c.doctor.Address)
			c.doctorWrites("Finalement")
			c.mustAccept("after the doctor wrote again", c.doctor.Address)
		})
	}
}

// What does not open, close or reopen: a subject that is not exactly [FIN], an
// automatic message, a null sender; nor does an ending close what another
// opened.
func TestWhatDoesNotTouchAnExchange(t *testing.T) {
	t.Parallel()
	c := begin(t)
	c.doctorWrites("Absence", [2]string{"Auto-Submitted", "auto-replied"})
	c.mustRefuse("opened by an automatic message", c.doctor.Address)
	c.doctorWrites("Suivi", [2]string{"Auto-Submitted", "no"})
	c.mustAccept("Auto-Submitted: no", c.doctor.Address)
	c.doctorWrites("Re: [FIN]")
	c.mustAccept("a subject that only contains [FIN]", c.doctor.Address)
	c.doctorWrites("Absence", [2]string{"Auto-Submitted", "auto-generated"}, [2]string{"X-MSS-MES", "FIN"})
	c.mustAccept("an automatic message that says FIN", c.doctor.Address)
	// The pharmacist cannot end what the doctor opened.
	p := c.File.Professionals[1]
	m := c.Complete(demo.Message{From: p.Address, To: c.holder.Address, Subject: "[FIN]", Text: "x",
		Header: [][2]string{{"Reply-To", c.doctor.Address}}})
	c.Write(p.MailPassword, m)
	c.mustAccept("another's ending", c.doctor.Address)
	if err := c.Deliver("", []string{c.holder.Address}, letter(c.Env, peer, c.holder.Address, "Avis")); err != nil {
		t.Fatal(err)
	}
	c.mustRefuse("a null sender opens nothing", peer)
}

// Reply-To says where answers go, within the sender's own operator's domains.
func TestReplyToDecidesWithinTheOperator(t *testing.T) {
	t.Parallel()
	c := begin(t)
	secretariat := c.File.Professionals[1].Address
	c.doctorWrites("Écrivez à mon secrétariat", [2]string{"Reply-To", secretariat})
	c.mustAccept("Reply-To of the same operator", secretariat)
	other := begin(t)
	other.doctorWrites("Ailleurs", [2]string{"Reply-To", peer})
	if err := other.holderWrites(peer, "Question"); testenv.SMTPCode(err) != "550 5.7.1" {
		t.Errorf("Reply-To of another operator opened an exchange: %v", err)
	}
}

// An instance may be set to replies only.
func TestRepliesOnly(t *testing.T) {
	t.Parallel()
	c := begin(t, testenv.Configure(func(c *instance.Config) { c.RepliesOnly = true }))
	first := c.doctorWrites("Votre suivi")
	c.mustRefuse("a new message", c.doctor.Address)
	if err := c.holderWrites(c.doctor.Address, "Re: Votre suivi", [2]string{"In-Reply-To", "<" + first.ID + ">"}); err != nil {
		t.Errorf("a reply: %v", err)
	}
	if err := c.holderWrites(c.doctor.Address, "Re: autre", [2]string{"In-Reply-To", "<invented@medecin.pli.test>"}); testenv.SMTPCode(err) != "550 5.7.1" {
		t.Errorf("a reply to nothing: %v", err)
	}
}

// A holder writes to no other holder, and in nobody else's name.
func TestHoldersWriteAsThemselvesToProfessionals(t *testing.T) {
	t.Parallel()
	c := begin(t)
	c.doctorWrites("Suivi")
	other := c.File.Holders[1]
	if err := c.holderWrites(other.Address, "Bonjour"); testenv.SMTPCode(err) != "550 5.7.1" {
		t.Errorf("holder to holder: %v", err)
	}
	m := c.Complete(demo.Message{From: other.Address, To: c.doctor.Address, Subject: "x", Text: "x"})
	if err := c.Submit(c.holder.Address, c.holder.MailPassword, []string{c.doctor.Address}, m.Bytes()); !strings.HasPrefix(testenv.SMTPCode(err), "55") {
		t.Errorf("in another's name: %v", err)
	}
}

// A holder reads what another operator's doctor wrote, and is told that no
// answer can leave yet, before they write one.
func TestNoAnswerToAnotherOperatorYet(t *testing.T) {
	t.Parallel()
	c := begin(t)
	c.doctorWrites("D'ici")
	if err := c.Deliver(peer, []string{c.holder.Address}, letter(c.Env, peer, c.holder.Address, "D'ailleurs")); err != nil {
		t.Fatal(err)
	}
	p := c.enter()
	if page := p.get("/mail/inbox/1"); !strings.Contains(page, "/mail/inbox/1/reply") {
		t.Error("no answer to a doctor of this operator")
	}
	page := p.get("/mail/inbox/2")
	if strings.Contains(page, "/mail/inbox/2/reply") || !strings.Contains(page, "autre opérateur") {
		t.Error("an answer is offered that cannot leave, or nothing says why not")
	}
	if page := p.get("/write"); strings.Contains(page, peer) || !strings.Contains(page, c.doctor.Address) {
		t.Error("the list of whom to write to is not that of those who can be reached")
	}
	if page := p.get("/trace"); !strings.Contains(page, peer) {
		t.Error("the trace does not say who wrote from the other operator")
	}
}
