package signin_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"sync"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/identity"
	"pli/notify"
	"pli/signin"
	"pli/space"
	"pli/store"
	"pli/store/bolt"
	"pli/store/names"
)

const (
	goodLogin    = "paule.dupont"
	goodPassword = "quatre chevaux bleus"
	contact      = "paule@courriel.test"
)

var (
	home  = netip.MustParseAddr("192.0.2.10")
	cafe  = netip.MustParseAddr("198.51.100.7")
	cheap = keyring.Params{Memory: 64, Passes: 1, Threads: 1}
)

// house is a Service on a real store, with a clock that tests move and a
// mailbox outside that codes arrive in.
type house struct {
	t      testing.TB
	db     store.DB
	names  *names.Names
	doors  *signin.Service
	server [32]byte
	post   *post

	mu  sync.Mutex
	now time.Time
}

func newHouse(t testing.TB, change ...func(*signin.Config)) *house {
	t.Helper()
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return houseOn(t, db, change...)
}

func houseOn(t testing.TB, db store.DB, change ...func(*signin.Config)) *house {
	t.Helper()
	h := &house{t: t, db: db, names: names.New(db, [32]byte{1}), server: [32]byte{2}, post: &post{},
		now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	h.doors = h.restart(change...)
	return h
}

// restart returns a new Service on the same store.
func (h *house) restart(change ...func(*signin.Config)) *signin.Service {
	h.t.Helper()
	cfg := signin.Config{DB: h.db, Names: h.names, Server: h.server, Sender: h.post, Now: h.clock, Argon: cheap}
	for _, c := range change {
		c(&cfg)
	}
	doors, err := signin.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return doors
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func address(t testing.TB, s string) identity.Address {
	t.Helper()
	a, err := identity.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// account makes an account that nobody has activated: name@patient.pli.test.
func (h *house) account(name string) store.Owner {
	h.t.Helper()
	owner := space.NewOwner(space.Prefix)
	h.must(h.doors.Provision(context.Background(), owner, signin.Profile{
		Actor:   identity.Actor{Kind: identity.Holder, ID: string(owner), Name: name},
		Address: address(h.t, name+"@patient.pli.test"), Contact: contact}))
	return owner
}

// holder makes an account and activates it with the good login and password.
func (h *house) holder() store.Owner {
	h.t.Helper()
	owner := h.account("paule")
	h.must(h.doors.SetPassword(context.Background(), owner, goodLogin, goodPassword))
	return owner
}

// begin passes the first door and returns the challenge with its code.
func (h *house) begin() (signin.Challenge, string) {
	h.t.Helper()
	c, err := h.doors.Begin(context.Background(), goodLogin, goodPassword)
	h.must(err)
	return c, h.post.lastCode(h.t)
}

// signIn passes both doors.
func (h *house) signIn() *signin.Session {
	h.t.Helper()
	c, code := h.begin()
	s, err := h.doors.Finish(context.Background(), c.ID, code)
	h.must(err)
	return s
}

// opens reports whether keys open what is sealed to a recipient.
func opens(t testing.TB, keys *keyring.Bundle, to keyring.Recipient) bool {
	t.Helper()
	k, err := keyring.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := to.Wrap(k)
	if err != nil {
		t.Fatal(err)
	}
	got, err := keys.Unwrap(wrapped)
	return err == nil && got == k
}

func (h *house) recipient(owner store.Owner) keyring.Recipient {
	h.t.Helper()
	r, err := h.doors.Recipient(context.Background(), owner)
	h.must(err)
	return r
}

// post takes what is sent outside.
type post struct {
	mu     sync.Mutex
	sent   []notify.Notice
	broken bool
}

func (p *post) Send(_ context.Context, n notify.Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return errors.New("the post office is closed")
	}
	p.sent = append(p.sent, n)
	return nil
}

func (p *post) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

func (p *post) lastCode(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sent) == 0 {
		t.Fatal("no code was sent")
	}
	return sixDigits.FindString(p.sent[len(p.sent)-1].Body)
}

// otherCode returns a code that is not this one.
func otherCode(code string) string {
	var n int
	fmt.Sscan(code, &n)
	return fmt.Sprintf("%06d", (n+1)%1_000_000)
}
