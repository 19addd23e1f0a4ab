// Package dir keeps blobs as files in a folder.
//
// A blob is written to a file in the folder tmp and synced; then it is moved to
// its place and the folder there is synced. So a place holds a whole blob or
// none, whenever the machine stops. Places lie two folders deep, by the first
// digits of the ID: ab/cd/abcd….
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"pli/store/blob"
)

// Config holds what may be chosen. Zero values mean the defaults.
type Config struct {
	Log *slog.Logger
}

// Store is a blob.Store in a folder. One process at a time may have it open.
type Store struct {
	path string
	log  *slog.Logger
	// durable holds the folders known to be there after a crash.
	durable sync.Map // path -> struct{}
}

const temporary = "tmp"

// Open opens the store in a folder, making it if there is none, and removes
// what a crash has left unfinished.
func Open(path string, cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("dir: %w", err)
	}
	s := &Store{path: path, log: cfg.Log}
	tmp := filepath.Join(path, temporary)
	if err := s.makeFolder(tmp); err != nil {
		return nil, fmt.Errorf("dir: %w", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		return nil, fmt.Errorf("dir: %w", err)
	}
	for _, f := range left {
		if err := os.Remove(filepath.Join(tmp, f.Name())); err != nil {
			return nil, fmt.Errorf("dir: %w", err)
		}
	}
	if len(left) > 0 {
		s.log.Info("removed unfinished blobs", "count", len(left))
	}
	return s, nil
}

// place returns the folder and the path of a blob.
func (s *Store) place(id blob.ID) (folder, path string) {
	folder = filepath.Join(s.path, string(id[:2]), string(id[2:4]))
	return folder, filepath.Join(folder, string(id))
}

// Create begins a blob in a temporary file.
func (s *Store) Create(ctx context.Context) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id := blob.NewID()
	return s.create(id, string(id), false)
}

// CreateAs begins a blob that has its ID.
func (s *Store) CreateAs(ctx context.Context, id blob.ID) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !id.Valid() {
		return nil, fmt.Errorf("dir: %q has not the form of a blob's ID", id)
	}
	return s.create(id, string(blob.NewID()), true)
}

func (s *Store) create(id blob.ID, name string, known bool) (blob.Writer, error) {
	f, err := os.OpenFile(filepath.Join(s.path, temporary, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, asBlobError(err)
	}
	return &writer{store: s, id: id, known: known, file: f}, nil
}

// reader is a blob's file.
type reader struct {
	*os.File
	size int64
}

func (r *reader) Size() int64 { return r.size }

// Open returns a blob. One that is deleted meanwhile can be read to its end.
func (s *Store) Open(ctx context.Context, id blob.ID) (blob.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !id.Valid() {
		return nil, blob.ErrNotFound
	}
	_, path := s.place(id)
	f, err := os.Open(path)
	if err != nil {
		return nil, asBlobError(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, asBlobError(err)
	}
	return &reader{f, info.Size()}, nil
}

// Delete removes a blob. It does not wait for the disk: what a crash brings
// back has no record, and the sweeper finds it.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !id.Valid() {
		return nil
	}
	_, path := s.place(id)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return asBlobError(err)
	}
	return nil
}

// writer is a blob that is being written.
type writer struct {
	store *Store
	id    blob.ID
	known bool // the ID was given: there may be such a blob
	file  *os.File
	ended atomic.Bool
	err   error // of an earlier Write
}

var errEnded = errors.New("dir: the blob was committed or aborted")

func (w *writer) Write(p []byte) (int, error) {
	if w.ended.Load() {
		return 0, errEnded
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.file.Write(p)
	w.err = asBlobError(err)
	return n, w.err
}

// Commit leaves nothing behind if it fails.
func (w *writer) Commit() (blob.ID, error) {
	if w.ended.Load() {
		return "", errEnded
	}
	if w.err != nil {
		w.Abort()
		return "", w.err
	}
	if err := w.file.Sync(); err != nil {
		w.Abort()
		return "", asBlobError(err)
	}
	w.ended.Store(true)
	folder, path := w.store.place(w.id)
	err := w.file.Close()
	if err == nil {
		err = w.store.makeFolder(folder)
	}
	if err == nil {
		err = w.move(path)
	}
	if errors.Is(err, os.ErrExist) {
		os.Remove(w.file.Name())
		return "", blob.ErrExists
	}
	if err == nil {
		err = syncFolder(folder)
	}
	if err != nil {
		os.Remove(w.file.Name())
		os.Remove(path)
		return "", asBlobError(err)
	}
	return w.id, nil
}

// move gives the file its place. One with a given ID replaces nothing there.
func (w *writer) move(path string) error {
	if !w.known {
		return os.Rename(w.file.Name(), path)
	}
	if err := os.Link(w.file.Name(), path); err != nil {
		return err
	}
	return os.Remove(w.file.Name())
}

func (w *writer) Abort() error {
	if w.ended.Swap(true) {
		return nil
	}
	w.file.Close()
	if err := os.Remove(w.file.Name()); err != nil {
		return asBlobError(err)
	}
	return nil
}

// makeFolder makes a folder and returns when its name, and those above it up
// to the store's own and any that were missing, are durable: another may have
// made them a moment ago, and not be done.
func (s *Store) makeFolder(folder string) error {
	if _, ok := s.durable.Load(folder); ok {
		return nil
	}
	above := filepath.Dir(folder)
	if strings.HasPrefix(above, s.path) {
		if err := s.makeFolder(above); err != nil {
			return err
		}
	}
	err := os.Mkdir(folder, 0o700)
	if errors.Is(err, os.ErrNotExist) && above != folder {
		if err := s.makeFolder(above); err != nil {
			return err
		}
		err = os.Mkdir(folder, 0o700)
	}
	existed := errors.Is(err, os.ErrExist)
	if err != nil && !existed {
		return err
	}
	if err := syncFolder(above); err != nil && !(existed && errors.Is(err, os.ErrPermission)) {
		return err
	}
	s.durable.Store(folder, struct{}{})
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// asBlobError gives the system's failures the names of package blob.
func asBlobError(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, os.ErrNotExist):
		return blob.ErrNotFound
	case blob.NoSpace(err):
		return fmt.Errorf("%w: %v", blob.ErrFull, err)
	}
	return fmt.Errorf("dir: %w", err)
}
