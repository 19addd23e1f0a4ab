package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/internal/errs"
	"pli/notify"
	"pli/store"
	"pli/store/bolt"
)

// clock is a settable time.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// post is a sender that fails as told and keeps what it took.
type post struct {
	mu    sync.Mutex
	fail  error
	taken []notify.Notice
}

func (p *post) Send(ctx context.Context, n notify.Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail == nil {
		p.taken = append(p.taken, n)
	}
	return p.fail
}

func (p *post) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

func (p *post) got() []notify.Notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]notify.Notice(nil), p.taken...)
}

// house is an outbox on a real store.
type house struct {
	testing.TB
	dir      string
	db       *bolt.DB
	clock    *clock
	post     *post
	box      *notify.Outbox
	mu       sync.Mutex
	outcomes []string
	stop     func()
}

func newHouse(t testing.TB) *house {
	h := &house{TB: t, dir: t.TempDir(), clock: newClock(), post: new(post), stop: func() {}}
	h.open()
	t.Cleanup(func() { h.close() })
	return h
}

func (h *house) open() {
	h.Helper()
	db, err := bolt.Open(bolt.Config{Dir: h.dir})
	if err != nil {
		h.Fatal(err)
	}
	h.db = db
	h.box = notify.NewOutbox(notify.OutboxConfig{DB: db, Sender: h.post, Now: h.clock.now, Poll: 5 * time.Millisecond, Batch: 8,
		Sent: func(kind, outcome string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.outcomes = append(h.outcomes, kind+" "+outcome)
		}})
}

func (h *house) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.box.Run(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			h.Errorf("Run: %v", err)
		}
		h.stop = func() {}
	}
}

func (h *house) close() {
	h.stop()
	if err := h.db.Close(); err != nil {
		h.Error(err)
	}
}

func (h *house) enqueue(owner store.Owner, key, body string, at time.Time) error {
	return h.db.Update(context.Background(), owner, func(tx store.Tx) error {
		return h.box.Enqueue(tx, key, notify.Notice{Kind: "message", To: "a@b.test", Subject: "Nouveau pli", Body: body}, at)
	})
}

// until waits for a condition.
func (h *house) until(what string, ok func() bool) {
	h.Helper()
	for range 400 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.Fatalf("never %s: sent %v, outcomes %v", what, h.post.got(), h.outcomes)
}

func (h *house) outcome() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.outcomes, ", ")
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// C5, H7: a notice leaves when it is due, once, and its record is gone.
func TestOutboxSends(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.run()
	h.must(h.enqueue("s/a", "new", "one", h.clock.now()))
	h.must(h.enqueue("s/a", "later", "two", h.clock.now().Add(time.Hour)))
	h.until("one sent", func() bool { return h.outcome() == "message sent" })
	time.Sleep(30 * time.Millisecond)
	if got := h.post.got(); len(got) != 1 || got[0].Body != "one" {
		t.Fatalf("%v", got)
	}
	h.clock.add(time.Hour)
	h.until("two sent", func() bool { return len(h.post.got()) == 2 })
	h.until("nothing left", func() bool {
		n, err := h.box.Pending(context.Background(), h.clock.now().Add(1000*time.Hour), 100)
		return n == 0 && err == nil
	})
}

// Notices with one key become one while it waits; another owner's are its own.
func TestOutboxCoalesces(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 50 {
		h.must(h.enqueue("s/a", "new", fmt.Sprint(i), h.clock.now()))
	}
	h.must(h.enqueue("s/b", "new", "b", h.clock.now()))
	h.run()
	h.until("two sent", func() bool { return len(h.post.got()) == 2 })
	h.must(h.enqueue("s/a", "new", "again", h.clock.now()))
	h.until("three sent", func() bool { return len(h.post.got()) == 3 })
	var bodies []string
	for _, n := range h.post.got() {
		bodies = append(bodies, n.Body)
	}
	if s := strings.Join(bodies, " "); s != "0 b again" && s != "b 0 again" {
		t.Errorf("%s", s)
	}
}

