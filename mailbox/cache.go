package mailbox

import (
	"container/list"
	"sync"

	"pli/certs/keyring"
	"pli/mailbox/message"
)

// cache keeps opened indexes for accounts that are open, the latest used, within
// a number of bytes for each account and one for all. Session keys, which are
// dear to unwrap and small, stay when their indexes have to go.
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
	keys map[messageID]keptKey
}

// keptKey is a session key, with the wrap that it came out of: a message that
// is sealed anew has another.
type keptKey struct {
	wrap wrapMark
	key  keyring.SessionKey
}

// wrapMark tells one PKESK from any other: the end of the wrapped key.
type wrapMark [16]byte

func markOf(pkesk []byte) (m wrapMark) {
	copy(m[:], pkesk[max(0, len(pkesk)-len(m)):])
	return m
}

// keyCost is about what one kept session key costs, in bytes.
const keyCost = 112

// kept is one message's index without its Text.
type kept struct {
	id    messageID
	owner *shared
	index *message.Index
	size  int64

	inAll, inOwner *list.Element
}

func newCache(perAccount, inAll int64) *cache {
	return &cache{perAccount: perAccount, inAll: inAll, owners: make(map[*shared]*keptOf)}
}

// get returns a message's index, nil if it is not kept.
func (c *cache) get(sh *shared, id messageID) *message.Index {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.owners[sh]
	if o == nil || o.byID[id] == nil {
		return nil
	}
	k := o.byID[id]
	c.all.MoveToFront(k.inAll)
	o.used.MoveToFront(k.inOwner)
	return k.index
}

// key returns the session key that a message's wrap holds, if it is kept.
func (c *cache) key(sh *shared, id messageID, pkesk []byte) (key keyring.SessionKey, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.owners[sh]; o != nil {
		k, kept := o.keys[id]
		key, ok = k.key, kept && k.wrap == markOf(pkesk)
	}
	return key, ok
}

// of returns what is kept for an account.
func (c *cache) of(sh *shared) *keptOf {
	o := c.owners[sh]
	if o == nil {
		o = &keptOf{byID: make(map[messageID]*kept), keys: make(map[messageID]keptKey)}
		c.owners[sh] = o
	}
	return o
}

// putKey keeps a session key.
func (c *cache) putKey(sh *shared, id messageID, pkesk []byte, key keyring.SessionKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.of(sh)
	_, ok := o.keys[id]
	o.keys[id] = keptKey{markOf(pkesk), key}
	if !ok {
		c.size, o.size = c.size+keyCost, o.size+keyCost
		c.shrink(o)
	}
}

// put keeps an index of size bytes.
func (c *cache) put(sh *shared, k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.of(sh)
	if o.byID[k.id] != nil || k.size > c.perAccount {
		return
	}
	k.owner = sh
	k.inAll, k.inOwner = c.all.PushFront(k), o.used.PushFront(k)
	o.byID[k.id] = k
	c.size, o.size = c.size+k.size, o.size+k.size
	c.shrink(o)
}

// shrink lets the longest unused indexes go, then the account's keys, until all
// is within its bounds.
func (c *cache) shrink(o *keptOf) {
	for o.size > c.perAccount && o.used.Len() > 0 {
		c.remove(o.used.Back().Value.(*kept))
	}
	for c.size > c.inAll && c.all.Len() > 0 {
		c.remove(c.all.Back().Value.(*kept))
	}
	if o.size > c.perAccount || c.size > c.inAll {
		c.dropKeys(o)
	}
}

func (c *cache) dropKeys(o *keptOf) {
	n := int64(len(o.keys)) * keyCost
	c.size, o.size = c.size-n, o.size-n
	clear(o.keys)
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
	c.dropKeys(o)
	delete(c.owners, sh)
}
