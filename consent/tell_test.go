package consent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pli/audit"
	"pli/consent"
	"pli/notify"
	"pli/space"
)

// post takes what is sent outside.
type post chan notify.Notice

func (p post) Send(_ context.Context, n notify.Notice) error { p <- n; return nil }

// Three letters make one notice, at the holder's address outside, without a
// word of who wrote or what. C5
func TestNoticesReachTheHolder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	home := h.space(space.Open)
	sent := make(post, 10)
	late := func() time.Time { return h.now.Add(time.Minute) }
	outbox := notify.NewOutbox(notify.OutboxConfig{DB: h.db, Sender: sent, Now: late, Poll: 10 * time.Millisecond})
	gate := consent.NewGate(consent.Config{DB: h.db, Now: h.clock, Outbox: outbox})
	for range 3 {
		req := consent.Request{Space: home.ID, Act: consent.ActMailDeliver, Object: "msg1", Title: "rose@medecin.pli.test"}
		if err := gate.Do(t.Context(), doctor, req, put("letter", "x")); err != nil {
			t.Fatal(err)
		}
	}
	early, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	notify.NewOutbox(notify.OutboxConfig{DB: h.db, Sender: sent, Now: h.clock, Poll: 10 * time.Millisecond}).Run(early)
	if len(sent) > 0 {
		t.Error("sent before others could join it")
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	go outbox.Run(ctx)
	select {
	case n := <-sent:
		all := n.Subject + n.Body
		if n.To != home.Contact || n.Kind != consent.KindMessage || strings.Contains(all, "rose") || strings.Contains(all, "Rose") {
			t.Errorf("%+v", n)
		}
	case <-ctx.Done():
		t.Fatal("no notice")
	}
	select {
	case n := <-sent:
		t.Errorf("another: %+v", n)
	case <-time.After(200 * time.Millisecond):
	}
}

func BenchmarkDeliver(b *testing.B) {
	h := newHouse(b)
	home := h.space(space.Active)
	outbox := notify.NewOutbox(notify.OutboxConfig{DB: h.db, Sender: make(post), Now: h.clock})
	gate := consent.NewGate(consent.Config{DB: h.db, Now: h.clock, Outbox: outbox})
	req := consent.Request{Space: home.ID, Act: consent.ActMailDeliver, Object: "msg1", Title: "rose@medecin.pli.test"}
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := gate.Do(context.Background(), doctor, req, put("letter", "x")); err != nil {
				b.Error(err)
			}
		}
	})
	if got := h.trace(home.ID)[0].Outcome; got != audit.Permit {
		b.Error(got)
	}
}
