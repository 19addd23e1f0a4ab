package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// makeFolder makes a folder, and those above it that are missing, and returns
// when their names are durable.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir {
		if err := makeFolder(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	existed := errors.Is(err, os.ErrExist)
	if err != nil && !existed {
		return fmt.Errorf("bolt: %w", err)
	}
	err = syncFolder(filepath.Dir(dir))
	if existed && errors.Is(err, os.ErrPermission) {
		return nil // not ours to sync, and not made by us
	}
	return err
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	return nil
}
