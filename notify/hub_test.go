package notify_test

import (
	"sync"
	"testing"
	"time"

	"pli/notify"
)

func received(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	case <-time.After(10 * time.Millisecond):
		return false
	}
}

// A publish wakes each subscriber of that owner and nobody else; wakes that
// nobody took become one.
func TestHub(t *testing.T) {
	t.Parallel()
	h := notify.NewHub()
	a1, end1 := h.Subscribe("m/a")
	a2, end2 := h.Subscribe("m/a")
	b, endB := h.Subscribe("m/b")
	defer endB()
	for range 1000 {
		h.Publish("m/a")
	}
	h.Publish("m/nobody")
	if !received(a1) || !received(a2) {
		t.Error("a subscriber was not woken")
	}
	if received(a1) || received(b) {
		t.Error("a subscriber was woken for nothing")
	}
	end1()
	end1()
	h.Publish("m/a")
	if received(a1) || !received(a2) {
		t.Error("ending one subscription ends that one")
	}
	end2()
	if n := h.Waiting(); n != 1 {
		t.Errorf("%d wait", n)
	}
}

// All methods may run at once; no wake is lost.
func TestHubAtOnce(t *testing.T) {
	t.Parallel()
	h := notify.NewHub()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 100 {
				ch, end := h.Subscribe("m/a")
				h.Publish("m/a")
				if !received(ch) {
					t.Error("a wake is lost")
				}
				end()
			}
		})
	}
	wg.Wait()
	if n := h.Waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}
