package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bbolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// volume is a bbolt file, open. A shard goes over to another when its file has
// been compacted; those who read the old one finish there.
type volume struct {
	*bbolt.DB
	raw     *os.File     // the same file; bbolt closes it
	page    int64        // bytes of a page
	views   atomic.Int64 // who reads
	retired atomic.Bool  // the shard has gone over to another
	once    sync.Once
}

var errLocked = errors.New("it is locked: another pli runs on this folder")

// openVolume opens a file, making it if there is none. It waits for the lock
// as long as cfg says.
func openVolume(cfg Config, path string) (*volume, error) {
	for deadline := time.Now().Add(cfg.LockWait); ; {
		if err := verify(cfg, path, deadline); err != nil {
			return nil, fmt.Errorf("bolt: %s: %w", path, err)
		}
		v := &volume{}
		var err error
		v.DB, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:         max(time.Until(deadline), 1),
			NoFreelistSync:  true,
			FreelistType:    bbolt.FreelistMapType,
			InitialMmapSize: int(cfg.MapBytes),
			MaxSize:         int(cfg.FileBytes),
			ReadOnly:        cfg.ReadOnly,
			OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
				v.raw, err = os.OpenFile(name, flag, mode)
				return v.raw, err
			},
		})
		if errors.Is(err, berrors.ErrTimeout) {
			err = errLocked
		}
		if err != nil {
			return nil, fmt.Errorf("bolt: %s: %w", path, err)
		}
		v.AllocSize, v.page = allocBytes, int64(v.Info().PageSize)
		if v.lies(path) {
			return v, nil
		}
		// While this waited for the lock, its holder has put a compacted file
		// in the place.
		err = v.Close()
		if err == nil && time.Now().After(deadline) {
			err = errLocked
		}
		if err != nil {
			return nil, fmt.Errorf("bolt: %s: %w", path, err)
		}
	}
}

// verify walks the pages of a file that is there, and returns what is wrong
// with them: bbolt trusts them, and would end the process on a damaged one.
func verify(cfg Config, path string, deadline time.Time) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) && !cfg.ReadOnly {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	for lockShared(f) != nil {
		if time.Now().After(deadline) {
			return errLocked
		}
		time.Sleep(10 * time.Millisecond)
	}
	info, err := f.Stat()
	if err != nil || cfg.ReadOnly || info.Size() == 0 {
		return err
	}
	return verifyPages(f, info.Size(), filepath.Base(path))
}

// verifyPages returns the first fault of a file's pages.
func verifyPages(f *os.File, size int64, name string) error {
	metas, pageSize := findMetas(f, size, parseMeta)
	if len(metas) == 0 {
		return &Fault{File: name, What: "no meta page is whole: " + whatToDo}
	}
	c := newChecker(context.Background(), name, f, pageSize)
	c.walk.file.end = min(metas[0].end, uint64(size/int64(pageSize)))
	if err := c.pages(metas[0].root); err != nil {
		return err
	}
	if len(c.faults) > 0 {
		c.faults[0].What += ": " + whatToDo
		return c.faults[0]
	}
	return nil
}

const whatToDo = "nothing has been changed; «pli salvage» brings back what is there"

// lies reports whether the file at path is this one.
func (v *volume) lies(path string) bool {
	mine, err := v.raw.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// acquire returns the shard's file, which stays open until it is released.
func (s *shard) acquire() *volume {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.file.views.Add(1)
	return s.file
}

func (v *volume) release() {
	if v.views.Add(-1) == 0 && v.retired.Load() {
		go v.shut() // the reader is not to wait for that
	}
}

// retire closes the file once nobody reads it. Nobody begins to any more.
func (v *volume) retire() {
	v.retired.Store(true)
	if v.views.Load() == 0 {
		v.shut()
	}
}

// A file that goes is cut in pieces with pauses between: given back at once,
// hundreds of megabytes hold up everybody who syncs.
const (
	cutBytes = 16 << 20
	cutPause = 5 * time.Millisecond
)

// shut closes a file that lies nowhere any more: what fails there harms nobody.
func (v *volume) shut() {
	v.once.Do(func() {
		f, err := again(v.raw)
		v.Close()
		if err != nil {
			return
		}
		defer f.Close()
		info, err := f.Stat()
		for size := int64(0); err == nil && size < info.Size(); size += cutBytes {
			err = f.Truncate(info.Size() - size)
			time.Sleep(cutPause)
		}
	})
}
