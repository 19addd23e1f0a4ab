package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"pli/store/blob"
)

// firstWindow is how many bytes of a blob are asked for at first, and wherever
// a reader jumps to; each further window in order is twice as long, up to
// Limits.ReadAhead.
const firstWindow = 128_000

// reader reads a blob by ranges. It keeps two windows, since who opens a sealed
// stream looks at its beginning and its end before reading on.
type reader struct {
	ctx   context.Context
	store *Store
	id    blob.ID
	etag  string // of the object that was opened; another is not read
	size  int64

	mu      sync.Mutex
	closed  bool
	windows [2]window // the one used last comes first
}

// window is a part of a blob in memory.
type window struct {
	off  int64
	data []byte
}

func (w window) end() int64 { return w.off + int64(len(w.data)) }

// Open asks for the first bytes, and so learns the blob's length.
func (s *Store) Open(ctx context.Context, id blob.ID) (blob.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !id.Valid() || !s.hold(id, false) {
		return nil, blob.ErrNotFound
	}
	r := &reader{ctx: ctx, store: s, id: id}
	if err := r.begin(); err != nil {
		s.letGo(ctx, id)
		return nil, err
	}
	return r, nil
}

func (r *reader) begin() error {
	bucket := r.store.bucket
	first := &stream{bucket: bucket, ctx: r.ctx, key: bucket.key(string(r.id)), end: int64(min(firstWindow, bucket.limits.ReadAhead))}
	_, err := first.open()
	if errors.Is(err, errRange) {
		return r.beginEmpty()
	}
	if err != nil {
		return err
	}
	r.etag, r.size = first.etag, first.total
	r.windows[0].data = make([]byte, first.end)
	return first.fill(r.windows[0].data)
}

// beginEmpty makes sure that a blob is empty: servers refuse any range of those.
func (r *reader) beginEmpty() error {
	info, err := r.store.bucket.stat(r.ctx, string(r.id))
	if err == nil && info.Size != 0 {
		err = fmt.Errorf("s3: blob %s: the server refuses the first range of %d bytes", r.id, info.Size)
	}
	r.etag = info.ETag
	return err
}

func (r *reader) Size() int64 { return r.size }

// ReadAt is io.ReaderAt's. Reads at least as long as the read-ahead go past the
// windows.
func (r *reader) ReadAt(p []byte, off int64) (n int, err error) {
	switch {
	case off < 0:
		return 0, errors.New("s3: read at a negative place")
	case off >= r.size:
		return 0, io.EOF
	}
	if rest := r.size - off; int64(len(p)) > rest {
		p, err = p[:rest], io.EOF
	}
	if len(p) >= r.store.bucket.limits.ReadAhead {
		if err := r.fetch(p, off); err != nil {
			return 0, err
		}
		return len(p), err
	}
	for n < len(p) {
		k, err := r.readWindow(p[n:], off+int64(n))
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, err
}

// readWindow copies what one window holds at a place of the blob.
func (r *reader) readWindow(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, os.ErrClosed
	}
	if !r.windows[0].holds(off) {
		r.windows[0], r.windows[1] = r.windows[1], r.windows[0]
	}
	if !r.windows[0].holds(off) {
		if err := r.load(off); err != nil {
			return 0, err
		}
	}
	w := r.windows[0]
	return copy(p, w.data[off-w.off:]), nil
}

func (w window) holds(off int64) bool { return off >= w.off && off < w.end() }

// load fills the window that was not used last, which comes first now, from a
// place on.
func (r *reader) load(off int64) error {
	length := firstWindow
	for _, w := range r.windows {
		if w.end() == off {
			length = max(length, 2*len(w.data))
		}
	}
	length = min(length, r.store.bucket.limits.ReadAhead, int(r.size-off))
	w := &r.windows[0]
	data := w.data
	w.data = nil
	if cap(data) < length {
		data = make([]byte, length)
	}
	if err := r.fetch(data[:length], off); err != nil {
		return err
	}
	*w = window{off, data[:length]}
	return nil
}

// fetch reads exactly len(p) bytes from the server.
func (r *reader) fetch(p []byte, off int64) error {
	bucket := r.store.bucket
	s := &stream{bucket: bucket, ctx: r.ctx, key: bucket.key(string(r.id)), etag: r.etag, total: r.size, off: off, end: off + int64(len(p))}
	return s.fill(p)
}

// Close removes the blob if it was deleted meanwhile and nobody else reads it.
// The error says that this failed: a sweeper finds what is left.
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return os.ErrClosed
	}
	r.closed = true
	r.windows = [2]window{}
	return r.store.letGo(r.ctx, r.id)
}
