// Package testenv runs a whole server in one process for stories that tests
// tell: real stores, real TLS, real ports on loopback, sample people.
package testenv

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/engines"
)

// Env is one running server with its sample people.
type Env struct {
	*demo.Demo
	T     testing.TB
	Clock *Clock

	stopped bool
}

// Clock is the server's clock: the real one, moved by what a story asks.
type Clock struct {
	mu     sync.Mutex
	offset time.Duration
}

// Now returns the server's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

// Advance moves the server's time on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// Start runs a server in a folder of the test's own. At the end of the test
// the whole store is checked.
func Start(t testing.TB, options ...func(*demo.Options)) *Env {
	t.Helper()
	clock := new(Clock)
	o := demo.Options{Dir: filepath.Join(t.TempDir(), "demo"), AutoPorts: true, NoReport: true, Now: clock.Now,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	stores(t, &o)
	for _, f := range options {
		f(&o)
	}
	d, err := demo.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{Demo: d, T: t, Clock: clock}
	t.Cleanup(e.finish)
	return e
}

// Configure changes the configuration before the server starts.
func Configure(f func(*instance.Config)) func(*demo.Options) {
	return func(o *demo.Options) { o.Configure = f }
}

// WithReport delivers the demo's first laboratory report.
func WithReport(o *demo.Options) { o.NoReport = false }

// finish checks the store and stops.
func (e *Env) finish() {
	if !e.stopped {
		e.CheckStore()
		e.Stop()
	}
}

// Stop stops the server, and fails the test if it does not stop cleanly.
func (e *Env) Stop() {
	e.T.Helper()
	e.stopped = true
	if err := e.Close(); err != nil {
		e.T.Errorf("stopping: %v", err)
	}
}

// CheckStore fails the test if `verify` finds anything.
func (e *Env) CheckStore() instance.VerifyReport {
	e.T.Helper()
	r, err := e.Verify(context.Background(), struct{}{})
	if err != nil {
		e.T.Errorf("verify: %v", err)
	}
	for _, p := range r.Problems {
		e.T.Errorf("verify: %s", p)
	}
	return r
}

// TLS returns a client's configuration that trusts the demo's authority and
// shows a certificate, if one is named (PEM files).
func (e *Env) TLS(cert, key string) *tls.Config {
	e.T.Helper()
	conf, err := demo.ClientTLS(e.File.CA, cert, key)
	if err != nil {
		e.T.Fatal(err)
	}
	return conf
}

// testWriter sends log lines to the test's own log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// Tool returns the path of a program that a story is told with. Without it the
// test is skipped on a desk and fails where CI=true.
func Tool(t testing.TB, name string) string {
	t.Helper()
	return engines.Tool(t, name)
}

// Pli builds the program once and returns its path.
func Pli(t testing.TB) string {
	t.Helper()
	path, err := buildPli()
	if err != nil {
		t.Fatalf("building pli: %v", err)
	}
	return path
}

// builtIn is the folder that buildPli has made.
var builtIn atomic.Pointer[string]

var buildPli = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pli-bin-")
	if err != nil {
		return "", err
	}
	builtIn.Store(&dir)
	path := filepath.Join(dir, "pli")
	cmd := exec.Command("go", "build", "-o", path, "pli/cmd/pli")
	cmd.Dir = engines.Root()
	out, err := cmd.CombinedOutput()
	if err != nil {
		io.WriteString(os.Stderr, string(out))
	}
	return path, err
})

// CleanUp removes what Pli has built; a package's TestMain calls it.
func CleanUp() {
	if dir := builtIn.Load(); dir != nil {
		os.RemoveAll(*dir)
	}
}

var codeLine = regexp.MustCompile(`\b(\d{6})\b`)

// Code waits for the newest one-time code in the outbox, among the files that
// are not in seen, and returns it.
func (e *Env) Code(seen map[string]bool) string {
	e.T.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for _, name := range e.Outbox() {
			if seen[name] {
				continue
			}
			b, err := os.ReadFile(filepath.Join(e.File.Outbox, name))
			if err != nil {
				continue
			}
			if m := codeLine.FindSubmatch(b); m != nil {
				return string(m[1])
			}
		}
	}
	e.T.Fatal("no one-time code came to the outbox")
	return ""
}

// Outbox lists the notices that went outside, in order of their names.
func (e *Env) Outbox() []string {
	entries, err := os.ReadDir(e.File.Outbox)
	if err != nil {
		e.T.Fatal(err)
	}
	var list []string
	for _, x := range entries {
		if strings.HasSuffix(x.Name(), ".eml") {
			list = append(list, x.Name())
		}
	}
	sort.Strings(list)
	return list
}

// Seen returns the notices there are now, for Code to leave aside.
func (e *Env) Seen() map[string]bool {
	seen := make(map[string]bool)
	for _, n := range e.Outbox() {
		seen[n] = true
	}
	return seen
}
