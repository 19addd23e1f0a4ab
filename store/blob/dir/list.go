package dir

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"pli/store/blob"
)

var _ blob.Store = (*Store)(nil)

// List walks the folders in order. Blobs that come or go meanwhile may be
// listed or not; files that are no blobs are passed over.
func (s *Store) List(ctx context.Context, after blob.ID, n int) ([]blob.Info, error) {
	var found []blob.Info
	outer, err := names(s.path)
	if err != nil {
		return nil, err
	}
	for _, a := range outer {
		if len(a) != 2 || a < prefix(after, 2) {
			continue
		}
		inner, err := names(filepath.Join(s.path, a))
		if err != nil {
			return nil, err
		}
		for _, b := range inner {
			if len(b) != 2 || a+b < prefix(after, 4) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if found, err = s.listFolder(found, a, b, after, n); err != nil || len(found) >= n {
				return found, err
			}
		}
	}
	return found, nil
}

// listFolder appends the blobs of one folder, up to n in all.
func (s *Store) listFolder(found []blob.Info, a, b string, after blob.ID, n int) ([]blob.Info, error) {
	folder := filepath.Join(s.path, a, b)
	files, err := names(folder)
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		id := blob.ID(name)
		if len(found) >= n {
			break
		}
		if !id.Valid() || name[:4] != a+b || id <= after {
			continue
		}
		info, err := os.Stat(filepath.Join(folder, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, asBlobError(err)
		}
		found = append(found, blob.Info{ID: id, Size: info.Size(), ModTime: info.ModTime()})
	}
	return found, nil
}

// names returns a folder's names in order; a folder that is not there, or a
// file, has none.
func names(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		if info, statErr := os.Stat(path); errors.Is(statErr, os.ErrNotExist) || statErr == nil && !info.IsDir() {
			return nil, nil
		}
		return nil, asBlobError(err)
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.Name()
	}
	return list, nil
}

// prefix returns id's first n digits, or as many as there are.
func prefix(id blob.ID, n int) string { return string(id[:min(n, len(id))]) }
