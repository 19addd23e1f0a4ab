package mailbox_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/mailbox"
)

// Deliveries, sessions that read, flag, move and search, and sessions that come
// and go, all at once; in the end nothing is lost, nothing is twice.
func TestDeliveryAndReadingAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *mailbox.Config) { c.InlineMax = 4000 })
	ctx := t.Context()
	paule := h.person("paule")
	const senders, each = 4, 25
	var sending, all sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				raw := letter(fmt.Sprintf("s%d-%d", s, i), strings.Repeat("text ", 1+i*50))
				if _, err := h.tryDeliver(raw, mailbox.Inbox, paule); err != nil {
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	session := func(act func(n int, v *mailbox.View) error) {
		all.Go(func() {
			for n := 0; ; n++ {
				a, err := h.mail.Open(ctx, paule.actor(), paule.owner, paule.keys)
				if err != nil {
					t.Error(err)
					return
				}
				v, err := a.Select(ctx, mailbox.Inbox, false)
				if err == nil {
					for range 5 {
						err = act(n, v)
						v.Poll(true)
					}
					v.Close()
				}
				a.Close()
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	session(func(_ int, v *mailbox.View) error {
		return v.Messages(ctx, nil, true, func(m mailbox.Message) error {
			if m.Damaged {
				return fmt.Errorf("UID %d is damaged", m.UID)
			}
			return nil
		})
	})
	session(func(n int, v *mailbox.View) error {
		_, err := v.Store(ctx, nil, mailbox.FlagOp(1+n%2), []mailbox.Flag{mailbox.Seen, "k"}, 0)
		return err
	})
	session(func(_ int, v *mailbox.View) error {
		uid, ok := v.UID(1)
		if !ok {
			return nil
		}
		_, err := v.Move(ctx, []mailbox.UID{uid}, "Archive")
		return err
	})
	session(func(_ int, v *mailbox.View) error {
		_, err := v.Search(ctx, mailbox.Criteria{Body: []string{"text"}})
		return err
	})
	sending.Wait()
	close(stop)
	all.Wait()

	a := paule.open()
	var subjects []string
	for _, box := range []string{mailbox.Inbox, "Archive"} {
		v := paule.view(a, box)
		h.must(v.Messages(ctx, nil, true, func(m mailbox.Message) error {
			subjects = append(subjects, m.Index.Envelope.Subject)
			return nil
		}))
	}
	slices.Sort(subjects)
	if n := len(subjects); n != senders*each || len(slices.Compact(subjects)) != n {
		t.Errorf("%d messages, %d are different", n, len(slices.Compact(subjects)))
	}
}

// Two clients that follow an account by what they are told end up at the same.
func TestIdleClientsFollowABurst(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	paule := h.person("paule")
	const n = 200
	var wg sync.WaitGroup
	for range 2 {
		v := paule.view(paule.open(), mailbox.Inbox)
		wg.Go(func() {
			late := time.After(20 * time.Second)
			for v.Len() < n {
				select {
				case <-v.Changed():
					v.Poll(true)
				case <-late:
					t.Errorf("%d of %d messages were told of", v.Len(), n)
					return
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				if _, err := h.tryDeliver(letter("m", "text"), mailbox.Inbox, paule); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
