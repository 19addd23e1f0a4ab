package mailbox_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pli/consent"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/notify"
	"pli/space"
	"pli/store"
)

// quota is a limit on members' and holders' mail alike.
func quota(bytes int64) func(*mailbox.Config) {
	return func(c *mailbox.Config) { c.MemberQuota, c.HolderQuota = bytes, bytes }
}

func (p *person) quota() mailbox.Quota {
	p.h.t.Helper()
	q, err := p.h.mail.Quota(p.h.t.Context(), p.owner)
	p.h.must(err)
	return q
}

func (p *person) used(want int64) {
	p.h.t.Helper()
	if got := p.quota().Used; got != want {
		p.h.t.Errorf("%d bytes are used, want %d", got, want)
	}
}

// overQuota says whether err is what RFC 9208 calls OVERQUOTA.
func overQuota(err error) bool {
	return errors.Is(err, mailbox.ErrOverQuota) && errs.Is(err, errs.TooLarge)
}

// The quota has two sides: to its last byte everything is taken, beyond it
// nothing is, by whichever way it comes, and nothing of it stays behind.
func TestQuotaHasTwoSides(t *testing.T) {
	t.Parallel()
	h := newHouse(t, quota(5000), func(c *mailbox.Config) { c.InlineMax = 2000 })
	paule := h.person("paule")
	a := paule.open()
	h.deliver(sized(1000), paule)
	if _, err := h.tryDeliver(sized(4001), mailbox.Inbox, paule); !overQuota(err) {
		t.Errorf("one byte more than there is room for: %v", err)
	}
	if _, err := a.Append(t.Context(), "Sent", nil, h.clock(), stringReader(sized(4001))); !overQuota(err) {
		t.Errorf("appended: %v", err)
	}
	if n := len(h.blobIDs()); n != 0 {
		t.Errorf("%d blobs of refused messages stay", n)
	}
	paule.used(1000)
	if _, err := a.Append(t.Context(), "Sent", nil, h.clock(), stringReader(sized(4000))); err != nil {
		t.Errorf("to the last byte: %v", err)
	}
	if q := paule.quota(); q.Used != 5000 || !q.Full() || !q.Near() || q.Own {
		t.Errorf("%+v", q)
	}
	if boxes, err := a.Boxes(t.Context()); err != nil || boxes[0].Messages != 1 {
		t.Errorf("%v %v", boxes, err)
	}
	if _, err := h.tryDeliver(letter("one more", ""), mailbox.Inbox, paule); !overQuota(err) {
		t.Errorf("full: %v", err)
	}
}

// Deliveries at the same moment cannot pass the limit together.
func TestQuotaHoldsAgainstACrowd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, quota(7500))
	paule := h.person("paule")
	var taken, refused atomic.Int32
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			switch _, err := h.tryDeliver(sized(1000), mailbox.Inbox, paule); {
			case err == nil:
				taken.Add(1)
			case overQuota(err):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 7 || refused.Load() != 17 {
		t.Errorf("%d taken, %d refused", taken.Load(), refused.Load())
	}
	paule.used(7000)
}

// A message counts once in however many boxes it lies, and its last expunge
// gives its room back: who deletes by way of the bin can do so with a full
// mailbox.
func TestQuotaGivesBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t, quota(3000))
	ctx := t.Context()
	paule := h.person("paule")
	for range 3 {
		h.deliver(sized(1000), paule)
	}
	a := paule.open()
	v := paule.view(a, mailbox.Inbox)
	if _, err := v.Copy(ctx, []mailbox.UID{1, 2}, "Trash"); err != nil {
		t.Errorf("a copy takes room: %v", err)
	}
	if _, err := v.Move(ctx, []mailbox.UID{3}, "Archive"); err != nil {
		t.Error(err)
	}
	paule.used(3000)
	expunge(t, v, 1, 2)
	paule.used(3000) // both lie in the bin still
	trash := paule.view(a, "Trash")
	expunge(t, trash, 1)
	paule.used(2000)
	h.deliver(sized(1000), paule)
	h.must(a.Create(ctx, "Ancien", ""))
	if done, err := paule.view(a, mailbox.Inbox).Move(ctx, nil, "Ancien"); err != nil || len(done.Dest) != 1 {
		t.Error(done, err)
	}
	paule.used(3000)
	h.must(a.Delete(ctx, "Ancien"))
	paule.used(2000)
	h.deliver(sized(1000), paule)
}

