package mailbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/certs/keyring"
	"pli/mailbox"
	"pli/store"
)

// rotating is a person whose keys are renewed.
type rotating struct {
	*person
	ring *keyring.Ring
}

func (h *house) rotating(name string) *rotating {
	h.t.Helper()
	p := h.person(name)
	ring, keys, err := keyring.New(name, h.clock())
	h.must(err)
	_, err = ring.AddServer(keys, [32]byte{1})
	h.must(err)
	p.keys = keys
	return &rotating{p, ring}
}

func (r *rotating) rotate() {
	r.h.t.Helper()
	r.h.must(r.ring.Rotate(r.keys, r.h.clock()))
}

// retired returns keys of the newest generation alone.
func (r *rotating) retired() *keyring.Bundle {
	r.h.t.Helper()
	r.ring.Retire()
	keys, err := r.ring.OpenServer([32]byte{1})
	r.h.must(err)
	return keys
}

func (r *rotating) stale() int {
	r.h.t.Helper()
	n, err := r.h.mail.Stale(r.h.t.Context(), r.owner, r.ring.Recipient())
	r.h.must(err)
	return n
}

// I1: what lay there before keys were renewed is sealed to the new ones: small
// messages, large ones, copies; then the old keys are needed for nothing.
func TestReseal(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.InlineMax = 4 << 10 })
	p := h.rotating("paule")
	want := []string{letter("small", "un deux trois"), sized(40 << 10), letter("third", "quatre"), sized(3 << 20)}
	for _, raw := range want {
		h.deliver(raw, p.person)
	}
	before := p.open()
	v := p.view(before, mailbox.Inbox)
	h.must(before.Create(t.Context(), "Copies", ""))
	_, err := v.Copy(t.Context(), []mailbox.UID{1, 2}, "Copies")
	h.must(err)
	h.read(v, 1) // its key is remembered
	h.list(v)
	if n := p.stale(); n != 0 {
		t.Fatalf("%d stale messages before any rotation", n)
	}
	p.rotate()
	h.deliver(letter("after", "cinq"), p.person)
	if n := p.stale(); n != len(want) {
		t.Fatalf("%d stale messages, want %d", n, len(want))
	}
	var told []mailbox.Resealed
	done, err := before.Reseal(t.Context(), func(r mailbox.Resealed) { told = append(told, r) })
	h.must(err)
	if done != (mailbox.Resealed{Done: len(want)}) || len(told) == 0 || told[len(told)-1] != done || p.stale() != 0 {
		t.Fatalf("done %+v, told %+v, %d stale", done, told, p.stale())
	}
	for uid, raw := range want {
		if got := h.read(v, mailbox.UID(uid+1)); got != raw {
			t.Errorf("message %d reads otherwise in the session that was open", uid+1)
		}
	}
	p.keys = p.retired()
	fresh, err := h.service(func(c *mailbox.Config) { c.InlineMax = 4 << 10 }).Open(t.Context(), p.actor(), p.owner, p.keys)
	h.must(err)
	t.Cleanup(fresh.Close)
	v = p.view(fresh, mailbox.Inbox)
	for uid, raw := range append(want, letter("after", "cinq")) {
		if got := h.read(v, mailbox.UID(uid+1)); got != raw {
			t.Errorf("message %d reads otherwise by the new keys alone", uid+1)
		}
	}
	found, err := v.Search(t.Context(), mailbox.Criteria{Text: []string{"quatre"}})
	h.must(err)
	if !slices.Equal(found, []mailbox.UID{3}) {
		t.Errorf("a search finds %v", found)
	}
	if got := h.read(p.view(fresh, "Copies"), 2); got != want[1] {
		t.Error("the copy reads otherwise")
	}
	again, err := fresh.Reseal(t.Context(), func(mailbox.Resealed) { t.Error("told of nothing") })
	if err != nil || again != (mailbox.Resealed{}) {
		t.Errorf("done again: %+v %v", again, err)
	}
}

var errPower = errors.New("power cut")

// cutting fails the n-th write.
type cutting struct {
	store.DB
	mu   sync.Mutex
	left int
}

func (c *cutting) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	c.mu.Lock()
	c.left--
	cut := c.left < 0
	c.mu.Unlock()
	if cut {
		return errPower
	}
	return c.DB.Update(ctx, owner, fn)
}

