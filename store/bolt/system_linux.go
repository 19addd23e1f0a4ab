package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// diskFull reports whether a file's file system has less room than is to be
// left, in bytes.
func diskFull(path string, left int64) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false
	}
	return int64(st.Bavail)*st.Bsize < left
}

// punchHole gives the space of a part of a file back, where that is possible.
func punchHole(f *os.File, from, to int64) {
	if from < to {
		_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	}
}

// refuseFastCommit returns an error if dir lies on an ext4 file system that
// uses fast commits, which have damaged files of this kind. Linux counts them
// for each device, and counts nothing where they are off; whether they are on
// it tells nobody without rights on the device. So a file is synced to see
// whether that counts. What cannot be read is not held against the folder.
func refuseFastCommit(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))))
	if err != nil {
		return nil
	}
	info := filepath.Join("/proc/fs/ext4", filepath.Base(device), "fc_info")
	text, err := os.ReadFile(info)
	if err == nil && !fastCommits(string(text)) {
		syncProbe(dir)
		text, err = os.ReadFile(info)
	}
	if err == nil && fastCommits(string(text)) {
		return fmt.Errorf("bolt: %s is on ext4 with fast_commit, which can damage a store when the power fails: with the file system unmounted, switch it off (tune2fs -O ^fast_commit /dev/%s), or use another file system", dir, filepath.Base(device))
	}
	return nil
}

// fastCommits reports whether an fc_info of ext4 counts anything: fast
// commits, or what was not fit for one.
func fastCommits(info string) bool {
	for line := range strings.Lines(info) {
		var n int
		var what string
		if _, err := fmt.Sscan(line, &n, &what); err == nil && n > 0 && (what == "commits" || what == "ineligible") {
			return true
		}
	}
	return false
}

// syncProbe makes, syncs and removes a file, as far as it can.
func syncProbe(dir string) {
	f, err := os.CreateTemp(dir, ".sync-*")
	if err != nil {
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	f.WriteString("x")
	f.Sync()
}

// lockShared takes the lock that a running server excludes, for as long as f
// is open.
func lockShared(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	return nil // a file system without locks holds no running server
}

// again returns another handle of an open file.
func again(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
