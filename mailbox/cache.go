package mailbox

import (
	"container/list"
	"sync"

	"pli/certs/keyring"
	"pli/mailbox/message"
)

// cache keeps opened indexes for accounts that are open, the latest used, within
// a number of bytes for each account and one for all.
type cache struct {
	perAccount, inAll int64

	mu     sync.Mutex
	size   int64
	all    list.List // of *kept, the latest used first
	owners map[*shared]*keptOf
}

type keptOf struct {
	size int64
	used list.List // of *kept, the latest used first
	byID map[messageID]*kept
}

// kept is one message's index without its Text, and what opens its body.
type kept struct {
	id    messageID
	owner *shared
	index *message.Index
	key   keyring.SessionKey
	size  int64

	inAll, inOwner *list.Element
}

func newCache(perAccount, inAll int64) *cache {
	return &cache{perAccount: perAccount, inAll: inAll, owners: make(map[*shared]*keptOf)}
}

// get returns an account's kept message, nil if there is none.
func (c *cache) get(sh *shared, id messageID) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.owners[sh]
	if o == nil || o.byID[id] == nil {
		return nil
	}
	k := o.byID[id]
	c.all.MoveToFront(k.inAll)
	o.used.MoveToFront(k.inOwner)
	return k
}

// put keeps a message of size bytes, and lets the longest unused ones go.
func (c *cache) put(sh *shared, k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.owners[sh]
	if o == nil {
		o = &keptOf{byID: make(map[messageID]*kept)}
		c.owners[sh] = o
	}
	if o.byID[k.id] != nil || k.size > c.perAccount {
		return
	}
	k.owner = sh
	k.inAll, k.inOwner = c.all.PushFront(k), o.used.PushFront(k)
	o.byID[k.id] = k
	c.size, o.size = c.size+k.size, o.size+k.size
	for o.size > c.perAccount {
		c.remove(o.used.Back().Value.(*kept))
	}
	for c.size > c.inAll {
		c.remove(c.all.Back().Value.(*kept))
	}
}

func (c *cache) remove(k *kept) {
	o := c.owners[k.owner]
	c.all.Remove(k.inAll)
	o.used.Remove(k.inOwner)
	delete(o.byID, k.id)
	c.size, o.size = c.size-k.size, o.size-k.size
}

// drop forgets all of an account.
func (c *cache) drop(sh *shared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.owners[sh]
	if o == nil {
		return
	}
	for o.used.Len() > 0 {
		c.remove(o.used.Back().Value.(*kept))
	}
	delete(c.owners, sh)
}
