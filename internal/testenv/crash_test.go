package testenv_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/cmd/pli/demo"
	"pli/internal/testenv"
)

// dispatch is one message of the burst and whether it was acknowledged.
type dispatch struct {
	id    string
	to    []string
	raw   []byte
	acked bool
}

// The server is killed in a burst of deliveries. Every message that was
// acknowledged is there once, for each of its recipients, even when the sender
// repeats what it has no answer for, and what it has (mission: nothing
// acknowledged is ever lost).
func TestKillInABurst(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	c := testenv.StartChild(t, dir)
	var sent []*dispatch
	for round := range 3 {
		batch := burst(t, round, c, 16, time.Duration(300+200*round)*time.Millisecond)
		sent = append(sent, batch...)
		c = testenv.StartChild(t, dir)
	}
	acked, repeated := 0, 0
	for i, d := range sent {
		if d.acked {
			acked++
		}
		if !d.acked || i%3 == 0 {
			repeated++
			if err := c.Deliver(peer, d.to, d.raw); err != nil {
				t.Fatalf("the repeat: %v", err)
			}
		}
	}
	t.Logf("%d sent, %d acknowledged before the kills, %d repeated", len(sent), acked, repeated)
	if acked == 0 || acked == len(sent) {
		t.Errorf("%d of %d were acknowledged: the kill was not in the burst", acked, len(sent))
	}
	count := make(map[string]map[string]int) // address → Message-ID → times
	for _, h := range c.File.Holders {
		count[h.Address] = ids(c.Mailbox(h.Address, h.MailPassword, "INBOX"))
	}
	for _, p := range c.File.Professionals {
		count[p.Address] = ids(c.Mailbox(p.Address, p.MailPassword, "INBOX"))
	}
	for _, d := range sent {
		for _, to := range d.to {
			if n := count[to][d.id]; n != 1 {
				t.Errorf("a message (acknowledged: %v) is there %d times for one of its recipients", d.acked, n)
			}
		}
	}
	if err := c.Stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if out, err := c.Run(testenv.Pli(t), "verify", "--config", filepath.Join(dir, "pli.toml")); err != nil {
		t.Errorf("pli verify: %v\n%s", err, out)
	}
}

func ids(list []testenv.Letter) map[string]int {
	n := make(map[string]int)
	for _, l := range list {
		n[strings.Trim(l.MessageID, "<>")]++
	}
	return n
}

// burst delivers from several connections until the child is killed after a
// while, and returns what was tried.
func burst(t *testing.T, round int, c *testenv.Child, conns int, after time.Duration) []*dispatch {
	var mu sync.Mutex
	var tried []*dispatch
	var wg sync.WaitGroup
	op := c.File.Operators[0]
	for n := range conns {
		wg.Go(func() {
			client, err := c.PeerClient(op.Cert, op.Key)
			if err != nil {
				return
			}
			defer client.Close()
			for i := 0; ; i++ {
				h := c.File.Holders[(n+i)%len(c.File.Holders)]
				m := demo.Message{From: peer, To: h.Address, Subject: "Rafale", Text: strings.Repeat("ligne\n", 1500),
					ID: fmt.Sprintf("r%d-c%d-%d@mss.autre.test", round, n, i), Date: c.Clock.Now()}
				d := &dispatch{id: m.ID, to: []string{h.Address}, raw: m.Bytes()}
				if i%2 == 0 {
					d.to = append(d.to, c.File.Professionals[(n+i)%len(c.File.Professionals)].Address)
				}
				mu.Lock()
				tried = append(tried, d)
				mu.Unlock()
				if err := client.SendMail(peer, d.to, bytes.NewReader(d.raw)); err != nil {
					return
				}
				mu.Lock()
				d.acked = true
				mu.Unlock()
			}
		})
	}
	time.Sleep(after)
	c.Kill()
	wg.Wait()
	return tried
}