// Stopped after any transaction it leaves everything readable, and goes on
// from there.
func TestResealIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.rotating("paule")
	const n, size = 12, 1 << 20 // about four in one transaction
	var want []string
	for i := range n {
		raw := letter(fmt.Sprint("number ", i), strings.Repeat("x", 70*i)) + strings.Repeat("a line of a report\r\n", size/20/8)
		want = append(want, raw)
		h.deliver(raw, p.person)
	}
	p.rotate()
	last := n
	for writes := 1; p.stale() > 0; writes++ {
		if writes > 3*n {
			t.Fatal("it does not come to an end")
		}
		cut := &cutting{DB: h.db, left: 1}
		mail := h.service(func(c *mailbox.Config) { c.DB, c.PageDelay = cut, time.Hour })
		a, err := mail.Open(t.Context(), p.actor(), p.owner, p.keys)
		h.must(err)
		if _, err := a.Reseal(t.Context(), func(mailbox.Resealed) {}); err != nil && !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		a.Close()
		now := p.stale()
		if now >= last {
			t.Fatalf("%d stale messages, %d before", now, last)
		}
		last = now
		fresh, err := h.service().Open(t.Context(), p.actor(), p.owner, p.keys)
		h.must(err)
		v, err := fresh.Select(t.Context(), mailbox.Inbox, true)
		h.must(err)
		for i, raw := range want {
			if h.read(v, mailbox.UID(i+1)) != raw {
				t.Fatalf("after %d writes message %d reads otherwise", writes, i+1)
			}
		}
		v.Close()
		fresh.Close()
	}
}

// Nothing is unreadable at any instant: who reads while mail is sealed anew
// reads everything, every time; what is expunged meanwhile stays gone.
func TestReadingWhileMailIsSealedAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.InlineMax = 2 << 10 })
	p := h.rotating("paule")
	const n = 60
	var want []string
	for i := range n {
		raw := letter(fmt.Sprint("number ", i), "texte")
		if i%3 == 0 {
			raw = sized(20<<10 + i)
		}
		want = append(want, raw)
		h.deliver(raw, p.person)
	}
	a := p.open()
	for range 3 {
		p.rotate()
		done := make(chan error, 1)
		go func() {
			_, err := a.Reseal(t.Context(), func(mailbox.Resealed) {})
			done <- err
		}()
		v := p.view(a, mailbox.Inbox)
		for sealing := true; sealing; {
			select {
			case err := <-done:
				h.must(err)
				sealing = false
			default:
			}
			for i, raw := range want {
				if got := h.read(v, mailbox.UID(i+1)); got != raw {
					t.Fatalf("message %d reads otherwise", i+1)
				}
			}
			h.must(v.Messages(t.Context(), nil, true, func(m mailbox.Message) error {
				if m.Damaged {
					t.Errorf("message %d shows as damaged", m.UID)
				}
				return nil
			}))
		}
	}
}

// A message that does not open is left, counted and told, and holds up nobody.
func TestResealLeavesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.rotating("paule")
	p.broken = true
	h.deliver(letter("one", "x"), p.person)
	h.deliver(letter("two", "y"), p.person)
	a := p.open()
	damageBody(h, p.owner)
	p.rotate()
	done, err := a.Reseal(t.Context(), func(mailbox.Resealed) {})
	if err != nil || done != (mailbox.Resealed{Done: 1, Left: 1, Damaged: 1}) || p.stale() != 1 {
		t.Fatalf("%+v %v, %d stale", done, err, p.stale())
	}
}

// damageBody spoils the first body of an account, below the store's seal.
func damageBody(h *house, owner store.Owner) {
	h.t.Helper()
	h.must(h.bare.Update(h.t.Context(), owner, func(tx store.Tx) error {
		var key, value []byte
		err := tx.Scan([]byte("mail/m/"), store.After([]byte("mail/m/")), func(k, v []byte) error {
			if k[len(k)-1] != 'b' {
				return nil
			}
			key, value = slices.Clone(k), slices.Clone(v)
			return store.Stop
		})
		if err != nil {
			return err
		}
		value[len(value)-1] ^= 1
		return tx.Put(key, value)
	}))
}
