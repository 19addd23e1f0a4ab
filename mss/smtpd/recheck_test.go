package smtpd_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pli/certs"
	"pli/identity"
	"pli/mss/smtpd"
	"pli/signin"
	"pli/space"
	"pli/store/names"
)

func often(l *smtpd.Limits) { l.RecheckEvery = time.Millisecond }

// slot returns the id of a person's one mail password.
func (p *person) slot() string {
	p.h.t.Helper()
	list, err := p.h.signin.MailPasswords(context.Background(), p.owner)
	p.h.must(err)
	return list[0].ID
}

// removes takes a person's mail password away, by this process or another.
func (p *person) removes(by *signin.Service) {
	p.h.t.Helper()
	_, err := p.h.signin.AddMailPassword(context.Background(), p.owner, nil, "another")
	p.h.must(err)
	p.h.must(by.RemoveMailPassword(context.Background(), p.owner, p.slot()))
}

func (h *house) elsewhere() *signin.Service {
	h.t.Helper()
	s, err := signin.New(signin.Config{DB: h.db, Names: names.New(h.db, [32]byte{9}), Sender: unsent{}, Now: h.now})
	h.must(err)
	return s
}

// A removed mail password ends the sessions that it opened, whatever they are
// doing, and what they were about to send is not sent.
func TestARemovedMailPasswordEndsSessions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor, other := h.member("louise.moreau"), h.member("jean.petit")
	idle, begun, busy := doctor.signedIn(), doctor.signedIn(), doctor.signedIn()
	begun.begin(doctor.address.String(), other.address.String())
	busy.begin(doctor.address.String(), other.address.String())
	busy.cmd("354", "DATA")
	busy.write(mailText("From: "+doctor.address.String(), "To: "+other.address.String(), "Subject: canary", "Date: Mon, 2 Mar 2026 09:30:00 +0100"))
	bystander := other.signedIn()
	began := time.Now()
	doctor.removes(h.signin)
	for _, c := range []*client{idle, begun} {
		c.reply("421 4.7.0 this sign-in has ended")
		c.ended()
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("ended after %v", d)
	}
	busy.cmd("4", ".")
	busy.reply("421 4.7.0")
	busy.ended()
	bystander.cmd("250", "NOOP")
	if got := len(other.letters()); got != 0 {
		t.Errorf("%d letters", got)
	}
	h.signin.RevokeAll(other.owner)
	bystander.reply("421 4.7.0")
}

// A certificate's session ends with everything of its account.
func TestTheEndOfEverythingEndsACertificatesSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doctor := h.member("louise.moreau")
	number, err := identity.ParseRPPS(doctor.actor.ID)
	h.must(err)
	c := h.starttls(h.submit, h.pair(h.authority.IssueProfessional(h.now(), certs.Person{RPPS: number, Family: "MOREAU", Given: "Louise"})))
	c.cmd("235", "AUTH EXTERNAL =")
	h.signin.RevokeAll(doctor.owner)
	c.reply("421 4.7.0")
	c.ended()
}

// What another process took away is seen when a message goes on.
func TestARemovalElsewhereEndsSessions(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"MAIL", "RCPT", "DATA"} {
		h := newHouse(t, often)
		doctor, other := h.member("louise.moreau"), h.member("jean.petit")
		c := doctor.signedIn()
		if step != "MAIL" {
			c.cmd("250", "MAIL FROM:<%s>", doctor.address)
		}
		if step == "DATA" {
			c.cmd("250", "RCPT TO:<%s>", other.address)
		}
		doctor.removes(h.elsewhere())
		time.Sleep(5 * time.Millisecond)
		switch step {
		case "MAIL":
			c.cmd("421 4.7.0", "MAIL FROM:<%s>", doctor.address)
		case "RCPT":
			c.cmd("421 4.7.0", "RCPT TO:<%s>", other.address)
		case "DATA":
			c.data("421 4.7.0", mailText("From: "+doctor.address.String()))
		}
		c.ended()
	}
}

