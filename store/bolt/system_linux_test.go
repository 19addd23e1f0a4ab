package bolt_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pli/internal/engines"
	"pli/store/bolt"
)

// ext4 mounts a new ext4 file system in a file, made with the given features.
// Where that is not allowed, as in most containers, the test is skipped:
// TestFastCommitCounts stays.
func ext4(t *testing.T, features string) string {
	t.Helper()
	dir := t.TempDir()
	image, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(engines.Tool(t, "mkfs.ext4"), "-q", "-O", features, image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, mounted).CombinedOutput(); err != nil {
		t.Skipf("cannot mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mounted).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return mounted
}

// TestFastCommitIsRefused: on a real file system that has the feature and has
// made no fast commit yet; and the message says what to do.
func TestFastCommitIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(ext4(t, "fast_commit"), "store")
	for range 2 { // the second time there are counts
		db, err := bolt.Open(bolt.Config{Dir: dir, MinFree: 1})
		if err == nil {
			db.Close()
			t.Fatal("opened")
		}
		if !strings.Contains(err.Error(), "fast_commit") || !strings.Contains(err.Error(), "tune2fs -O ^fast_commit /dev/loop") {
			t.Errorf("the message: %v", err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left in the folder: %v", left)
	}
	db, err := bolt.Open(bolt.Config{Dir: ext4(t, "^fast_commit"), MinFree: 1})
	if err != nil {
		t.Fatalf("without the feature: %v", err)
	}
	db.Close()
}

// TestFastCommitCounts reads what Linux 6.18 has written.
func TestFastCommitCounts(t *testing.T) {
	t.Parallel()
	const counts = "fc stats:\n%C commits\n%I ineligible\n0 numblks\n0us avg_commit_time\nIneligible reasons:\n\"Resize\":\t0\n"
	for _, c := range []struct {
		commits, ineligible string
		want                bool
	}{{"0", "0", false}, {"3", "0", true}, {"0", "1", true}, {"12", "4", true}} {
		info := strings.NewReplacer("%C", c.commits, "%I", c.ineligible).Replace(counts)
		if got := bolt.FastCommits(info); got != c.want {
			t.Errorf("%s commits, %s ineligible: %v", c.commits, c.ineligible, got)
		}
	}
	if bolt.FastCommits("") {
		t.Error("nothing counts")
	}
}
