package testenv_test

import (
	"bufio"
	"bytes"
	"cmp"
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
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/engines"
	"pli/internal/testenv"
	"pli/store"
	"pli/store/bolt"
	"pli/store/sealed"
	"pli/store/storetest"
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

// side is one of the servers that a benchmark compares, with 64 connections to
// its MX.
type side struct {
	name  string
	e     *testenv.Env
	to    []string // whom messages go to, in turn
	conns []*mxConn
	sent  int
	took  time.Duration
	acks  []time.Duration
}

// dial opens the connections of one benchmark.
func (s *side) dial(b *testing.B) {
	s.conns = nil
	for range 64 {
		c, err := dialMX(s.e)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		s.conns = append(s.conns, c)
	}
}

// deliver sends n further messages. One goes to an account far from that of
// the one before.
func (s *side) deliver(b *testing.B, g *generator, n int) {
	const stride = 7919 // a prime: it comes by every account
	began, first := time.Now(), s.sent
	acks := make([]time.Duration, n)
	var next atomic.Int64
	var free atomic.Int64
	inParallel(b, len(s.conns), func() (err error) {
		c := s.conns[free.Add(1)-1]
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			if acks[i], err = c.deliver(s.to[(first+i)*stride%len(s.to)], g, first+i); err != nil {
				return err
			}
		}
	})
	s.took += time.Since(began)
	s.sent += n
	s.acks = append(s.acks, acks...)
}

// compare delivers b.N messages to each of two sides, a few hundred to the one
// and then to the other, since the machine's speed changes within a run. It
// tells both rates, and the second as a share of the first.
func compare(b *testing.B, g *generator, sides ...*side) {
	const round = 640
	for _, s := range sides {
		s.sent, s.took, s.acks = 0, 0, nil
		s.dial(b)
	}
	b.ResetTimer()
	for left := b.N; left > 0; left -= round {
		for _, s := range sides {
			s.deliver(b, g, min(left, round))
		}
		slices.Reverse(sides)
	}
	b.StopTimer()
	slices.SortFunc(sides, func(x, y *side) int { return cmp.Compare(x.name, y.name) })
	rate := func(s *side) float64 { return float64(s.sent) / s.took.Seconds() }
	for _, s := range sides {
		slices.Sort(s.acks)
		b.ReportMetric(rate(s), "msg/s-"+s.name)
		b.ReportMetric(float64(s.acks[len(s.acks)*99/100].Microseconds())/1000, "ms-p99-"+s.name)
	}
	b.ReportMetric(rate(sides[1])/rate(sides[0]), "share")
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
}

func holdersOf(e *testenv.Env) (to []string) {
	for _, h := range e.File.Holders {
		to = append(to, h.Address)
	}
	return to
}

// BenchmarkDeliverEngines is delivery on PostgreSQL and S3, as a share of what
// the embedded engines take.
func BenchmarkDeliverEngines(b *testing.B) {
	start := func(name, store, blobs string) *side {
		e := testenv.Start(b, func(o *demo.Options) { o.Spaces, o.Store, o.Blobs = 100, store, blobs },
			testenv.Configure(func(c *instance.Config) { c.ConnsPerSource = 10_000 }))
		return &side{name: name, e: e, to: holdersOf(e)}
	}
	own, served := start("bolt+dir", "", ""), start("postgres+s3", engines.Postgres(b), engines.S3(b))
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) { compare(b, newGenerator(s.bytes), own, served) })
	}
}

// BenchmarkDeliverAccounts is delivery of 10 kB to all of 100 000 accounts, as
// a share of what 1 000 accounts take.
func BenchmarkDeliverAccounts(b *testing.B) {
	start := func(name string, n int) *side {
		e := testenv.Start(b, embedded, testenv.Configure(func(c *instance.Config) { c.ConnsPerSource = 10_000 }))
		return &side{name: name, e: e, to: addSpaces(b, e, n)}
	}
	few := start("1e3", 1000)
	began := time.Now()
	many := start("1e5", 100_000)
	made := time.Since(began)
	b.Run("10kB", func(b *testing.B) {
		compare(b, newGenerator(10_000), few, many)
		b.ReportMetric(made.Seconds(), "s-to-make-1e5")
	})
}

// addSpaces adds spaces that take mail, through the operator's own operation,
// and returns their addresses.
func addSpaces(b *testing.B, e *testenv.Env, n int) []string {
	to := make([]string, n)
	var next atomic.Int64
	inParallel(b, 64, func() error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			s, err := e.AddSpace(b.Context(), instance.SpaceAdd{INS: matricule(i), Family: "MARTIN", Given: "Alix", Sex: "F", Birth: "1960-05-14", State: "open"})
			if err != nil {
				return err
			}
			to[i] = s.Address
		}
	})
	return to
}

// matricule returns one of a million NIR that no sample person has: a woman
// born in May 1960, with its key.
func matricule(i int) string {
	n := 2_60_05_00000_000 + (10_000+i/999)*1000 + 1 + i%999
	return fmt.Sprintf("%d%02d", n, 97-n%97)
}

// BenchmarkSealing is what sealing records costs: the records of a delivery of
// 10 kB in one durable transaction, bare and sealed, and the difference as a
// share of the processor time of a whole delivery, both ends of which are in
// this process.
func BenchmarkSealing(b *testing.B) {
	dir := b.TempDir()
	open := func(name string) *bolt.DB {
		db, err := bolt.Open(bolt.Config{Dir: filepath.Join(dir, name)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		return db
	}
	master, err := sealed.CreateMaster(filepath.Join(dir, "master.key"))
	if err != nil {
		b.Fatal(err)
	}
	keys, err := sealed.OpenKeys(open("keys"), master, sealed.KeysConfig{})
	if err != nil {
		b.Fatal(err)
	}
	cost := make(map[string]float64) // processor time of one, in µs
	measure := func(name string, fn func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			before := processorTime()
			fn(b)
			cost[name] = float64((processorTime() - before).Microseconds()) / float64(b.N)
			b.ReportMetric(cost[name], "cpu-us/op")
			if name == "delivery" {
				b.ReportMetric(100*(cost["sealed"]-cost["bare"])/cost[name], "%-sealing")
			}
		})
	}
	bare, dear := store.DB(open("bare")), sealed.New(open("sealed"), keys, sealed.Config{})
	measure("bare", func(b *testing.B) { storetest.BenchDeliver(b, bare) })
	measure("sealed", func(b *testing.B) { storetest.BenchDeliver(b, dear) })
	measure("read-bare", func(b *testing.B) { readRecords(b, bare) })
	measure("read-sealed", func(b *testing.B) { readRecords(b, dear) })
	e := benchServer(b, 100)
	s, g := &side{e: e, to: holdersOf(e)}, newGenerator(10_000)
	s.dial(b)
	measure("delivery", func(b *testing.B) { s.deliver(b, g, b.N) })
}

// readRecords reads all records of an owner of BenchDeliver, b.N times: some
// tens of deliveries of 10 kB.
func readRecords(b *testing.B, db store.DB) {
	owners, err := db.Owners(b.Context(), "", 1)
	if err != nil || len(owners) == 0 {
		b.Fatalf("nothing to read: %v", err)
	}
	read := 0
	for b.Loop() {
		err := db.View(b.Context(), owners[0], func(tx store.Tx) error {
			return tx.Scan(nil, nil, func(_, value []byte) error { read += len(value); return nil })
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(read / b.N))
}

// processorTime is what this process has used of all processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
