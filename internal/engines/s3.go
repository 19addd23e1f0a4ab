package engines

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The credentials of every Gateway. The secret needs escaping in a URL.
const (
	S3Access = "pli-tests"
	S3Secret = "never/in+a=log@all"
)

// requestLog is a file beside the buckets' folders.
const requestLog = ".requests"

// Gateway is an S3 server: versity's gateway over a folder, in which a bucket
// is a folder and an object a file.
type Gateway struct {
	program, dir, addr string
	options            []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	output bytes.Buffer  // of the process that runs, once it has ended
}

var shared struct {
	once    sync.Once
	gateway *Gateway
	err     error
}

// S3 returns the URL of a fresh bucket on the server that the test process
// shares, in the form that package s3 reads.
func S3(t testing.TB) string {
	t.Helper()
	program := Tool(t, "versitygw")
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "pli-s3-")
		if err != nil {
			shared.err = err
			return
		}
		keepsIn(dir)
		atEnd(func() { os.RemoveAll(dir) })
		if shared.gateway, shared.err = newGateway(program, dir); shared.err == nil {
			shared.err = shared.gateway.start()
			atEnd(shared.gateway.Kill)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.gateway.URL(t)
}

// NewGateway starts a server of the test's own, stopped at its end, with
// further options of the program.
func NewGateway(t testing.TB, options ...string) *Gateway {
	t.Helper()
	dir := t.TempDir()
	g, err := newGateway(Tool(t, "versitygw"), dir, append(options, "--access-log", filepath.Join(dir, requestLog))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Kill)
	g.Start(t)
	return g
}

func newGateway(program, dir string, options ...string) (*Gateway, error) {
	addr, err := freeAddr()
	return &Gateway{program: program, dir: dir, addr: addr, options: options}, err
}

// Addr returns where the server listens: host:port.
func (g *Gateway) Addr() string { return g.addr }

// Dir returns the folder that holds the buckets' folders.
func (g *Gateway) Dir() string { return g.dir }

// Requests returns the operations that a server of the test's own has answered,
// in order, as S3 calls them: GetObject.
func (g *Gateway) Requests(t testing.TB) (names []string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(g.dir, requestLog))
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(string(log)) {
		if name, ok := strings.CutPrefix(word, "s3_"); ok {
			names = append(names, name)
		}
	}
	return names
}

// URL makes a bucket and returns its URL.
func (g *Gateway) URL(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp(g.dir, "bucket-")
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "s3", User: url.UserPassword(S3Access, S3Secret), Host: g.addr, Path: filepath.Base(path), RawQuery: "tls=off"}
	return u.String()
}

// Through returns an S3 URL whose server is reached at another address, as
// that of a Fault.
func Through(rawURL, addr string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic("engines: an S3 URL of this package does not parse")
	}
	u.Host = addr
	return u.String()
}

// Start starts the server where it was before, and returns when it answers.
func (g *Gateway) Start(t testing.TB) {
	t.Helper()
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
}

func (g *Gateway) start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	options := append([]string{"--quiet", "--keep-alive", "--port", g.addr}, g.options...)
	cmd := exec.Command(g.program, append(options, "posix", g.dir)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+S3Access, "ROOT_SECRET_ACCESS_KEY="+S3Secret)
	g.output.Reset()
	cmd.Stdout, cmd.Stderr = &g.output, &g.output
	ended, err := startBound(cmd, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("engines: %w", err)
	}
	g.cmd, g.ended = cmd, ended
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		if conn, err := net.Dial("tcp", g.addr); err == nil {
			return conn.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("engines: the S3 server has ended by itself: %s", g.output.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("engines: the S3 server at %s does not answer", g.addr)
}

// Stop ends the server in its own way.
func (g *Gateway) Stop() { g.end(syscall.SIGTERM) }

// Kill ends the server at once.
func (g *Gateway) Kill() { g.end(syscall.SIGKILL) }

func (g *Gateway) end(signal syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd == nil {
		return
	}
	g.cmd.Process.Signal(signal)
	select {
	case <-g.ended:
	case <-time.After(20 * time.Second):
		g.cmd.Process.Kill()
		<-g.ended
	}
	g.cmd = nil
}