// An account may have a limit of its own, larger, smaller or none; what is
// there stays, and what is copied, flagged or deleted is none of its business.
func TestAQuotaOfOnesOwn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, quota(2000))
	ctx := t.Context()
	paule := h.person("paule")
	set := func(limit int64) mailbox.Quota {
		t.Helper()
		q, err := h.mail.SetQuota(ctx, paule.owner, limit)
		h.must(err)
		if q != paule.quota() {
			t.Errorf("%+v told, %+v kept", q, paule.quota())
		}
		return q
	}
	if q := set(4000); q.Limit != 4000 || !q.Own {
		t.Errorf("%+v", q)
	}
	h.deliver(sized(4000), paule)
	if q := set(mailbox.NoQuota); q.Limit != 0 || !q.Own || q.Full() || q.Near() {
		t.Errorf("%+v", q)
	}
	h.deliver(sized(4000), paule)
	if q := set(mailbox.DefaultQuota); q != (mailbox.Quota{Used: 8000, Limit: 2000}) {
		t.Errorf("%+v", q)
	}
	if _, err := h.tryDeliver(letter("too much", ""), mailbox.Inbox, paule); !overQuota(err) {
		t.Error(err)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	expunge(t, v, 1)
	paule.used(4000)
	if _, err := h.mail.SetQuota(ctx, paule.owner, -2); !errs.Is(err, errs.Invalid) {
		t.Errorf("a negative quota: %v", err)
	}
	if _, err := h.mail.SetQuota(ctx, "m/nobody", 1); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody's: %v", err)
	}
	if _, err := h.mail.Quota(ctx, "m/nobody"); !errs.Is(err, errs.NotFound) {
		t.Errorf("nobody's: %v", err)
	}
}

// Holders and members have limits of their own each; 0 is none.
func TestQuotaByKindOfAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.HolderQuota = 1500 })
	holder, member := h.holder(space.Active), h.person("rose")
	h.deliver(sized(1500), holder, member)
	if _, err := h.tryDeliver(sized(1000), mailbox.Inbox, holder); !overQuota(err) {
		t.Errorf("the holder: %v", err)
	}
	h.deliver(sized(100_000), member)
	if q := member.quota(); q.Limit != 0 || q.Full() {
		t.Errorf("%+v", q)
	}
}

// Before a message is taken, Room refuses what certainly has no room: a large
// one at once, a small one once the account is known to be nearly full.
func TestRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t, quota(10_000), func(c *mailbox.Config) { c.InlineMax = 2000 })
	ctx := t.Context()
	paule := h.person("paule")
	room := func(size int64, want bool) {
		t.Helper()
		if err := h.mail.Room(ctx, paule.owner, size); (err == nil) != want || err != nil && !overQuota(err) {
			t.Errorf("room for %d bytes: %v", size, err)
		}
	}
	room(10_000, true)
	room(10_001, false)
	h.deliver(sized(9500), paule)
	room(500, true)
	room(501, false)
	room(0, true) // not known: as long as there is any
	h.deliver(sized(500), paule)
	room(0, false)
	expunge(t, paule.view(paule.open(), mailbox.Inbox), 1)
	room(0, true)
	room(9500, true)
	room(9501, false)
	if err := h.service(quota(10_000)).Room(ctx, paule.owner, 1<<40); !overQuota(err) {
		t.Errorf("after a restart: %v", err)
	}
}

// outbox keeps the kinds of notices that were put into it.
type outbox struct {
	mu    sync.Mutex
	kinds []string
}

func (o *outbox) Enqueue(tx store.Tx, _ string, n notify.Notice, _ time.Time) error {
	tx.AfterCommit(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.kinds = append(o.kinds, n.Kind)
	})
	return nil
}

func (o *outbox) told() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.kinds)
}

// The holder is told once that the mailbox is nearly full and once that it has
// refused a letter; and anew only after there was room again.
func TestTheHolderIsToldOfAFullMailbox(t *testing.T) {
	t.Parallel()
	out := &outbox{}
	h := newHouse(t, quota(10_000))
	h.gate = consent.NewGate(consent.Config{DB: h.db, Now: h.clock, Log: quiet(), Outbox: out})
	h.mail = h.service(quota(10_000), func(c *mailbox.Config) { c.Gate = h.gate })
	paule := h.holder(space.Active)
	expect := func(kinds ...string) {
		t.Helper()
		if got := out.told(); !slices.Equal(got, kinds) {
			t.Errorf("told %v, want %v", got, kinds)
		}
	}
	refused := func() {
		t.Helper()
		if _, err := h.tryDeliver(sized(2000), mailbox.Inbox, paule); !overQuota(err) {
			t.Error(err)
		}
		h.must(h.mail.NoteRefused(context.Background(), paule.owner))
	}
	h.deliver(sized(9000), paule)
	expect() // at 90 %, not beyond
	h.deliver(sized(300), paule)
	expect(consent.KindNearlyFull)
	h.deliver(sized(300), paule)
	refused()
	refused()
	expect(consent.KindNearlyFull, consent.KindFull)
	a, err := paule.openAs(paule.self())
	h.must(err)
	expunge(t, paule.view(a, mailbox.Inbox), 1)
	h.deliver(sized(9000), paule)
	expect(consent.KindNearlyFull, consent.KindFull, consent.KindNearlyFull)
	refused()
	expect(consent.KindNearlyFull, consent.KindFull, consent.KindNearlyFull, consent.KindFull)
}

