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
	struck  chan struct{} // closed when the mode strikes for the first time
	once    *sync.Once    // of struck
}

// faultMode is what is wrong at present.
type faultMode struct {
	kind   faultKind
	after  int64  // bytes of one connection, from when the fault began
	times  int    // how often it is still to strike; below zero for ever
	rate   int64  // bytes a second
	answer string // to HTTP requests
}

type faultKind uint8

const (
	faultNone faultKind = iota
	faultDown
	faultHang
	faultHangRequest
	faultSlow
	faultCutRequest
	faultCutResponse
	faultAnswer
)

// NewFault starts a proxy before the server at an address. It ends with the
// test.
func NewFault(t testing.TB, to string) *Fault {
	t.Helper()
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	f := &Fault{addr: addr, to: to, conns: make(map[*faultConn]struct{}), changed: make(chan struct{})}
	f.Heal()
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

// HangRequests passes on that many bytes of what a client sends on one
// connection, and holds the rest back.
func (f *Fault) HangRequests(after int64) {
	f.set(faultMode{kind: faultHangRequest, after: after, times: -1})
}

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

// SlowDown answers HTTP requests as an S3 server does that has too much to do;
// as often as times says, or always if it is negative. Open connections are cut.
func (f *Fault) SlowDown(times int) { f.Answer(503, "SlowDown", times) }

// Answer answers HTTP requests with a status and an S3 error code, as SlowDown
// does.
func (f *Fault) Answer(status int, code string, times int) {
	body := `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>The proxy says so.</Message></Error>`
	answer := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, code, len(body), body)
	f.set(faultMode{kind: faultAnswer, times: times, answer: answer})
}

// Struck returns a channel that is closed when the fault that was set last
// strikes for the first time.
func (f *Fault) Struck() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck
}

func (f *Fault) set(mode faultMode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = mode
	close(f.changed)
	f.changed, f.struck, f.once = make(chan struct{}), make(chan struct{}), new(sync.Once)
	for c := range f.conns {
		c.passed = [2]int64{}
		if mode.kind == faultDown || mode.kind == faultAnswer {
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

// strikeLocked counts that the fault strikes once more.
func (f *Fault) strikeLocked() {
	f.mode.times--
	struck := f.struck
	f.once.Do(func() { close(struck) })
}

// answer returns what is to be answered in the server's place, "" if nothing.
func (f *Fault) answer() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mode.kind != faultAnswer || f.mode.times == 0 {
		return ""
	}
	f.strikeLocked()
	return f.mode.answer
}

func (f *Fault) serve(client *net.TCPConn) {
	if answer := f.answer(); answer != "" {
		answerRequest(client, answer)
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
	before := c.passed[direction]
	for f.mode.kind == faultHang || f.mode.kind == faultHangRequest && direction == 0 && before+n > f.mode.after {
		f.strikeLocked()
		f.wait(nil)
		before = c.passed[direction]
	}
	if f.mode.kind == faultSlow {
		f.strikeLocked()
		f.wait(time.After(time.Duration(n) * time.Second / time.Duration(f.mode.rate)))
	}
	c.passed[direction] += n
	cuts := f.mode.kind == faultCutRequest && direction == 0 || f.mode.kind == faultCutResponse && direction == 1
	if cuts && f.mode.times != 0 && before+n > f.mode.after {
		f.strikeLocked()
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

// answerRequest answers one HTTP request, and reads what the client was still
// sending, for a while.
func answerRequest(client *net.TCPConn, answer string) {
	defer client.Close()
	client.SetDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(client)
	for line := "-"; strings.TrimSpace(line) != ""; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
	}
	io.WriteString(client, answer)
	client.CloseWrite()
	io.Copy(io.Discard, in)
}
