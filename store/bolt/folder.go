package bolt

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

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

// refuseFastCommit returns an error if dir lies on an ext4 file system that
// uses fast commits, which have damaged files of this kind. Linux counts them
// for each device; what cannot be read is not held against the folder.
func refuseFastCommit(dir string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))))
	if err != nil {
		return nil
	}
	f, err := os.Open(filepath.Join("/proc/fs/ext4", filepath.Base(device), "fc_info"))
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		count, found := strings.CutSuffix(strings.TrimSpace(lines.Text()), " commits")
		if n, err := strconv.Atoi(count); found && err == nil && n > 0 {
			return fmt.Errorf("bolt: %s is on ext4 with fast_commit, which damages such files: switch it off (tune2fs -O ^fast_commit) or use another file system", dir)
		}
	}
	return nil
}