// A transaction that fails tells nobody anything.
func TestOutboxRollback(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.run()
	err := h.db.Update(context.Background(), "s/a", func(tx store.Tx) error {
		if err := h.box.Enqueue(tx, "new", notify.Notice{To: "a@b.test"}, h.clock.now()); err != nil {
			return err
		}
		return store.ErrFull
	})
	if !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Millisecond)
	if got := h.post.got(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// What cannot be sent is tried again, less and less often, also after the
// process has ended in between; it is given up after GiveUp, not before.
func TestOutboxRetries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.post.set(errs.New(errs.Unavailable, "the relay is away"))
	h.run()
	h.must(h.enqueue("s/a", "new", "one", h.clock.now()))
	tries := func(n int) func() bool { return func() bool { return strings.Count(h.outcome(), "retry") == n } }
	h.until("tried once", tries(1))
	h.clock.add(9 * time.Second)
	time.Sleep(30 * time.Millisecond)
	if !tries(1)() {
		t.Fatalf("tried again before 10 s: %s", h.outcome())
	}
	h.clock.add(time.Second)
	h.until("tried twice", tries(2))
	h.clock.add(19 * time.Second)
	time.Sleep(30 * time.Millisecond)
	if !tries(2)() {
		t.Fatalf("tried again before another 20 s: %s", h.outcome())
	}
	h.close()
	h.open()
	h.clock.add(time.Second)
	h.run()
	h.until("tried three times", tries(3))
	h.clock.add(72*time.Hour - 31*time.Second) // one second before it is given up
	h.until("tried four times", tries(4))
	h.clock.add(time.Hour)
	h.until("given up", func() bool { return strings.HasSuffix(h.outcome(), "message dropped") })
	if n, err := h.box.Pending(context.Background(), h.clock.now().Add(1000*time.Hour), 100); n != 0 || err != nil {
		t.Errorf("%d left, %v", n, err)
	}
}

// A notice that can never be sent is dropped at once.
func TestOutboxDropsInvalid(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.post.set(errs.New(errs.Invalid, "no such address"))
	h.run()
	h.must(h.enqueue("s/a", "new", "one", h.clock.now()))
	h.until("dropped", func() bool { return h.outcome() == "message dropped" })
}

// Keys: 1 to MaxKey bytes; a notice needs someone to go to.
func TestOutboxKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for key, ok := range map[string]bool{"": false, "x": true, strings.Repeat("x", notify.MaxKey): true, strings.Repeat("x", notify.MaxKey+1): false} {
		err := h.enqueue("s/a", key, "", h.clock.now())
		if ok != (err == nil) || !ok && !errs.Is(err, errs.Invalid) {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
	}
	err := h.db.Update(context.Background(), "s/a", func(tx store.Tx) error {
		return h.box.Enqueue(tx, "k", notify.Notice{Body: "x"}, h.clock.now())
	})
	if !errs.Is(err, errs.Invalid) {
		t.Errorf("a notice to nobody: %v", err)
	}
}

// Other rooms' due records, however many, neither hide a notice nor are touched.
func TestOutboxAmongOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.must(h.db.Update(context.Background(), "sys/other", func(tx store.Tx) error {
		for i := range 300 {
			if err := tx.PutDue(fmt.Appendf(nil, "queue/%d", i), []byte("x"), h.clock.now().Add(-time.Hour)); err != nil {
				return err
			}
		}
		return tx.PutDue([]byte("notify/bad"), []byte("no notice"), h.clock.now().Add(-time.Hour))
	}))
	h.must(h.enqueue("s/a", "new", "one", h.clock.now()))
	h.run()
	h.until("sent", func() bool { return len(h.post.got()) == 1 })
	due, err := h.db.Due(context.Background(), h.clock.now(), 1000)
	if err != nil || len(due) < 301 {
		t.Errorf("%d due records left, %v", len(due), err)
	}
}
