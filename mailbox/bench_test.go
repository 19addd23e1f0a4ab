package mailbox_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"pli/mailbox"
)

// cpu counts the processor time that b's loop takes, the store's own goroutines
// included: what is comparable on a machine that does other things too.
func cpu(b *testing.B) (report func()) {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/1000/float64(b.N), "cpu-µs/op") }
}

// attached writes a message of about size bytes, nearly all of it an attachment.
func attached(size int) string {
	head := "From: Labo <labo@chu.pli.test>\r\nTo: Paule <paule@patient.pli.test>\r\nSubject: report\r\n" +
		"Message-ID: <r@chu.pli.test>\r\nDate: Mon, 2 Mar 2026 09:30:00 +0100\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
		"Please find the report attached.\r\n\r\n--b\r\nContent-Type: application/pdf; name=report.pdf\r\n" +
		"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=report.pdf\r\n\r\n"
	lines := max(0, size-len(head)-7) / 78
	return head + strings.Repeat(strings.Repeat("QUJD", 19)+"\r\n", lines) + "--b--\r\n"
}

// benchDeliver delivers messages of a size from many goroutines to 100 people.
func benchDeliver(b *testing.B, size, goroutines int) {
	h := newHouse(b)
	var people []*person
	for i := range 100 {
		people = append(people, h.person(fmt.Sprintf("p%d", i)))
	}
	raw := attached(size)
	var n atomic.Int64
	b.SetBytes(int64(size))
	b.SetParallelism(goroutines)
	b.ReportAllocs()
	b.ResetTimer()
	report := cpu(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.tryDeliver(raw, mailbox.Inbox, people[n.Add(1)%100]); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	report()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkDeliver10kB(b *testing.B)  { benchDeliver(b, 10_000, 32) }
func BenchmarkDeliver200kB(b *testing.B) { benchDeliver(b, 200_000, 32) }
func BenchmarkDeliver300kB(b *testing.B) { benchDeliver(b, 300_000, 32) }
func BenchmarkDeliver5MB(b *testing.B)   { benchDeliver(b, 5_000_000, 4) }

// BenchmarkSpool10kB is what a delivery costs before its transaction.
func BenchmarkSpool10kB(b *testing.B) {
	h := newHouse(b)
	p, raw := h.person("p"), attached(10_000)
	b.ReportAllocs()
	defer cpu(b)()
	for b.Loop() {
		s, err := h.letters(raw, p)
		if err != nil {
			b.Fatal(err)
		}
		s.Discard()
	}
}

// BenchmarkOpenAndList is a client's first sight of 10 000 messages; "again"
// has the table loaded, and of the indexes what the cache holds.
func BenchmarkOpenAndList(b *testing.B) {
	h := newHouse(b)
	p := h.person("p")
	a := p.open()
	for i := range 100 {
		h.deliver(letter(fmt.Sprintf("subject %d", i), sized(4000)), p)
	}
	v := p.view(a, mailbox.Inbox)
	fill(b, h, p, 10_000)
	v.Poll(true)
	list := func(v *mailbox.View) {
		n := 0
		h.must(v.Messages(b.Context(), nil, true, func(mailbox.Message) error { n++; return nil }))
		if n != 10_000 {
			b.Fatalf("%d messages", n)
		}
	}
	a.Close()
	b.Run("table", func(b *testing.B) {
		for b.Loop() {
			a := p.open()
			p.view(a, mailbox.Inbox).Close()
			a.Close()
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			a := p.open()
			v := p.view(a, mailbox.Inbox)
			list(v)
			v.Close()
			a.Close()
		}
	})
	b.Run("again", func(b *testing.B) {
		v := p.view(p.open(), mailbox.Inbox)
		list(v)
		for b.Loop() {
			list(v)
		}
	})
	b.Run("flags", func(b *testing.B) {
		v := p.view(p.open(), mailbox.Inbox)
		for b.Loop() {
			h.must(v.Messages(b.Context(), nil, false, func(mailbox.Message) error { return nil }))
		}
	})
	b.Run("search", func(b *testing.B) {
		v := p.view(p.open(), mailbox.Inbox)
		for b.Loop() {
			if got, err := v.Search(b.Context(), mailbox.Criteria{Body: []string{"nowhere"}}); err != nil || len(got) > 0 {
				b.Fatal(got, err)
			}
		}
	})
}

// fill delivers until a person has n messages.
func fill(b *testing.B, h *house, p *person, n int) {
	var left atomic.Int64
	left.Store(int64(n) - 100)
	b.SetParallelism(32)
	done := make(chan struct{})
	for range 64 {
		go func() {
			defer func() { done <- struct{}{} }()
			for left.Add(-1) >= 0 {
				if _, err := h.tryDeliver(letter("subject", sized(4000)), mailbox.Inbox, p); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	for range 64 {
		<-done
	}
}
