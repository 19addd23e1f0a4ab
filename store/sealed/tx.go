package sealed

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"pli/store"
)

// A sealed value: one byte of format, the nonce, the ciphertext with its tag.
// Nonces are random: a data key is good for 2^32 values (NIST SP 800-38D 8.3).
const (
	valueFormat = 1
	nonceSize   = 12
	tagSize     = 16
	// Overhead is by how many bytes a sealed value is longer.
	Overhead = 1 + nonceSize + tagSize
)

// tx seals what goes into another transaction and opens what comes out.
type tx struct {
	ctx   context.Context
	db    *DB
	inner store.Tx
	write bool
	over  bool
	need  *needKey // a write lacked this key
	keys  []opened // those used so far: few
	ad    []byte   // scratch
	buf   *[]byte  // scratch of the pool
}

type opened struct {
	class string
	key   *dataKey
	err   error
}

// buffers serve to seal into; the engine below copies.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 16<<10); return &b }}

// keptBuffer is the longest buffer that goes back to the pool, in bytes.
const keptBuffer = 128 << 10

func (db *DB) begin(ctx context.Context, inner store.Tx) *tx {
	return &tx{ctx: ctx, db: db, inner: inner}
}

func (t *tx) end() {
	if t.buf != nil && cap(*t.buf) <= keptBuffer {
		buffers.Put(t.buf)
	}
	t.buf, t.over = nil, true
}

func (t *tx) Owner() store.Owner      { return t.inner.Owner() }
func (t *tx) AfterCommit(fn func())   { t.inner.AfterCommit(fn) }
func (t *tx) Delete(key []byte) error { return t.inner.Delete(key) }

// key returns the data key of a class, asking the key store once.
func (t *tx) key(class string) (*dataKey, error) {
	for i := range t.keys {
		if t.keys[i].class == class {
			return t.keys[i].key, t.keys[i].err
		}
	}
	d, err := t.db.keys.get(t.ctx, t.Owner(), class, false)
	t.keys = append(t.keys, opened{class, d, err})
	return d, err
}

// data returns what is authenticated beside a value: format, owner and key.
func (t *tx) data(key []byte) []byte {
	t.ad = append(append(append(t.ad[:0], valueFormat), t.Owner()...), 0)
	t.ad = append(t.ad, key...)
	return t.ad
}

// seal returns the sealed value in scratch that the next call uses again.
func (t *tx) seal(key, value []byte) ([]byte, error) {
	switch {
	case t.over:
		return nil, store.ErrClosed
	case !t.write:
		return nil, store.ErrReadOnly
	case len(value) > store.MaxValue:
		return nil, fmt.Errorf("%w: value of %d bytes", store.ErrTooLarge, len(value))
	}
	class := t.db.class(key)
	d, err := t.key(class)
	if errors.Is(err, store.ErrNotFound) {
		t.need = &needKey{class}
		return nil, t.need
	}
	if err != nil {
		return nil, err
	}
	if t.buf == nil {
		t.buf = buffers.Get().(*[]byte)
	}
	b := append((*t.buf)[:0], valueFormat)
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	b = append(b, nonce[:]...)
	*t.buf = d.aead.Seal(b, nonce[:], value, t.data(key))
	return *t.buf, nil
}

// open returns a record's value. A destroyed key makes it one that is not
// there; anything else that keeps it from opening is damage, told by owner and
// a digest of the key alone.
func (t *tx) open(key, sealed []byte) ([]byte, error) {
	d, err := t.key(t.db.class(key))
	switch {
	case errors.Is(err, ErrDestroyed):
		return nil, fmt.Errorf("%w: %w", store.ErrNotFound, err)
	case errors.Is(err, store.ErrNotFound):
		return nil, t.corrupt(key, "its data key is missing")
	case err != nil:
		return nil, err
	}
	if len(sealed) < Overhead || sealed[0] != valueFormat {
		return nil, t.corrupt(key, "not a sealed value")
	}
	v, err := d.aead.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], t.data(key))
	if err != nil {
		return nil, t.corrupt(key, "its seal does not open")
	}
	return v, nil
}

func (t *tx) corrupt(key []byte, why string) error {
	return &store.Damage{Owner: t.Owner(), Key: bytes.Clone(key), Why: why}
}

func (t *tx) Get(key []byte) ([]byte, error) {
	v, err := t.inner.Get(key)
	if err != nil {
		return nil, err
	}
	return t.open(key, v)
}

func (t *tx) Put(key, value []byte) error {
	b, err := t.seal(key, value)
	if err != nil {
		return err
	}
	return t.inner.Put(key, b)
}

func (t *tx) PutDue(key, value []byte, at time.Time) error {
	b, err := t.seal(key, value)
	if err != nil {
		return err
	}
	return t.inner.PutDue(key, b, at)
}

func (t *tx) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return t.inner.Scan(from, to, t.opening(fn))
}

func (t *tx) ScanBack(from, to []byte, fn func(key, value []byte) error) error {
	return t.inner.ScanBack(from, to, t.opening(fn))
}

// opening has fn see opened values, and not see those whose key was destroyed.
func (t *tx) opening(fn func(key, value []byte) error) func(key, value []byte) error {
	return func(key, sealed []byte) error {
		v, err := t.open(key, sealed)
		if errors.Is(err, ErrDestroyed) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(key, v)
	}
}
