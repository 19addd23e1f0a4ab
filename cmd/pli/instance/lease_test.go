package instance

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/internal/engines"
	"pli/store"
	"pli/store/bolt"
)

// Two machines reach one store: one serves it, the other takes over when the
// first has gone, at once if it went in order, and the first then knows that it
// has been replaced (G1).
func TestOneInstanceServesAStore(t *testing.T) {
	t.Parallel()
	const life = 1500 * time.Millisecond
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
	first.begin()
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
	first.stop()
	<-first.ended
	died := time.Now()
	got := <-standby
	if got.err != nil {
		t.Fatal(got.err)
	}
	second := got.l
	if waited := got.at.Sub(died); waited < life/2 {
		t.Errorf("the lease was taken after %v, its holder could have lived", waited)
	}
	first.begin()
	mustLose(t, first, life)
	if err := first.keep(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("the first one does not know that it was replaced: %v", err)
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

func mustLose(t *testing.T, l *lease, life time.Duration) {
	t.Helper()
	select {
	case <-l.lost:
	case <-time.After(10 * life):
		t.Error("it goes on serving")
	}
}

// A folder is copied whole to a second machine, which then bears the name of
// the first one's seat: of the two, one serves.
func TestCopiedSeat(t *testing.T) {
	t.Parallel()
	const life = 1500 * time.Millisecond
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	log := slog.New(slog.DiscardHandler)
	here, there := t.TempDir(), t.TempDir()
	first, err := takeLease(t.Context(), db, here, life, false, log)
	if err != nil {
		t.Fatal(err)
	}
	first.begin()
	defer first.release()
	b, err := os.ReadFile(filepath.Join(here, "seat"))
	if err == nil {
		err = os.WriteFile(filepath.Join(there, "seat"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	second, err := takeLease(t.Context(), db, there, life, false, log)
	if err != nil {
		t.Fatal(err) // this is one machine: its own next process need not wait
	}
	second.begin()
	mustLose(t, first, life)
	elsewhere := &lease{db: db, seat: second.seat, host: "another", turn: token(), life: life, log: log}
	if err := elsewhere.wait(t.Context()); !errors.Is(err, errLeased) {
		t.Errorf("from another machine: %v", err)
	}
	if err := second.release(); err != nil {
		t.Error(err)
	}
}

// The store is replaced by an empty one, to be restored: neither who served it
// nor who waits for that one serves what is there.
func TestLeaseOfAReplacedStore(t *testing.T) {
	t.Parallel()
	const life = 1500 * time.Millisecond
	db, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	waits := make(chan struct{}, 1)
	log := slog.New(slog.NewTextHandler(told(waits), nil))
	first, err := takeLease(t.Context(), db, t.TempDir(), life, false, log)
	if err != nil {
		t.Fatal(err)
	}
	first.begin()
	defer first.release()
	standby, there := make(chan error, 1), t.TempDir()
	go func() {
		_, err := takeLease(t.Context(), db, there, life, true, log)
		standby <- err
	}()
	<-waits
	if err := db.Update(t.Context(), leaseOwner, func(tx store.Tx) error { return tx.Delete(keyLease) }); err != nil {
		t.Fatal(err)
	}
	mustLose(t, first, life)
	if err := <-standby; !errors.Is(err, errReplaced) {
		t.Errorf("the standby: %v", err)
	}
}

// told is a log whose first line is waited for.
type told chan struct{}

func (c told) Write(p []byte) (int, error) {
	select {
	case c <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Whoever has a store open that others can reach gives signs of life, a verb
// that runs for an hour too, not only who serves.
func TestLeaseIsKeptWhileOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.UseEngines(engines.Postgres(t), "") })
	beat := func() uint64 {
		var l held
		err := h.db.View(t.Context(), leaseOwner, func(tx store.Tx) (err error) {
			l, err = store.Load[held](tx, keyLease)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return l.Beat
	}
	first := beat()
	for end := time.Now().Add(leaseLife); beat() == first; time.Sleep(leaseLife / 100) {
		if time.Now().After(end) {
			t.Fatal("another instance takes this for dead")
		}
	}
}