// An account of a build before there were quotas is counted at its first
// write, and told right before.
func TestAnAccountFromBeforeQuotas(t *testing.T) {
	t.Parallel()
	h := newHouse(t, quota(10_000))
	paule := h.person("paule")
	for range 3 {
		h.deliver(sized(1000), paule)
	}
	v := paule.view(paule.open(), mailbox.Inbox)
	_, err := v.Copy(t.Context(), []mailbox.UID{1}, "Archive")
	h.must(err)
	paule.forgetUse()
	paule.used(3000)
	_, err = h.tryDeliver(sized(1000), "Archive", paule)
	h.must(err)
	paule.used(4000)
	paule.forgetUse()
	expunge(t, v, 2)
	paule.used(3000)
	paule.forgetUse()
	if _, err := h.tryDeliver(sized(7001), mailbox.Inbox, paule); !overQuota(err) {
		t.Error(err)
	}
}

// counting counts the records that transactions read and write.
type counting struct {
	store.DB
	gets, puts atomic.Int32
}

func (c *counting) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return c.DB.Update(ctx, owner, func(tx store.Tx) error { return fn(countingTx{tx, c}) })
}

type countingTx struct {
	store.Tx
	c *counting
}

func (t countingTx) Get(key []byte) ([]byte, error) {
	t.c.gets.Add(1)
	return t.Tx.Get(key)
}

func (t countingTx) Put(key, value []byte) error {
	t.c.puts.Add(1)
	return t.Tx.Put(key, value)
}

// A quota costs a delivery nothing: one record is read, four are written, as
// Deliver says.
func TestADeliveryReadsOneRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t, quota(1_000_000))
	paule := h.person("paule")
	h.deliver(letter("first", ""), paule)
	db := &counting{DB: h.db}
	h.db = db
	h.deliver(letter("second", ""), paule)
	if gets, puts := db.gets.Load(), db.puts.Load(); gets != 1 || puts != 4 {
		t.Errorf("%d records read, %d written", gets, puts)
	}
	paule.used(int64(len(letter("first", "") + letter("second", ""))))
}

// forgetUse makes INBOX's counters those of a build that knew no quotas.
func (p *person) forgetUse() {
	p.h.t.Helper()
	key := []byte("mail/f/\x00\x00\x00\x01")
	p.h.must(p.h.db.Update(p.h.t.Context(), p.owner, func(tx store.Tx) error {
		c, err := store.Load[map[uint64]any](tx, key)
		if err != nil {
			return err
		}
		if c[10] != true {
			p.h.t.Error("nothing was counted")
		}
		for _, k := range []uint64{10, 11, 12, 13} {
			delete(c, k)
		}
		return store.Save(tx, key, c)
	}))
}

// Wrong use is told by Verify and mended by Rebuild; an account's own limit
// outlives the damage of either record that keeps it.
func TestUseThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"mail/f/\x00\x00\x00\x01", "mail/d"} {
		h := newHouse(t, quota(50_000))
		paule := h.person("paule")
		for range 3 {
			h.deliver(sized(1000), paule)
		}
		_, err := h.mail.SetQuota(t.Context(), paule.owner, 7000)
		h.must(err)
		if n := paule.damage(key, "", func(tx store.Tx, k, _ []byte) error { return tx.Put(k, []byte{0xff}) }); n != 1 {
			t.Fatalf("%d records damaged", n)
		}
		_, err = h.mail.Rebuild(t.Context(), paule.owner)
		h.must(err)
		paule.broken = false // it is whole again: the test ends with Verify
		if q := paule.quota(); q != (mailbox.Quota{Used: 3000, Limit: 7000, Own: true}) {
			t.Errorf("%q: %+v", key, q)
		}
	}
	h := newHouse(t)
	paule := h.person("paule")
	h.deliver(sized(1000), paule)
	paule.broken = true
	h.must(h.db.Update(t.Context(), paule.owner, func(tx store.Tx) error {
		key := []byte("mail/f/\x00\x00\x00\x01")
		c, err := store.Load[map[uint64]any](tx, key)
		if err != nil {
			return err
		}
		c[11] = 999
		return store.Save(tx, key, c)
	}))
	if problems, err := h.mail.Verify(t.Context(), paule.owner); err != nil || len(problems) != 1 || problems[0].Text != "1000 bytes of messages, 999 counted" {
		t.Errorf("%v %v", problems, err)
	}
	_, err := h.mail.Rebuild(t.Context(), paule.owner)
	h.must(err)
	paule.broken = false
	paule.used(1000)
}

// What comes back from a backup is counted, and no quota keeps it out.
func TestAdoptCounts(t *testing.T) {
	t.Parallel()
	h, backup := newHouse(t, quota(2000)), newHouse(t)
	paule := h.person("paule")
	there := backup.person("paule")
	for range 3 {
		backup.deliver(sized(1000), there)
	}
	_, err := there.view(there.open(), mailbox.Inbox).Copy(t.Context(), []mailbox.UID{1}, "Archive")
	h.must(err)
	for range 2 { // and a second time adds nothing
		_, err = h.mail.Adopt(t.Context(), paule.owner, backup.db, nil)
		h.must(err)
		paule.used(3000)
	}
}
