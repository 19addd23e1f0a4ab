package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"
)

const (
	serverPatience = 60 * time.Second      // for a server to start, stop or answer
	serverPoll     = 10 * time.Millisecond // between two looks
	dataFolder     = "data"
)

// Cluster is a PostgreSQL server: a data folder and, while it runs, its
// processes, listening on one port of loopback. They do not outlive the test
// process.
type Cluster struct {
	bin, dir string // dir: the parent of the data folder
	port     int    // kept from one start to the next
	settings []string

	mu    sync.Mutex
	pid   int           // of the first process, 0 while stopped
	ended chan struct{} // closed when that has ended
}

// Dir returns the server's data folder.
func (c *Cluster) Dir() string { return filepath.Join(c.dir, dataFolder) }

// Start starts the server and returns when it answers.
func (c *Cluster) Start(t testing.TB) {
	t.Helper()
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
}

// Stop has the server end its sessions and stop in good order.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	if err := c.stop(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// Restart stops the server in good order and starts it again.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Stop(t)
	c.Start(t)
}

// Kill ends all of the server's processes at once, as a crash would: none of
// them gets to do anything more.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	if err := c.kill(); err != nil {
		t.Fatal(err)
	}
}

// LimitFiles keeps sessions that begin from now on from making any file longer
// than n bytes; 0 lifts the limit. PostgreSQL takes a page of which only a
// part can be written for a full disk, so n is not a multiple of its pages.
func (c *Cluster) LimitFiles(t testing.TB, n uint64) {
	t.Helper()
	limit := "unlimited"
	if n > 0 {
		limit = strconv.FormatUint(n, 10)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// As the server's own user: not every root may limit another's processes.
	if err := c.runAsIs("prlimit", "--pid", strconv.Itoa(c.pid), "--fsize="+limit+":"); err != nil {
		t.Fatal(err)
	}
}

// startSomewhere starts the server on a port that nobody uses.
func (c *Cluster) startSomewhere() (err error) {
	for range 5 {
		if c.port, err = freeServerPort(); err != nil {
			return err
		}
		if err = c.start(); err == nil {
			return nil
		}
	}
	return err
}

func (c *Cluster) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid != 0 {
		return errors.New("engines: the server runs already")
	}
	args := []string{"-D", c.Dir(), "-p", strconv.Itoa(c.port)}
	for _, s := range append([]string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"}, c.settings...) {
		args = append(args, "-c", s)
	}
	cmd, err := c.command(filepath.Join(c.bin, "postgres"), args...)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	// PostgreSQL ends all of its processes on SIGQUIT.
	if c.ended, err = startBound(cmd, syscall.SIGQUIT); err != nil {
		return err
	}
	c.pid = cmd.Process.Pid
	if err := c.ready(); err != nil {
		cmd.Process.Kill()
		<-c.ended
		c.pid = 0
		return err
	}
	return nil
}

// ready waits until the server answers.
func (c *Cluster) ready() error {
	for deadline := time.Now().Add(serverPatience); ; time.Sleep(serverPoll) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, c.URL())
		if err == nil {
			conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return fmt.Errorf("engines: PostgreSQL has ended: %s", c.lastWords())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("engines: PostgreSQL does not answer: %w", err)
		}
	}
}

// lastWords returns the end of the server's log.
func (c *Cluster) lastWords() string {
	b, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	return string(b[max(0, len(b)-1500):])
}

// stop signals the first process and waits for its end.
func (c *Cluster) stop(signal syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == 0 {
		return nil
	}
	syscall.Kill(c.pid, signal)
	select {
	case <-c.ended:
		c.pid = 0
		return nil
	case <-time.After(serverPatience):
		return errors.New("engines: PostgreSQL does not stop")
	}
}

func (c *Cluster) kill() error {
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	if pid == 0 {
		return nil
	}
	syscall.Kill(pid, syscall.SIGSTOP) // it starts no others
	children := childrenOf(pid)
	for _, child := range children {
		syscall.Kill(child, syscall.SIGKILL)
	}
	if err := c.stop(syscall.SIGKILL); err != nil {
		return err
	}
	for deadline := time.Now().Add(serverPatience); ; time.Sleep(serverPoll) {
		alive := 0
		for _, child := range children {
			if _, state := processStat(child); state != "" && state != "Z" {
				alive++
			}
		}
		if alive == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("engines: %d processes of PostgreSQL outlive a SIGKILL", alive)
		}
	}
}

// childrenOf returns the processes that pid has started.
func childrenOf(pid int) (children []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			if parent, _ := processStat(id); parent == pid {
				children = append(children, id)
			}
		}
	}
	return children
}

// processStat returns a process's parent and state (one letter, proc(5)),
// which is empty if there is no such process.
func processStat(pid int) (parent int, state string) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may hold anything but this
	fmt.Sscan(rest, &state, &parent)
	return parent, state
}

// remove stops the server and removes its folder.
func (c *Cluster) remove() {
	c.stop(syscall.SIGQUIT)
	os.RemoveAll(c.dir)
}

// run runs one of PostgreSQL's programs to its end.
func (c *Cluster) run(program string, args ...string) error {
	return c.runAsIs(filepath.Join(c.bin, program), args...)
}

func (c *Cluster) runAsIs(program string, args ...string) error {
	cmd, err := c.command(program, args...)
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("engines: %s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

// command returns a command that runs as the user who owns the folders.
func (c *Cluster) command(program string, args ...string) (*exec.Cmd, error) {
	who, err := postgresUser()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Setpgid: true}
	return cmd, nil
}

// postgresUser returns the user as whom PostgreSQL runs: it refuses root, for
// whom it is «postgres»; nil says ourselves.
var postgresUser = sync.OnceValues(func() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("engines: PostgreSQL refuses to run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err, err2)
})

// newPostgresFolder makes a folder for a server, in which it keeps a lock for
// as long as this process lives, and removes those of processes that were
// killed.
func newPostgresFolder() (string, error) {
	sweepPostgresFolders()
	dir, err := os.MkdirTemp("", "pli-postgres-")
	if err != nil {
		return "", err
	}
	who, err := postgresUser()
	if err == nil && who != nil {
		err = os.Chown(dir, int(who.Uid), int(who.Gid))
	}
	if err == nil {
		err = lockFolder(dir)
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

const lockName = "lock"

var heldLocks []*os.File // never closed: the system does when the process ends
var heldLocksMu sync.Mutex

func lockFolder(dir string) error {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	heldLocksMu.Lock()
	heldLocks = append(heldLocks, f)
	heldLocksMu.Unlock()
	return os.Rename(path+".new", path) // nobody sees it unlocked
}

// sweepPostgresFolders removes the folders whose lock nobody holds.
var sweepPostgresFolders = sync.OnceFunc(func() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), "pli-postgres-*", lockName))
	for _, path := range found {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(filepath.Dir(path))
		}
		f.Close()
	}
})
