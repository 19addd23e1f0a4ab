// Package engines starts real PostgreSQL and S3 servers on loopback for tests.
//
// What one test process shares is started when it is first asked for and
// stopped by Main, which the package's TestMain calls. A server's program that
// is missing skips the test on a desk and fails it where CI=true.
package engines

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// Main runs the tests of a package, then stops what Shared servers they have
// started, and exits.
func Main(m *testing.M) {
	code := m.Run()
	StopAll()
	os.Exit(code)
}

var (
	mu      sync.Mutex
	stops   []func()
	folders []string
)

// keepsIn notes in which folder a shared server keeps what it is given.
func keepsIn(dir string) {
	mu.Lock()
	defer mu.Unlock()
	folders = append(folders, dir)
}

// Folders returns the folders in which the shared servers that have been
// started keep what they are given.
func Folders() []string {
	mu.Lock()
	defer mu.Unlock()
	return append([]string(nil), folders...)
}

// atEnd has StopAll call stop; the last given is called first.
func atEnd(stop func()) {
	mu.Lock()
	defer mu.Unlock()
	stops = append(stops, stop)
}

// StopAll stops the shared servers, for a TestMain that does more than Main.
func StopAll() {
	mu.Lock()
	defer mu.Unlock()
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	stops = nil
}

// Tool returns the path of a program that a test runs: one on the PATH, or in
// the project's folder bin.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join(Root(), "bin", name))
	}
	if err != nil {
		Missing(t, name)
	}
	return path
}

// Missing skips a test for want of a program, or fails it where CI=true.
func Missing(t testing.TB, name string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed: «make tools» installs it", name)
	}
	t.Skipf("%s is not installed: «make tools» installs it", name)
}

// FreePort returns a port of loopback that no other test is given.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freeServerPort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Root returns the project's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}
