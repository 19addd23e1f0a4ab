package testenv

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/cmd/pli/demo"
)

// Child is the program itself, run as a process of its own.
type Child struct {
	*Env // File and Dir are the child's; no instance runs in this process
	cmd  *exec.Cmd
}

// StartChild runs `pli demo --ports auto` in dir and waits until it is ready.
func StartChild(t testing.TB, dir string, args ...string) *Child {
	t.Helper()
	return StartChildWith(t, dir, func(*exec.Cmd) {}, args...)
}

// StartChildWith is StartChild of a command that prepare has changed.
func StartChildWith(t testing.TB, dir string, prepare func(*exec.Cmd), args ...string) *Child {
	t.Helper()
	args = append([]string{"demo", "--dir", dir, "--ports", "auto"}, append(args, newStores(t, dir)...)...)
	cmd := exec.Command(Pli(t), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &Child{cmd: cmd}
	t.Cleanup(c.Kill)
	ready := make(chan error, 1)
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			if strings.HasPrefix(sc.Text(), "All of this for programs:") {
				ready <- nil
			}
		}
		ready <- fmt.Errorf("it ended before it was ready")
	}()
	select {
	case err = <-ready:
	case <-time.After(2 * time.Minute):
		err = fmt.Errorf("it was not ready after two minutes")
	}
	if err != nil {
		t.Fatalf("pli demo: %v", err)
	}
	d := &demo.Demo{Dir: dir}
	b, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err == nil {
		err = json.Unmarshal(b, &d.File)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Env = &Env{Demo: d, T: t, Clock: new(Clock)}
	return c
}

// Kill ends the process at once, as a power cut would.
func (c *Child) Kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
}

// Stop ends the process as Ctrl-C does and returns how it ended.
func (c *Child) Stop() error {
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return c.cmd.Wait()
}

// Signal sends the process a signal that ends it, and returns how it ended.
func (c *Child) Signal(s os.Signal) *os.ProcessState {
	c.T.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.T.Fatal(err)
	}
	c.cmd.Wait()
	return c.cmd.ProcessState
}

// PID returns the process's id.
func (c *Child) PID() int { return c.cmd.Process.Pid }
