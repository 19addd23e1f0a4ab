package smtpd_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pli/mss"
	"pli/mss/smtpd"
	"pli/space"
)

// sample is a message with a PDF-like attachment, of about size bytes. No line
// begins with a dot.
func sample(size int) string {
	raw := max((size-1400)*57/78, 57)
	enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("%PDF-1.7\nxyzuvw0123456789", raw/24+1)[:raw]))
	var b strings.Builder
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n--b1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		strings.Repeat("Veuillez trouver ci-joint le compte rendu de vos examens de laboratoire.\r\n", 8) +
		"\r\n--b1\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"a.pdf\"\r\n\r\n")
	for len(enc) > 0 {
		n := min(76, len(enc))
		b.WriteString(enc[:n] + "\r\n")
		enc = enc[n:]
	}
	b.WriteString("--b1--\r\n")
	return b.String()
}

// sender is one connection that delivers message after message, as plainly as
// can be: its cost is in the measure.
type sender struct {
	h   *house
	cfg *tls.Config
	c   net.Conn
	r   *bufio.Reader
	w   *bufio.Writer
}

func (s *sender) open() error {
	c, err := net.Dial("tcp", s.h.mx)
	if err != nil {
		return err
	}
	r := bufio.NewReader(c)
	r.ReadString('\n')
	fmt.Fprintf(c, "STARTTLS\r\n")
	r.ReadString('\n')
	tc := tls.Client(c, s.cfg)
	s.c, s.r, s.w = tc, bufio.NewReader(tc), bufio.NewWriterSize(tc, 64<<10)
	return s.step("250", "EHLO bench\r\n")
}

func (s *sender) step(want string, parts ...string) error {
	for _, p := range parts {
		s.w.WriteString(p)
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return err
		}
		if line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, want) {
			return fmt.Errorf("%s", line)
		}
		return nil
	}
}

// deliver sends one message and returns how long the answer to its end took.
func (s *sender) deliver(n int64, to, body string) (time.Duration, error) {
	for _, cmd := range []string{"MAIL FROM:<" + labo + ">\r\n", "RCPT TO:<" + to + ">\r\n"} {
		if err := s.step("250", cmd); err != nil {
			return 0, err
		}
	}
	if err := s.step("354", "DATA\r\n"); err != nil {
		return 0, err
	}
	s.w.WriteString("From: Labo <" + labo + ">\r\nTo: " + to + "\r\nSubject: Vos analyses\r\nDate: Mon, 02 Mar 2026 09:00:00 +0100\r\nMessage-ID: <")
	fmt.Fprintf(s.w, "%d@bench>\r\n", n)
	s.w.WriteString(body)
	s.w.WriteString(".\r\n")
	if err := s.w.Flush(); err != nil {
		return 0, err
	}
	start := time.Now()
	err := s.step("250")
	return time.Since(start), err
}

// bench delivers b.N messages of a size over some connections to 100 holders.
func bench(b *testing.B, size, conns, perConn int) {
	h := newHouse(b, func(c *mss.Config) { c.Limits.RefusalFloor = 0 }, func(l *smtpd.Limits) {})
	to := make([]string, 100)
	for i := range to {
		to[i] = h.holder(space.Active).address.String()
	}
	body := sample(size)
	cfg := &tls.Config{RootCAs: h.roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{h.caller}}
	var next atomic.Int64
	var mu sync.Mutex
	var times []time.Duration
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			s := &sender{h: h, cfg: cfg}
			var own []time.Duration
			for n := 0; ; n++ {
				i := next.Add(1)
				if i > int64(b.N) {
					break
				}
				if s.c == nil {
					if err := s.open(); err != nil {
						b.Error(err)
						return
					}
				}
				took, err := s.deliver(i, to[i%100], body)
				own = append(own, took)
				if err != nil {
					b.Error(err)
					return
				}
				if perConn > 0 && n%perConn == perConn-1 {
					s.step("221", "QUIT\r\n")
					s.c.Close()
					s.c = nil
				}
			}
			mu.Lock()
			times = append(times, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/msg") // both ends
	if len(times) > 0 {
		b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	}
	h.people = nil // no check of every mailbox at the end
}

// cpuTime is what this process has used of the processors: a measure that
// other programs on the machine disturb less.
func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkDeliver10k(b *testing.B)        { bench(b, 10_000, 64, 0) }
func BenchmarkDeliver200k(b *testing.B)       { bench(b, 200_000, 16, 0) }
func BenchmarkDeliver5M(b *testing.B)         { bench(b, 5_000_000, 8, 0) }
func BenchmarkConnectAndDeliver(b *testing.B) { bench(b, 10_000, 32, 1) }
