package engines

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is a TCP proxy in front of a server, PostgreSQL or S3, that can be
// made to fail as networks and servers do. It begins whole.
type Fault struct {
	addr, to string

	mu      sync.Mutex
	listen  net.Listener // nil while down
	conns   map[*faultConn]struct{}
	mode    faultMode
	changed chan struct{} // closed when the mode changes
}

// faultMode is what is wrong at present.
type faultMode struct {
	kind  faultKind
	after int64 // bytes of one connection, from when the fault began
	times int   // how often it is still to strike; below zero for ever
	rate  int64 // bytes a second
}

type faultKind uint8

const (
	faultNone faultKind = iota
	faultDown
	faultHang
	faultSlow
	faultCutRequest
	faultCutResponse
	faultSlowDown
)

// NewFault starts a proxy before the server at an address. It ends with the
// test.
func NewFault(t testing.TB, to string) *Fault {
	t.Helper()
	f := &Fault{addr: freeAddr(), to: to, conns: make(map[*faultConn]struct{}), changed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.listenLocked(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Down)
	return f
}

// Addr returns where the proxy listens: host:port.
func (f *Fault) Addr() string { return f.addr }

// Heal ends whatever is wrong.
func (f *Fault) Heal() { f.set(faultMode{}) }

// Down cuts every connection and refuses new ones.
func (f *Fault) Down() { f.set(faultMode{kind: faultDown}) }

// Hang takes connections and bytes, and passes nothing on.
func (f *Fault) Hang() { f.set(faultMode{kind: faultHang}) }

// Slow passes on so many bytes a second in each direction of a connection.
func (f *Fault) Slow(rate int64) { f.set(faultMode{kind: faultSlow, rate: rate}) }

// CutRequests cuts connections (RST) on which the client has sent more than
// that many bytes; as often as times says, or always if it is negative.
func (f *Fault) CutRequests(after int64, times int) {
	f.set(faultMode{kind: faultCutRequest, after: after, times: times})
}

// CutResponses cuts connections on which the server has sent more than that
// many bytes, as CutRequests does.
func (f *Fault) CutResponses(after int64, times int) {
	f.set(faultMode{kind: faultCutResponse, after: after, times: times})
}

// SlowDown answers HTTP requests with status 503 and S3's code SlowDown; as
// often as times says, or always if it is negative. Open connections are cut.
func (f *Fault) SlowDown(times int) { f.set(faultMode{kind: faultSlowDown, times: times}) }

// Struck reports whether a fault that was to strike a number of times has done
// so.
func (f *Fault) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mode.times == 0
}

func (f *Fault) set(mode faultMode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = mode
	close(f.changed)
	f.changed = make(chan struct{})
	for c := range f.conns {
		c.passed = [2]int64{}
		if mode.kind == faultDown || mode.kind == faultSlowDown {
			c.cut()
		}
	}
	switch {
	case mode.kind == faultDown && f.listen != nil:
		f.listen.Close()
		f.listen = nil
	case mode.kind != faultDown && f.listen == nil:
		if err := f.listenLocked(); err != nil {
			panic(err)
		}
	}
}

func (f *Fault) listenLocked() (err error) {
	if f.listen, err = net.Listen("tcp", f.addr); err != nil {
		return fmt.Errorf("engines: the proxy cannot listen: %w", err)
	}
	go f.accept(f.listen)
	return nil
}

func (f *Fault) accept(listen net.Listener) {
	for {
		client, err := listen.Accept()
		if err != nil {
			return
		}
		go f.serve(client.(*net.TCPConn))
	}
}

// strike reports whether a fault of that kind is to strike now, and counts it.
func (f *Fault) strike(kind faultKind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mode.kind != kind || f.mode.times == 0 {
		return false
	}
	f.mode.times--
	return true
}

func (f *Fault) serve(client *net.TCPConn) {
	if f.strike(faultSlowDown) {
		answerSlowDown(client)
		return
	}
	conn, err := net.Dial("tcp", f.to)
	if err != nil {
		reset(client)
		return
	}
	c := &faultConn{fault: f, ends: [2]*net.TCPConn{client, conn.(*net.TCPConn)}}
	if !f.add(c) {
		c.cut()
		return
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pump(0) })
	pumps.Go(func() { c.pump(1) })
	pumps.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	client.Close()
	conn.Close()
}

func (f *Fault) add(c *faultConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mode.kind == faultDown {
		return false
	}
	f.conns[c] = struct{}{}
	return true
}

// faultConn is one connection through the proxy. Direction 0 goes from the
// client to the server, 1 back.
type faultConn struct {
	fault  *Fault
	ends   [2]*net.TCPConn // client, server
	passed [2]int64        // bytes each way since the mode changed; of fault.mu
}

// cut ends both sides as a broken network does.
func (c *faultConn) cut() {
	reset(c.ends[0])
	reset(c.ends[1])
}

func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// pump passes one direction on, until its end or a cut.
func (c *faultConn) pump(direction int) {
	from, to := c.ends[direction], c.ends[1-direction]
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			pass, cut := c.admit(direction, int64(n))
			if _, err := to.Write(buf[:pass]); err != nil || cut {
				c.cut()
				return
			}
		}
		if err == io.EOF {
			to.CloseWrite()
			return
		}
		if err != nil {
			c.cut()
			return
		}
	}
}

// admit waits until n bytes may pass, and says how many of them do, and
// whether the connection is cut then.
func (c *faultConn) admit(direction int, n int64) (pass int64, cut bool) {
	f := c.fault
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.mode.kind == faultHang {
		f.wait(nil)
	}
	if f.mode.kind == faultSlow {
		f.wait(time.After(time.Duration(n) * time.Second / time.Duration(f.mode.rate)))
	}
	before := c.passed[direction]
	c.passed[direction] += n
	cuts := f.mode.kind == faultCutRequest && direction == 0 || f.mode.kind == faultCutResponse && direction == 1
	if cuts && f.mode.times != 0 && before+n > f.mode.after {
		f.mode.times--
		return max(0, f.mode.after-before), true
	}
	return n, false
}

// wait waits, without f.mu, for a time or a change of mode.
func (f *Fault) wait(until <-chan time.Time) {
	changed := f.changed
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case <-changed:
	case <-until:
	}
}

// answerSlowDown answers one HTTP request as an S3 server does that has too
// much to do, and reads what the client was still sending, for a while.
func answerSlowDown(client *net.TCPConn) {
	defer client.Close()
	client.SetDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(client)
	for line := "-"; strings.TrimSpace(line) != ""; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
	}
	const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`
	fmt.Fprintf(client, "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	client.CloseWrite()
	io.Copy(io.Discard, in)
}
