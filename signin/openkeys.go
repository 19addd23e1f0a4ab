package signin

import (
	"slices"
	"sync"
	"weak"

	"pli/certs/keyring"
	"pli/store"
)

// openKeys knows which bundles of an account are open in this process, without
// keeping any of them: when the account's keys are renewed, all learn the new
// ones before anything is sealed to them.
type openKeys struct {
	mu sync.Mutex
	by map[store.Owner][]weak.Pointer[keyring.Bundle]
}

func newOpenKeys() *openKeys {
	return &openKeys{by: make(map[store.Owner][]weak.Pointer[keyring.Bundle])}
}

func (o *openKeys) add(owner store.Owner, b *keyring.Bundle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.by[owner] = append(slices.DeleteFunc(o.by[owner], gone), weak.Make(b))
}

func gone(p weak.Pointer[keyring.Bundle]) bool { return p.Value() == nil }

// refresh lets the open bundles of an account learn what its ring has, and
// forget what it has no more. One whose slot was taken away stays as it is.
func (o *openKeys) refresh(owner store.Owner, r *keyring.Ring) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.by[owner] {
		if b := p.Value(); b != nil {
			b.Refresh(r) // an error: its slot is gone, or it is wiped
		}
	}
}

// any returns one of the open bundles of an account that knows all of its
// ring's keys, nil if there is none.
func (o *openKeys) any(owner store.Owner, recipient keyring.Recipient) *keyring.Bundle {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.by[owner] {
		if b := p.Value(); b != nil && b.Recipient() == recipient {
			return b
		}
	}
	return nil
}

// sweep forgets the bundles that nobody holds any more.
func (o *openKeys) sweep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for owner, list := range o.by {
		if list = slices.DeleteFunc(list, gone); len(list) == 0 {
			delete(o.by, owner)
		} else {
			o.by[owner] = list
		}
	}
}
