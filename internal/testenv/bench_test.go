package testenv_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
)

// sizes are the messages that the delivery benchmarks send, in bytes.
var sizes = []struct {
	name  string
	bytes int
}{{"10kB", 10_000}, {"200kB", 200_000}, {"5MB", 5_000_000}}

// benchServer is a server with a hundred further holders.
func benchServer(b *testing.B, spaces int) *testenv.Env {
	return testenv.Start(b, func(o *demo.Options) { o.Spaces = spaces },
		testenv.Configure(func(c *instance.Config) { c.ConnsPerSource = 10_000 }))
}

// BenchmarkDeliver is delivery on the MX from 64 connections to 100 mailboxes,
// each acknowledgement durable, beside synced writes of as many bytes by as
// many writers to the same disk.
func BenchmarkDeliver(b *testing.B) {
	e := benchServer(b, 100)
	to := e.File.Holders[len(e.File.Holders)-100:]
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) {
			g := newGenerator(s.bytes)
			acks := make([]time.Duration, b.N)
			var next atomic.Int64
			b.SetBytes(int64(s.bytes))
			b.ResetTimer()
			inParallel(b, 64, func() error {
				c, err := dialMX(e)
				if err != nil {
					return err
				}
				defer c.Close()
				for {
					n := int(next.Add(1)) - 1
					if n >= b.N {
						return nil
					}
					if acks[n], err = c.deliver(to[n%100].Address, g, n); err != nil {
						return err
					}
				}
			})
			b.StopTimer()
			report(b, acks)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/diskRate(b, s.bytes), "of-disk")
		})
	}
}

// BenchmarkConnectDeliver opens a TLS connection with a client certificate for
// each message of 10 kB.
func BenchmarkConnectDeliver(b *testing.B) {
	e := benchServer(b, 100)
	to := e.File.Holders[len(e.File.Holders)-100:]
	g := newGenerator(10_000)
	acks := make([]time.Duration, b.N)
	var next atomic.Int64
	b.ResetTimer()
	inParallel(b, 16, func() error {
		for {
			n := int(next.Add(1)) - 1
			if n >= b.N {
				return nil
			}
			c, err := dialMX(e)
			if err != nil {
				return err
			}
			if acks[n], err = c.deliver(to[n%100].Address, g, n); err != nil {
				return err
			}
			c.Close()
		}
	})
	b.StopTimer()
	report(b, acks)
}

// BenchmarkIdleConnections weighs 1 000 idle IMAP connections over TLS, both
// ends of each being in this process: the client's end is weighed apart, by as
// many TLS connections to a server that keeps nothing, and taken off.
func BenchmarkIdleConnections(b *testing.B) {
	const n = 1000
	e := benchServer(b, 100)
	to := e.File.Holders[len(e.File.Holders)-100:]
	for b.Loop() {
		before := weight()
		var conns []net.Conn
		for i := range n {
			h := to[i%100]
			c, err := tls.Dial("tcp", e.File.IMAPS, e.TLS("", ""))
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
			r := bufio.NewReaderSize(c, 512)
			for _, step := range []struct{ say, want string }{
				{"", "* OK"}, {"a LOGIN " + h.Address + " " + h.MailPassword + "\r\n", "a OK"},
				{"b SELECT INBOX\r\n", "b OK"}, {"c IDLE\r\n", "+"},
			} {
				if err := converse(c, r, step.say, step.want); err != nil {
					b.Fatal(err)
				}
			}
		}
		both := weight() - before
		for _, c := range conns {
			c.Close()
		}
		b.ReportMetric(float64(both)/n/1000, "kB/conn-both-ends")
	}
}

// BenchmarkIdleNotify is the time from the acknowledgement of a delivery to
// its notice on an idle connection.
func BenchmarkIdleNotify(b *testing.B) {
	e := benchServer(b, 0)
	h := e.File.Holders[0]
	heard := make(chan time.Time, 1)
	client := e.IMAP(h.Address, h.MailPassword, func(o *imapclient.Options) {
		o.UnilateralDataHandler = &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				heard <- time.Now()
			}
		}}
	})
	if _, err := client.Select("INBOX", nil).Wait(); err != nil {
		b.Fatal(err)
	}
	idle, err := client.Idle()
	if err != nil {
		b.Fatal(err)
	}
	defer idle.Close()
	c, err := dialMX(e)
	if err != nil {
		b.Fatal(err)
	}
	g := newGenerator(10_000)
	var waits []time.Duration
	for n := 0; b.Loop(); n++ {
		if _, err := c.deliver(h.Address, g, n); err != nil {
			b.Fatal(err)
		}
		sent := time.Now()
		waits = append(waits, max(0, (<-heard).Sub(sent)))
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "ms-median")
}

