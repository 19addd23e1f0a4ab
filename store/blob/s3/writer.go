package s3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"sync/atomic"

	"pli/store/blob"
)

// writer is a blob that is being written.
type writer struct {
	ctx    context.Context
	store  *Store
	id     blob.ID
	known  bool     // the ID was given: there may be such a blob
	file   *os.File // has no name
	size   int64
	digest hash.Hash
	ended  atomic.Bool
	err    error // of an earlier Write
}

var errEnded = errors.New("s3: the blob was committed or aborted")

// Create begins a blob in the spool.
func (s *Store) Create(ctx context.Context) (blob.Writer, error) {
	return s.create(ctx, blob.NewID(), false)
}

// CreateAs begins a blob that has its ID. Its Commit asks for no overwriting
// (If-None-Match: *) and, for servers that do not know the condition, looks
// before: with those, the last of two writers at the same moment wins. While
// Readers hold a deleted blob of that ID, Commit says blob.ErrUnavailable.
func (s *Store) CreateAs(ctx context.Context, id blob.ID) (blob.Writer, error) {
	if !id.Valid() {
		return nil, fmt.Errorf("s3: %q has not the form of a blob's ID", id)
	}
	return s.create(ctx, id, true)
}

func (s *Store) create(ctx context.Context, id blob.ID, known bool) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.spool, "blob-")
	if err == nil {
		err = os.Remove(f.Name())
	}
	if err != nil {
		return nil, spoolError(err)
	}
	return &writer{ctx: ctx, store: s, id: id, known: known, file: f, digest: sha256.New()}, nil
}

func spoolError(err error) error {
	switch {
	case err == nil:
		return nil
	case blob.NoSpace(err):
		return fmt.Errorf("s3: the folder for blobs that are being written: %w: %v", blob.ErrFull, err)
	}
	return fmt.Errorf("s3: the folder for blobs that are being written: %w", err)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.ended.Load() {
		return 0, errEnded
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.file.Write(p)
	w.digest.Write(p[:n])
	w.size += int64(n)
	w.err = spoolError(err)
	return n, w.err
}

// Commit returns when the server has acknowledged the whole blob. If it fails,
// nothing of the blob is left, or the whole where the server stopped answering
// at the very end: what is left of a blob whose ID nobody knows is removed when
// the server answers soon; a sweeper finds the rest.
func (w *writer) Commit() (blob.ID, error) {
	if w.ended.Swap(true) {
		return "", errEnded
	}
	defer w.file.Close()
	if w.err != nil {
		return "", w.err
	}
	if err := w.mayHave(w.id); err != nil {
		return "", err
	}
	o := &upload{name: string(w.id), content: w.file, size: w.size, digest: [sha256.Size]byte(w.digest.Sum(nil)), mark: string(blob.NewID()), fresh: true, unknown: !w.known}
	if err := w.store.bucket.put(w.ctx, o); err != nil {
		return "", err
	}
	return w.id, nil
}

// mayHave reports why a blob may not have a given ID.
func (w *writer) mayHave(id blob.ID) error {
	switch {
	case !w.known:
		return nil
	case w.store.leaving(id):
		return fmt.Errorf("s3: blob %s is deleted and still being read: %w", id, blob.ErrUnavailable)
	}
	return w.store.bucket.wantFree(w.ctx, string(id))
}

func (w *writer) Abort() error {
	if w.ended.Swap(true) {
		return nil
	}
	return w.file.Close()
}
