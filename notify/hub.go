package notify

import (
	"sync"

	"pli/store"
)

// Hub wakes what waits in this process for something to happen to an owner.
// All methods may run at once and never block. It keeps nothing for an owner
// that nobody waits for, and one wake at most for each subscriber.
type Hub struct {
	mu   sync.RWMutex
	subs map[store.Owner]map[chan struct{}]struct{}
}

// NewHub returns a hub with nobody waiting.
func NewHub() *Hub {
	return &Hub{subs: make(map[store.Owner]map[chan struct{}]struct{})}
}

// Publish wakes every subscriber of owner. Wakes that nobody has taken yet
// become one: a subscriber that wakes looks at what there is, not at what it was told.
func (h *Hub) Publish(owner store.Owner) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for ch := range h.subs[owner] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Subscribe returns a channel that receives once or more after each Publish
// for owner, and the function that ends it, which may be called again. The
// channel is never closed.
func (h *Hub) Subscribe(owner store.Owner) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	subs := h.subs[owner]
	if subs == nil {
		subs = make(map[chan struct{}]struct{}, 1)
		h.subs[owner] = subs
	}
	subs[ch] = struct{}{}
	return ch, func() { h.unsubscribe(owner, ch) }
}

func (h *Hub) unsubscribe(owner store.Owner, ch chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	subs := h.subs[owner]
	delete(subs, ch)
	if len(subs) == 0 {
		delete(h.subs, owner)
	}
}

// Waiting returns how many subscriptions there are, for metrics.
func (h *Hub) Waiting() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := 0
	for _, subs := range h.subs {
		n += len(subs)
	}
	return n
}
