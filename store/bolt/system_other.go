//go:build !linux

package bolt

import (
	"errors"
	"os"
)

// Elsewhere than on Linux, a full disk is found by writing to it, and nothing
// is known of the file system.

func diskFull(path string, left int64) bool { return false }

func punchHole(f *os.File, from, to int64) {}

func refuseFastCommit(dir string) error { return nil }

func lockShared(f *os.File) error { return nil }

func again(f *os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
