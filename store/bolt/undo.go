package bolt

import bbolt "go.etcd.io/bbolt"

// undo remembers what one transaction changed inside a batch.
type undo struct{ changes []change }

type change struct {
	bucket *bbolt.Bucket
	key    []byte
	old    []byte // nil: there was nothing
}

// note remembers that key is about to change from old. Both must keep their
// bytes until the batch has ended: they lie in the file's map or the arena.
func (u *undo) note(b *bbolt.Bucket, key, old []byte) {
	u.changes = append(u.changes, change{b, key, old})
}

// back brings everything back to what it was, last change first.
func (u *undo) back() error {
	for i := len(u.changes) - 1; i >= 0; i-- {
		c := u.changes[i]
		var err error
		if c.old == nil {
			err = c.bucket.Delete(c.key)
		} else {
			err = c.bucket.Put(c.key, c.old)
		}
		if err != nil {
			return err
		}
	}
	u.changes = nil
	return nil
}

// arena holds the keys and values of one batch, which bbolt refers to until
// the commit; its chunks serve the next batch again.
type arena struct {
	chunks [][]byte // those in use; the last one is being filled
	spare  [][]byte
}

const (
	arenaChunk = 1 << 20 // bytes
	arenaSpare = 8       // chunks kept between batches
)

// take returns an empty slice with room for n bytes.
func (a *arena) take(n int) []byte {
	var last []byte
	if len(a.chunks) > 0 {
		last = a.chunks[len(a.chunks)-1]
	}
	if cap(last)-len(last) < n {
		last = a.chunk(n)
		a.chunks = append(a.chunks, last)
	}
	used := len(last)
	a.chunks[len(a.chunks)-1] = last[:used+n]
	return last[used : used : used+n]
}

func (a *arena) chunk(n int) []byte {
	if n > arenaChunk {
		return make([]byte, 0, n)
	}
	if k := len(a.spare); k > 0 {
		c := a.spare[k-1]
		a.spare = a.spare[:k-1]
		return c[:0]
	}
	return make([]byte, 0, arenaChunk)
}

// copy returns b's bytes in the arena, never nil.
func (a *arena) copy(b []byte) []byte { return append(a.take(len(b)), b...) }

// used returns how many bytes the batch has taken, about.
func (a *arena) used() int {
	n := 0
	for _, c := range a.chunks {
		n += len(c)
	}
	return n
}

// reset ends the batch: nothing refers to its bytes any more.
func (a *arena) reset() {
	for i, c := range a.chunks {
		if cap(c) == arenaChunk && len(a.spare) < arenaSpare {
			a.spare = append(a.spare, c)
		}
		a.chunks[i] = nil
	}
	a.chunks = a.chunks[:0]
}
