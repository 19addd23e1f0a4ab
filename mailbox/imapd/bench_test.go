package imapd_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

// idlers opens n idle connections to the members' accounts, in turn, from
// another process, so that only the server's side weighs here. It returns how
// to end them.
func idlers(b *testing.B, h *house, n int, members []string) (stop func()) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("IDLERS=%d %s %s", n, h.imaps, strings.Join(members, " ")))
	cmd.Stderr = os.Stderr
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

// TestMain is also the other process of idlers.
func TestMain(m *testing.M) {
	if words := strings.Fields(os.Getenv("IDLERS")); len(words) > 0 {
		n, err := strconv.Atoi(words[0])
		if err == nil {
			err = idle(n, words[1], words[2:])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// idle holds n idle connections until its standard input ends.
func idle(n int, addr string, members []string) error {
	var keep []net.Conn
	for i := range n {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		keep = append(keep, c)
		who := 2 * (i % (len(members) / 2))
		script := []string{"", "a LOGIN " + members[who] + " " + members[who+1] + "\r\n", "b SELECT INBOX\r\n", "c IDLE\r\n"}
		ends := []string{"* OK", "a OK", "b OK", "+ "}
		r := bufio.NewReader(c)
		for j, line := range script {
			io.WriteString(c, line)
			for said := ""; !strings.HasPrefix(said, ends[j]); {
				if said, err = r.ReadString('\n'); err != nil {
					return fmt.Errorf("%s: %w", line, err)
				}
			}
		}
	}
	fmt.Println("idling")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(keep)
	return nil
}

// BenchmarkIdleConnections weighs 1 000 idle connections over TLS to 100
// accounts.
func BenchmarkIdleConnections(b *testing.B) {
	const n = 1000
	h := newHouse(b)
	h.inbox().ok("LOGOUT")
	var members []string
	for i := range 100 {
		address := fmt.Sprintf("member%d@medecin.pli.test", i)
		_, pass := h.member(fmt.Sprint("member", i), address)
		members = append(members, address, pass)
	}
	for b.Loop() {
		before, resident := heapAndStacks(), pss(h)
		stop := idlers(b, h, n, members)
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

// BenchmarkMailbox is what a client does with n messages of 10 kB, over one
// connection, their pages whole. Targets for 10 000: list 80 ms, subject 15 ms,
// text 100 ms (issue 4).
func BenchmarkMailbox(b *testing.B) {
	const n = 10_000
	h := newHouse(b)
	for i := range n {
		h.deliver(letter(fmt.Sprint("dossier ", i), strings.Repeat(fmt.Sprintf("compte rendu %d, sans rien de particulier\r\n", i), 200)))
	}
	begun := time.Now()
	w := h.inbox()
	w.conn.SetDeadline(time.Time{})
	w.ok("FETCH 1:* (UID FLAGS ENVELOPE)")
	b.Logf("first sight took %v, sign-in included", time.Since(begun))
	time.Sleep(5 * time.Second) // the pass, of whose end a client is not told
	for _, c := range []struct{ name, command string }{
		{"list", "FETCH 1:* (UID FLAGS ENVELOPE)"},
		{"subject", "SEARCH SUBJECT \"DOSSIER 9999\""},
		{"body", "SEARCH BODY \"rendu 9999,\""},
		{"text", "SEARCH TEXT \"nulle part\""},
	} {
		var took []time.Duration
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				begun := time.Now()
				w.ok("%s", c.command)
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
		})
	}
}

// BenchmarkSignIn opens a connection, signs in and leaves.
func BenchmarkSignIn(b *testing.B) {
	h := newHouse(b)
	for b.Loop() {
		w := h.login()
		w.conn.Close()
	}
}