// It is asked no more often than every RecheckEvery.
func TestRecheckEvery(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(l *smtpd.Limits) { l.RecheckEvery = time.Hour })
	doctor := h.member("louise.moreau")
	c := doctor.signedIn()
	doctor.removes(h.elsewhere())
	c.cmd("250", "MAIL FROM:<%s>", doctor.address)
}

// A holder whose space is closed sends nothing, even in a session that is open.
func TestAClosedSpaceSendsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	holder, doctor := h.holder(space.Active), h.member("louise.moreau")
	d := doctor.signedIn().begin(doctor.address.String(), holder.address.String())
	d.data("250", mailText("From: "+doctor.address.String(), "To: "+holder.address.String(), "Subject: x", "Date: Mon, 2 Mar 2026 09:30:00 +0100", "Message-ID: <1@pli.test>"))
	c := holder.signedIn().begin(holder.address.String(), doctor.address.String())
	h.must(h.spaces.SetState(context.Background(), holder.owner, space.Closed))
	c.data("550 5.7.1", mailText("From: "+holder.address.String(), "To: "+doctor.address.String(), "Subject: x", "Date: Mon, 2 Mar 2026 09:30:00 +0100", "Message-ID: <2@pli.test>"))
	if got := len(doctor.letters()); got != 0 {
		t.Errorf("%d letters", got)
	}
}

// Whoever does not show who they are has AuthTime for it, however much they
// say; those who have shown it stay.
func TestTimeToShowWhoOneIs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(l *smtpd.Limits) { l.AuthTime = 700 * time.Millisecond })
	doctor := h.member("louise.moreau")
	member := doctor.signedIn()
	peer := h.peer()
	peer.cmd("250", "MAIL FROM:<%s>", labo)
	began := time.Now()
	strangers := map[string]*client{
		"in clear": h.dial(h.mx), "a peer that sends nothing": h.peer(), "a peer that is refused": h.starttls(h.mx), "a member who does not sign in": h.starttls(h.submit),
	}
	strangers["in clear"].reply("220")
	for time.Since(began) < 500*time.Millisecond {
		for who, c := range strangers {
			command, want := "NOOP", "250"
			if who == "a peer that is refused" {
				command, want = "MAIL FROM:<"+labo+">", "550"
			}
			c.cmd(want, "%s", command)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for who, c := range strangers {
		if got := c.read(); !strings.HasPrefix(got, "421 4.4.2") {
			t.Errorf("%s: %q", who, got)
		}
		c.ended()
	}
	if d := time.Since(began); d < 600*time.Millisecond || d > 2*time.Second {
		t.Errorf("ended after %v", d)
	}
	member.cmd("250", "NOOP")
	peer.cmd("250", "RCPT TO:<%s>", doctor.address)
}

// An IPv6 subscriber has a whole /64, and counts as one.
func TestConnectionsOfANetwork(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(l *smtpd.Limits) { l.MaxPerAddress = 2 })
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	l := &elsewhere{Listener: inner}
	go h.server.ServeMX(l)
	from := func(addr, want string) {
		t.Helper()
		l.from.Store(&net.TCPAddr{IP: net.ParseIP(addr), Port: 1})
		h.dial(inner.Addr().String()).reply(want)
	}
	from("2001:db8:1:2::1", "220")
	from("2001:db8:1:2:ffff::2", "220")
	from("2001:db8:1:2:3:4:5:6", "421 4.7.0")
	from("2001:db8:1:3::1", "220")
	from("192.0.2.1", "220")
	from("192.0.2.2", "220")
	from("192.0.2.1", "220")
	from("::ffff:192.0.2.1", "421 4.7.0")
}

// elsewhere is a listener whose connections say they come from somewhere.
type elsewhere struct {
	net.Listener
	from atomic.Pointer[net.TCPAddr]
}

func (l *elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &farConn{c, l.from.Load()}, err
}

type farConn struct {
	net.Conn
	from *net.TCPAddr
}

func (c *farConn) RemoteAddr() net.Addr { return c.from }
