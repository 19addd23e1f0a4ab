package backup

import (
	"errors"
	"fmt"
	"os"
)

// spoolMemory is how many bytes a spool holds in memory; what is more lies in a
// file until it is taken.
const spoolMemory = 8 << 20

// spool holds bytes until they are taken: an owner's records are read in one
// view of the store, which must not stay open while they travel.
type spool struct {
	folder string // of the file
	memory []byte
	file   *os.File // has no name: nothing is left when the process is killed
	size   int64
}

func (s *spool) write(p []byte) error {
	if s.file == nil && len(s.memory)+len(p) > spoolMemory {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if s.file == nil {
		s.memory = append(s.memory, p...)
	} else if _, err := s.file.WriteAt(p, s.size); err != nil {
		return fmt.Errorf("what waits to be copied: %w", err)
	}
	s.size += int64(len(p))
	return nil
}

// spill moves what is in memory to a file.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.folder, "backup-spool-")
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := f.WriteAt(s.memory, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.memory = f, nil
	return nil
}

// read returns a copy of n bytes.
func (s *spool) read(at, n int64) ([]byte, error) {
	p := make([]byte, n)
	if s.file == nil {
		copy(p, s.memory[at:at+n])
		return p, nil
	}
	_, err := s.file.ReadAt(p, at)
	return p, err
}

// truncate forgets what lies from size on.
func (s *spool) truncate(size int64) error {
	s.size = size
	if s.file == nil {
		s.memory = s.memory[:size]
		return nil
	}
	if size == 0 {
		f := s.file
		s.file = nil
		return f.Close()
	}
	return nil
}

// drop forgets the first n bytes.
func (s *spool) drop(n int64) error {
	if n == 0 {
		return nil
	}
	rest, err := s.read(n, s.size-n)
	if err != nil {
		return err
	}
	if err := s.truncate(0); err != nil {
		return err
	}
	return s.write(rest)
}
