package imapd_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/mailbox/imapd"
)

// heapAndStacks returns the bytes that the process has in use.
func heapAndStacks() uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// pss returns the process's proportional set size, in bytes.
func pss(h *house) uint64 {
	h.t.Helper()
	for line := range strings.Lines(string(get(os.ReadFile("/proc/self/smaps_rollup"))(h))) {
		var kb uint64
		if _, err := fmt.Sscanf(line, "Pss: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	h.t.Fatal("no Pss")
	return 0
}

// idlers opens n idle connections from another process, so that only the
// server's side weighs here, and returns how to end them.
func idlers(b *testing.B, h *house, n int) (stop func()) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestIdlersProcess$")
	cmd.Env = append(os.Environ(), "IDLERS="+fmt.Sprintf("%d %s %s %s", n, h.imaps, h.user, h.pass))
	out := get(cmd.StdoutPipe())(h)
	in := get(cmd.StdinPipe())(h)
	h.must(cmd.Start())
	buf := make([]byte, 64)
	k := get(out.Read(buf))(h)
	if !strings.HasPrefix(string(buf[:k]), "idling") {
		b.Fatalf("idlers: %q", buf[:k])
	}
	return func() { in.Close(); cmd.Wait() }
}

// TestIdlersProcess is not a test: it is the other process of idlers.
func TestIdlersProcess(t *testing.T) {
	var n int
	var addr, user, pass string
	if _, err := fmt.Sscan(os.Getenv("IDLERS"), &n, &addr, &user, &pass); err != nil {
		t.Skip("run by the benchmark")
	}
	all := make(chan *wire, n)
	slots := make(chan struct{}, 16)
	for range n {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				panic(err)
			}
			w := newWire(t, c)
			w.line()
			w.ok("LOGIN %s %s", user, pass)
			w.ok("SELECT INBOX")
			w.send("x IDLE\r\n")
			w.line()
			c.SetDeadline(time.Time{})
			all <- w
		}()
	}
	var keep []*wire
	for range n {
		keep = append(keep, <-all)
	}
	fmt.Println("idling")
	os.Stdin.Read(make([]byte, 1))
	runtime.KeepAlive(keep)
}

// BenchmarkIdleConnections weighs 1 000 idle connections over TLS.
func BenchmarkIdleConnections(b *testing.B) {
	const n = 1000
	h := newHouse(b)
	h.inbox().ok("LOGOUT")
	for b.Loop() {
		before, resident := heapAndStacks(), pss(h)
		stop := idlers(b, h, n)
		time.Sleep(2 * time.Second)
		b.ReportMetric(float64(pss(h)-resident)/n, "PSS-B/conn") // as it is, garbage included
		b.ReportMetric(float64(heapAndStacks()-before)/n, "B/conn")
		stop()
		for h.srv.Stats().Connections > 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// BenchmarkIdleNotification times from before a delivery's commit to the EXISTS
// that an idle client reads: one operation is the whole of it.
func BenchmarkIdleNotification(b *testing.B) {
	h := newHouse(b)
	w := h.inbox()
	w.send("x IDLE\r\n")
	w.line()
	w.conn.SetDeadline(time.Time{})
	var took []time.Duration
	for b.Loop() {
		done := make(chan time.Time)
		go func() {
			w.line()
			done <- time.Now()
		}()
		h.deliver(letter("ding", "dong"))
		committed := time.Now()
		took = append(took, (<-done).Sub(committed))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-after-commit/p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-after-commit/p99")
}

// BenchmarkFetchBodies reads 10 kB messages whole, one command each.
func BenchmarkFetchBodies(b *testing.B) {
	h := newHouse(b)
	for i := range 50 {
		h.deliver(letter(fmt.Sprint(i), strings.Repeat("0123456789abcdef\r\n", 550)))
	}
	w := h.inbox()
	w.conn.SetDeadline(time.Time{})
	for i := 0; b.Loop(); i++ {
		w.ok("FETCH %d BODY.PEEK[]", i%50+1)
	}
}

// BenchmarkFetchList lists 1 000 messages by one command, as a client does when
// it opens a mailbox.
func BenchmarkFetchList(b *testing.B) {
	const n = 1000
	h := newHouse(b)
	w := h.login()
	w.conn.SetDeadline(time.Time{})
	for i := range n {
		w.append("INBOX", letter(fmt.Sprint(i), "x"))
	}
	w.ok("SELECT INBOX")
	for b.Loop() {
		w.ok("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/message")
}

// BenchmarkSignIn opens a connection, signs in and leaves.
func BenchmarkSignIn(b *testing.B) {
	h := newHouse(b)
	for b.Loop() {
		w := h.login()
		w.conn.Close()
	}
}

// pipeListener accepts the ends of pipes.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// FuzzSession feeds bytes to a signed-in session. Whatever they are, the
// session ends, the server lives, and the mail stays whole (see serve).
func FuzzSession(f *testing.F) {
	for _, seed := range []string{
		"a SELECT INBOX\r\nb FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[]<0.10> BODY[1.MIME])\r\n",
		"a SELECT INBOX\r\nb UID SEARCH RETURN (SAVE MIN) OR NOT (SEEN) SMALLER 5 LARGER 3 SUBJECT {3+}\r\nabc\r\nc COPY $ Trash\r\n",
		"a APPEND INBOX (\\Seen) {5+}\r\nhello\r\nb APPEND INBOX UTF8 (~{2+}\r\nhi)\r\n",
		"a IDLE\r\nDONE\r\nb LIST (SUBSCRIBED) \"\" (a* %b) RETURN (STATUS (MESSAGES))\r\nc LOGOUT\r\n",
		"a EXAMINE INBOX\r\nb STORE 1 +FLAGS (a)\r\nc MOVE 1:* Trash\r\nd CLOSE\r\ne STATUS INBOX (SIZE DELETED-STORAGE)\r\n",
		"a CREATE {3+}\r\na/b\r\nb RENAME a c\r\nc DELETE c/b\r\nd ENABLE IMAP4rev2\r\ne SELECT INBOX\r\nf BINARY\r\n",
		"a SELECT INBOX\r\nb FETCH 1 (BINARY[1]<1.9> BINARY.SIZE[2] BODY[2.HEADER.FIELDS.NOT (a b)])\r\nc UID EXPUNGE 1:*\r\n",
	} {
		f.Add([]byte(seed))
	}
	h := newHouse(f, func(cfg *imapd.Config) {
		cfg.CommandTimeout, cfg.StallTimeout, cfg.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	})
	l := make(pipeListener)
	go h.srv.Serve(l, true)
	f.Cleanup(func() { close(l) })
	h.deliver(nested)
	h.deliver(letter("one", "x"))
	f.Fuzz(func(t *testing.T, script []byte) {
		near, far := net.Pipe()
		l <- far
		cfg := h.tlsConfig()
		cfg.ClientSessionCache = nil
		c := tls.Client(near, cfg)
		w := newWire(t, c)
		w.line()
		w.ok("LOGIN %s %s", h.user, h.pass)
		go func() {
			c.Write(script)
			c.Write([]byte("\r\nend LOGOUT\r\n"))
		}()
		w.ends()
	})
}
