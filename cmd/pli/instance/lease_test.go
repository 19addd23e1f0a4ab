package instance

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pli/store/bolt"
)

// Two machines reach one store: one serves it, the other takes over when the
// first has gone, at once if it went in order, and the first then knows that it
// has been replaced (G1).
func TestOneInstanceServesAStore(t *testing.T) {
	t.Parallel()
	const life = 400 * time.Millisecond
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	log := slog.New(slog.DiscardHandler)
	here, there := t.TempDir(), t.TempDir()
	take := func(dir string) (*lease, error) { return takeLease(t.Context(), db, dir, life, false, log) }
	mustTake := func(dir string) *lease {
		t.Helper()
		l, err := take(dir)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := mustTake(here)
	ctx, dies := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- first.keep(ctx) }()
	if _, err := take(there); !errors.Is(err, errLeased) {
		t.Errorf("while the first lives: %v", err)
	}
	if _, err := take(here); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("a second one on the same folder: %v", err)
	}
	type taken struct {
		l   *lease
		err error
		at  time.Time
	}
	standby := make(chan taken, 1)
	go func() {
		l, err := takeLease(t.Context(), db, there, life, true, log)
		standby <- taken{l, err, time.Now()}
	}()
	select {
	case got := <-standby:
		t.Fatalf("the standby did not wait: %v", got.err)
	case <-time.After(3 * life):
	}
	dies()
	<-ended
	died := time.Now()
	got := <-standby
	if got.err != nil {
		t.Fatal(got.err)
	}
	second := got.l
	if waited := got.at.Sub(died); waited < life/2 {
		t.Errorf("the lease was taken after %v, its holder could have lived", waited)
	}
	if err := first.keep(t.Context()); err == nil {
		t.Error("the first one does not know that it was replaced")
	}
	select {
	case <-first.lost:
	default:
		t.Error("nobody is told that the lease is lost")
	}
	if err := errors.Join(first.release(), second.release()); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	third := mustTake(here)
	if waited := time.Since(started); waited > life {
		t.Errorf("a lease that was given back was waited for %v", waited)
	}
	third.lock.Close() // killed: neither released nor kept
	started = time.Now()
	if err := mustTake(here).release(); err != nil || time.Since(started) > life {
		t.Errorf("the folder's own next process waits %v: %v", time.Since(started), err)
	}
}
