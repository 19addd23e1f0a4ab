package imapd_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/mailbox/imapd"
)

// tryFrom opens a connection from an address of this machine's and tries one
// sign-in; the answer is empty where there is no connection.
func (h *house) tryFrom(ip, user, pass string) (answer string) {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", h.imaps, h.tlsConfig())
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "a LOGIN %s %s\r\n", user, pass)
	var b strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(b.String(), "a OK") && !strings.Contains(b.String(), "a NO") {
		n, err := c.Read(buf)
		if err != nil {
			return ""
		}
		b.Write(buf[:n])
	}
	_, answer, _ = strings.Cut(b.String(), "\r\na ")
	return answer
}

// Delays grow for whoever guesses, and cannot be turned against the holder: not
// from other addresses, however many, nor, for a client that was here before,
// from the holder's own.
func TestAnAttackerKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	for name, from := range map[string]func(i int) string{
		"one other address":    func(int) string { return "127.0.0.2" },
		"many addresses":       func(i int) string { return fmt.Sprintf("127.0.%d.%d", 1+i/200, 1+i%200) },
		"the holder's address": func(int) string { return "127.0.0.1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(cfg *imapd.Config) {
				cfg.FailureDelay, cfg.FailureDelayMax, cfg.MaxFailureKeys = 100*time.Millisecond, 5*time.Second, 64
			})
			if got := h.tryFrom("127.0.0.1", h.user, h.pass); !strings.HasPrefix(got, "OK") {
				t.Fatalf("before the attack: %q", got)
			}
			stop := make(chan struct{})
			var attack sync.WaitGroup
			var mu sync.Mutex
			answers := map[string]int{}
			for worker := range 16 {
				attack.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						got := h.tryFrom(from(i*16+worker), h.user, fmt.Sprintf("guess-%d-%d", worker, i))
						mu.Lock()
						word, _, _ := strings.Cut(strings.TrimPrefix(got, "NO "), "]")
						answers[word]++
						mu.Unlock()
					}
				})
			}
			refused := func() int {
				mu.Lock()
				defer mu.Unlock()
				return answers["[AUTHENTICATIONFAILED"] + answers["[UNAVAILABLE"]
			}
			eventually(t, func() bool { return refused() > 30 })
			for range 10 {
				start := time.Now()
				if got := h.tryFrom("127.0.0.1", h.user, h.pass); !strings.HasPrefix(got, "OK") {
					t.Errorf("the holder's client: %q", got)
				}
				if took := time.Since(start); took > 4*time.Second {
					t.Errorf("the holder's client waited %v", took)
				}
			}
			close(stop)
			attack.Wait()
			if answers["OK"] > 0 {
				t.Error("a guess was right")
			}
			t.Log(answers)
		})
	}
}
