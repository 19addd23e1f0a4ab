package web

import (
	"sync"

	"pli/internal/errs"
)

// places bounds what goes on at once: so many in all, so many for each key.
type places struct {
	max, each int

	mu  sync.Mutex
	all int
	by  map[string]int
}

// take takes a place, or says errs.Unavailable. Each place taken is given back.
func (p *places) take(key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= p.max || p.by[key] >= p.each {
		return errs.New(errs.Unavailable, "no place left: %d in all, %d of this one", p.all, p.by[key])
	}
	if p.by == nil {
		p.by = map[string]int{}
	}
	p.by[key]++
	p.all++
	return nil
}

// give gives a place back.
func (p *places) give(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.by[key]--; p.by[key] <= 0 {
		delete(p.by, key)
	}
}
