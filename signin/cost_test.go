package signin_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"pli/certs/keyring"
	"pli/mailbox"
	"pli/signin"
	"pli/store"
)

// counting counts what transactions read and write.
type counting struct {
	store.DB
	mu   sync.Mutex
	cost cost
}

type cost struct{ gets, puts, bytes, scans int }

func (c *counting) View(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return c.DB.View(ctx, owner, func(tx store.Tx) error { return fn(&countingTx{tx, c}) })
}

func (c *counting) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return c.DB.Update(ctx, owner, func(tx store.Tx) error { return fn(&countingTx{tx, c}) })
}

func (c *counting) add(d cost) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cost = cost{c.cost.gets + d.gets, c.cost.puts + d.puts, c.cost.bytes + d.bytes, c.cost.scans + d.scans}
}

type countingTx struct {
	store.Tx
	c *counting
}

func (t *countingTx) Get(key []byte) ([]byte, error) {
	v, err := t.Tx.Get(key)
	t.c.add(cost{gets: 1, bytes: len(v)})
	return v, err
}

func (t *countingTx) Put(key, value []byte) error {
	t.c.add(cost{puts: 1, bytes: len(value)})
	return t.Tx.Put(key, value)
}

func (t *countingTx) Scan(from, to []byte, fn func(k, v []byte) error) error {
	t.c.add(cost{scans: 1})
	return t.Tx.Scan(from, to, fn)
}

func (t *countingTx) ScanBack(from, to []byte, fn func(k, v []byte) error) error {
	t.c.add(cost{scans: 1})
	return t.Tx.ScanBack(from, to, fn)
}

// fill lays n messages into an account's mailbox.
func (h *house) fill(owner store.Owner, n int) {
	h.t.Helper()
	mail := mailbox.New(mailbox.Config{DB: h.db, Now: h.clock})
	h.must(h.db.Update(h.t.Context(), owner, mail.Provision))
	to := h.recipient(owner)
	for at := 0; at < n; {
		var letters []*mailbox.Letter
		for ; at < n && len(letters) < 500; at++ {
			s, err := mail.Spool(h.t.Context(), []keyring.Recipient{to})
			h.must(err)
			fmt.Fprintf(s, "Subject: %d\r\n\r\nx\r\n", at)
			h.must(s.Close())
			letters = append(letters, s.Letter(0))
		}
		h.must(h.db.Update(h.t.Context(), owner, func(tx store.Tx) error {
			for _, l := range letters {
				if _, err := mail.Deliver(tx, l, mailbox.Inbox, nil, h.clock()); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// I1: adding, changing or removing a way to open the account costs the same
// with ten messages and with ten thousand: as many records are read and
// written, none of them a message's.
func TestSlotsCostTheSameInAnyMailbox(t *testing.T) {
	t.Parallel()
	costs := map[int]map[string]cost{}
	for _, n := range []int{10, 10_000} {
		h := newHouse(t)
		owner := h.holder()
		h.fill(owner, n)
		count := &counting{DB: h.db}
		_, operators := operators(t)
		h.doors = h.restart(func(c *signin.Config) { c.DB = count }, operators)
		session := h.signIn()
		costs[n] = map[string]cost{}
		step := func(name string, fn func() error) {
			before := count.cost
			h.must(fn())
			now := count.cost
			costs[n][name] = cost{now.gets - before.gets, now.puts - before.puts, now.bytes - before.bytes, now.scans - before.scans}
		}
		ctx := t.Context()
		step("add a mail password", func() error {
			_, err := h.doors.AddMailPassword(ctx, owner, session.Keys, "x")
			return err
		})
		step("make a recovery code", func() error {
			_, err := h.doors.RenewRecoveryCode(ctx, session.Token, goodPassword)
			return err
		})
		step("change the password", func() error {
			return h.doors.ChangePassword(ctx, session.Token, goodPassword, otherPassword)
		})
		step("renew the keys", func() error { return h.doors.Rotate(ctx, owner) })
		step("remove a mail password", func() error {
			list, err := h.doors.MailPasswords(ctx, owner)
			if err != nil {
				return err
			}
			return h.doors.RemoveMailPassword(ctx, owner, list[0].ID)
		})
	}
	for name, small := range costs[10] {
		large := costs[10_000][name]
		if small.puts == 0 || small.gets != large.gets || small.puts != large.puts || small.scans != 0 || large.scans != 0 {
			t.Errorf("%s: %+v with 10 messages, %+v with 10 000", name, small, large)
		}
		if d := large.bytes - small.bytes; d > 64 || d < -64 { // numbers in CBOR differ by a byte or two
			t.Errorf("%s: %d bytes with 10 messages, %d with 10 000", name, small.bytes, large.bytes)
		}
	}
}
