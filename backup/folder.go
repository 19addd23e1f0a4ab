package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"pli/internal/errs"
)

// Folder is a repository in a folder. An object is written under a temporary
// name, synced, renamed, and the folder synced.
type Folder struct {
	path    string
	durable sync.Map // folders known to be there after a crash
}

const folderTemporary = "tmp"

// staleTemporary is how old an unfinished object is before it counts as left
// by a run that was killed.
const staleTemporary = 24 * time.Hour

// OpenFolder opens the repository in a folder, or, with create, makes one in a
// folder that is absent or empty. What a killed run has left unfinished is
// removed when it is a day old: another run may be at work.
func OpenFolder(path string, create bool) (*Folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f := &Folder{path: path}
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	made := false
	for _, e := range entries {
		made = made || e.Name() == strings.TrimSuffix(folderManifests, "/")
	}
	switch {
	case made:
		return f, f.clean()
	case !create:
		return nil, errs.New(errs.NotFound, "%s holds no backup", path)
	case len(entries) > 0:
		return nil, errs.New(errs.Conflict, "%s is neither empty nor a backup: backups go to a folder of their own", path)
	}
	return f, f.makeFolder(filepath.Join(path, folderManifests))
}

func (f *Folder) clean() error {
	tmp := filepath.Join(f.path, folderTemporary)
	left, err := os.ReadDir(tmp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range left {
		info, infoErr := e.Info()
		if infoErr == nil && time.Since(info.ModTime()) > staleTemporary {
			err = errors.Join(err, os.Remove(filepath.Join(tmp, e.Name())))
		}
	}
	return err
}

func (f *Folder) place(name string) string { return filepath.Join(f.path, filepath.FromSlash(name)) }

// Put syncs the file before it has its name, and the name before it returns.
func (f *Folder) Put(ctx context.Context, name string, content io.ReaderAt, size int64) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	tmp := filepath.Join(f.path, folderTemporary)
	if err := f.makeFolder(tmp); err != nil {
		return f.explain(err)
	}
	file, err := os.OpenFile(filepath.Join(tmp, rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return f.explain(err)
	}
	n, err := io.Copy(file, io.NewSectionReader(content, 0, size))
	if err == nil && n != size {
		err = fmt.Errorf("%s: %d bytes came, not %d", name, n, size)
	}
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	path := f.place(name)
	if err == nil {
		err = f.makeFolder(filepath.Dir(path))
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
		return f.explain(err)
	}
	return syncFolder(filepath.Dir(path))
}

// explain gives a full disk its kind.
func (f *Folder) explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return errs.Wrap(err, errs.Unavailable, "there is no room left in %s", f.path)
	}
	return err
}

// Get opens the file.
func (f *Folder) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.Open(f.place(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	return file, err
}

// List walks the folders in order.
func (f *Folder) List(ctx context.Context, folder string, fn func(Object) error) error {
	err := filepath.WalkDir(f.place(folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.path, path)
		if err != nil {
			return err
		}
		return errors.Join(ctx.Err(), fn(Object{filepath.ToSlash(name), info.Size()}))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Delete removes the file.
func (f *Folder) Delete(ctx context.Context, name string) error {
	err := os.Remove(f.place(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ctx.Err()
	}
	return errors.Join(err, ctx.Err())
}

// makeFolder makes a folder of the repository, and those above, durable.
func (f *Folder) makeFolder(path string) error {
	if _, ok := f.durable.Load(path); ok {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if above := filepath.Dir(path); path != f.path && above != path {
		if err := f.makeFolder(above); err != nil {
			return err
		}
		if err := syncFolder(above); err != nil {
			return err
		}
	}
	f.durable.Store(path, struct{}{})
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