// report tells the rate and the 99th percentile of the acknowledgements.
func report(b *testing.B, acks []time.Duration) {
	slices.Sort(acks)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(acks[len(acks)*99/100].Microseconds())/1000, "ms-p99")
	b.ReportMetric(float64(acks[len(acks)/2].Microseconds())/1000, "ms-median")
}

// inParallel runs fn n times at once and fails the benchmark on the first error.
func inParallel(b *testing.B, n int, fn func() error) {
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		wg.Go(func() { errs <- fn() })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
}

// diskRate is how many writes of size bytes a second 64 writers, each to a file
// of its own, sync to the disk that the server writes to.
func diskRate(b *testing.B, size int) float64 {
	dir := b.TempDir()
	buf := bytes.Repeat([]byte{7}, size)
	var done atomic.Int64
	started := time.Now()
	inParallel(b, 64, func() error {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint(rand.Int64())))
		if err != nil {
			return err
		}
		defer f.Close()
		for time.Since(started) < time.Second {
			if _, err := f.Write(buf); err != nil {
				return err
			}
			if err := f.Sync(); err != nil {
				return err
			}
			done.Add(1)
		}
		return nil
	})
	return float64(done.Load()) / time.Since(started).Seconds()
}

// weight is the memory in use: heap after a collection, and stacks.
func weight() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// generator makes messages of one size whose attachment never repeats.
type generator struct{ filler []byte }

func newGenerator(size int) *generator {
	raw := make([]byte, size)
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(raw)
	enc := base64.StdEncoding.EncodeToString(raw)
	var b bytes.Buffer
	for len(enc) > 76 && b.Len() < size-700 {
		b.WriteString(enc[:76] + "\r\n")
		enc = enc[76:]
	}
	return &generator{b.Bytes()}
}

func (g *generator) head(n int, to string) string {
	return fmt.Sprintf("From: Dr Durand <%s>\r\nTo: <%s>\r\nSubject: Compte rendu %d\r\nDate: %s\r\nMessage-ID: <%d.%d@mss.autre.test>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+
		"Bonjour, voici le compte rendu numéro %d.\r\n--=_b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"cr%d.pdf\"\r\n\r\n", peer, to, n, time.Now().Format(time.RFC1123Z), n, rand.Int64(), n, n)
}

// mxConn is a peer operator's connection that does no more than it must.
type mxConn struct {
	net.Conn
	r *bufio.Reader
	w *bufio.Writer
}

var clientConfig = sync.OnceValue(func() *sync.Map { return new(sync.Map) })

func dialMX(e *testenv.Env) (*mxConn, error) {
	v, ok := clientConfig().Load(e)
	if !ok {
		op := e.File.Operators[0]
		v, _ = clientConfig().LoadOrStore(e, e.TLS(op.Cert, op.Key))
	}
	raw, err := net.Dial("tcp", e.File.MX)
	if err != nil {
		return nil, err
	}
	c := &mxConn{raw, bufio.NewReader(raw), nil}
	for _, step := range []struct{ say, want string }{{"", "220"}, {"EHLO bench.test\r\n", "250 "}, {"STARTTLS\r\n", "220"}} {
		if err := converse(raw, c.r, step.say, step.want); err != nil {
			return nil, err
		}
	}
	c.Conn = tls.Client(raw, v.(*tls.Config))
	c.r, c.w = bufio.NewReader(c.Conn), bufio.NewWriterSize(c.Conn, 64<<10)
	return c, converse(c.Conn, c.r, "EHLO bench.test\r\n", "250 ")
}

// converse says a line and reads until one begins with want.
func converse(w io.Writer, r *bufio.Reader, say, want string) error {
	if say != "" {
		if _, err := io.WriteString(w, say); err != nil {
			return err
		}
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, want) {
			return nil
		}
		if len(line) > 3 && line[3] == ' ' && want != "+" && line[0] >= '4' && line[0] <= '5' || strings.Contains(line, " NO ") || strings.Contains(line, " BAD ") {
			return fmt.Errorf("the server said %s", strings.TrimSpace(line))
		}
	}
}

// deliver sends one message and returns the time from the end of DATA to its
// acknowledgement.
func (c *mxConn) deliver(to string, g *generator, n int) (time.Duration, error) {
	for _, step := range []struct{ say, want string }{
		{"MAIL FROM:<" + peer + ">\r\n", "250"}, {"RCPT TO:<" + to + ">\r\n", "250"}, {"DATA\r\n", "354"},
	} {
		if err := converse(c.Conn, c.r, step.say, step.want); err != nil {
			return 0, err
		}
	}
	c.w.WriteString(g.head(n, to))
	c.w.Write(g.filler)
	c.w.WriteString("--=_b--\r\n.\r\n")
	if err := c.w.Flush(); err != nil {
		return 0, err
	}
	started := time.Now()
	err := converse(c.Conn, c.r, "", "250")
	return time.Since(started), err
}
