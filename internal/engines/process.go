package engines

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// startBound starts a command that gets a signal when this process ends,
// however that may be, and closes ended when it has ended itself. Linux sends
// that signal when the thread ends which has started the command: so that
// thread does nothing else.
func startBound(cmd *exec.Cmd, signal syscall.Signal) (ended chan struct{}, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
	ended = make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(ended)
		}
	}()
	return ended, <-started
}

// claims are held as long as this process lives: each keeps other test
// processes of the project from one port.
var claims struct {
	sync.Mutex
	held []net.Listener
}

// freeServerPort returns a port on which nobody listens, below those that the
// system gives to outgoing connections, and which no other test is given: so it
// is free when a server starts on it, and again after a restart.
func freeServerPort() (int, error) {
	claims.Lock()
	defer claims.Unlock()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		claim, err := net.Listen("unix", fmt.Sprintf("@pli-test-port-%d", port))
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			claim.Close()
			continue
		}
		claims.held = append(claims.held, claim)
		return port, l.Close()
	}
	return 0, errors.New("engines: no free port between 20000 and 32000")
}

// freeAddr is freeServerPort for who needs an address.
func freeAddr() (string, error) {
	port, err := freeServerPort()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}
