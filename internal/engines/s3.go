package engines

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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

// Gateway is an S3 server: versity's gateway over a folder, in which a bucket
// is a folder and an object a file.
type Gateway struct {
	program, dir, addr string

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
		shared.gateway = newGateway(program, dir)
		shared.err = shared.gateway.start()
		atEnd(shared.gateway.Kill)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.gateway.URL(t)
}

// NewGateway starts a server of the test's own, stopped at its end.
func NewGateway(t testing.TB) *Gateway {
	t.Helper()
	g := newGateway(Tool(t, "versitygw"), t.TempDir())
	t.Cleanup(g.Kill)
	g.Start(t)
	return g
}

func newGateway(program, dir string) *Gateway {
	return &Gateway{program: program, dir: dir, addr: freeAddr()}
}

// Addr returns where the server listens: host:port.
func (g *Gateway) Addr() string { return g.addr }

// Dir returns the folder that holds the buckets' folders.
func (g *Gateway) Dir() string { return g.dir }

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
	cmd := exec.Command(g.program, "--quiet", "--keep-alive", "--port", g.addr, "posix", g.dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+S3Access, "ROOT_SECRET_ACCESS_KEY="+S3Secret)
	g.output.Reset()
	cmd.Stdout, cmd.Stderr = &g.output, &g.output
	ended, err := startTied(cmd)
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

// startTied starts a process that the kernel kills if this one ends, however
// that may be. The kernel watches the thread that started it, so one thread
// waits until the process has ended, and closes ended.
func startTied(cmd *exec.Cmd) (ended chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(ended)
		}
	}()
	return ended, <-started
}

// freeAddr returns a loopback address whose port is free, and is none of those
// that the kernel gives away by itself: it stays free while a server restarts.
func freeAddr() string {
	for {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(10_000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
}
