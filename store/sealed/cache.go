package sealed

import (
	"container/list"
	"sync"

	"pli/store"
)

// cache keeps opened data keys, the least recently used leaving first.
type cache struct {
	mu    sync.Mutex
	max   int
	gen   uint64 // counts evictions on purpose
	items map[place]*list.Element
	order list.List // of *item, the most recently used first
}

type place struct {
	owner store.Owner
	class string
}

type item struct {
	place place
	key   *dataKey
}

func newCache(max int) *cache {
	return &cache{max: max, items: map[place]*list.Element{}}
}

// get returns the key, nil if it is not here.
func (c *cache) get(owner store.Owner, class string) *dataKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.items[place{owner, class}]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*item).key
}

// generation is what a later add is told, so that a key that was loaded
// before an eviction does not come in after it.
func (c *cache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gen
}

func (c *cache) add(owner store.Owner, class string, d *dataKey, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := place{owner, class}
	if generation != c.gen || c.items[p] != nil {
		return
	}
	c.items[p] = c.order.PushFront(&item{p, d})
	if c.order.Len() > c.max {
		c.remove(c.order.Back())
	}
}

// evict removes keys that are no more.
func (c *cache) evict(owner store.Owner, classes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	for _, class := range classes {
		if e := c.items[place{owner, class}]; e != nil {
			c.remove(e)
		}
	}
}

func (c *cache) remove(e *list.Element) {
	delete(c.items, e.Value.(*item).place)
	c.order.Remove(e)
}
