package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/internal/engines"
	"pli/store"
	"pli/store/postgres"
	"pli/store/storetest"
)

// load is writers that go on while the server comes and goes, each of which
// remembers what was acknowledged.
type load struct {
	db   store.DB
	done chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	acked   []string
	hooked  map[string]int
	away    int // answers that the store is not available
	wrong   []error
}

const (
	loadWriters = 8
	loadOwners  = 5 // so that some have two writers
)

func startLoad(db store.DB) *load {
	l := &load{db: db, done: make(chan struct{}), hooked: map[string]int{}}
	l.changed = sync.NewCond(&l.mu)
	for w := range loadWriters {
		l.wg.Go(func() { l.write(w) })
	}
	return l
}

func loadOwner(i int) store.Owner { return store.Owner(fmt.Sprint("s/load-", i%loadOwners)) }

func (l *load) write(w int) {
	for i := 0; ; i++ {
		select {
		case <-l.done:
			return
		default:
		}
		id := fmt.Sprintf("%d-%d", w, i)
		err := l.db.Update(context.Background(), loadOwner(w), func(tx store.Tx) error { return l.append(tx, id) })
		l.mu.Lock()
		switch {
		case err == nil:
			l.acked = append(l.acked, id)
		case errors.Is(err, store.ErrUnavailable):
			l.away++
		default:
			l.wrong = append(l.wrong, err)
		}
		l.changed.Broadcast()
		l.mu.Unlock()
	}
}

// append writes id as the owner's next record.
func (l *load) append(tx store.Tx, id string) error {
	n, err := loadHead(tx)
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint64(nil, n+1)
	tx.AfterCommit(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.hooked[id]++
	})
	return errors.Join(tx.Put([]byte("head"), head), tx.Put(append([]byte("rec/"), head...), []byte(id)))
}

func loadHead(tx store.Tx) (uint64, error) {
	v, err := tx.Get([]byte("head"))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(v), nil
}

// more waits until so many more have been acknowledged.
func (l *load) more(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for want := len(l.acked) + n; len(l.acked) < want && len(l.wrong) == 0; {
		l.changed.Wait()
	}
}

// noticed waits until a writer has been told that the store is away.
func (l *load) noticed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for before := l.away; l.away == before && len(l.wrong) == 0; {
		l.changed.Wait()
	}
}

// end stops the writers and checks that each acknowledged write is there once,
// and no other twice.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.done)
	l.wg.Wait()
	if len(l.wrong) > 0 {
		t.Errorf("%d answers of another kind, the first: %v", len(l.wrong), l.wrong[0])
	}
	there := map[string]int{}
	for i := range loadOwners {
		err := l.db.View(context.Background(), loadOwner(i), func(tx store.Tx) error {
			head, err := loadHead(tx)
			if err != nil {
				return err
			}
			n := uint64(0)
			err = tx.Scan([]byte("rec/"), store.After([]byte("rec/")), func(k, v []byte) error {
				there[string(v)]++
				n++
				return nil
			})
			if n != head {
				t.Errorf("%s: %d records, its head says %d", tx.Owner(), n, head)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, id := range l.acked {
		if there[id] != 1 || l.hooked[id] != 1 {
			t.Errorf("%s was acknowledged: there %d times, told %d times", id, there[id], l.hooked[id])
		}
	}
	for id, n := range there {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	t.Logf("%d acknowledged, %d there, %d times away", len(l.acked), len(there), l.away)
}

// soon are settings under which an outage is told early, be it by writers who
// are all committing when it begins.
func soon(url string) postgres.Config {
	return postgres.Config{URL: url, Patience: 200 * time.Millisecond, OutcomeWait: 2 * time.Second}
}

// TestServerAway: the server is stopped, restarted and killed under load. The
// writers are put off, and everything goes on by itself.
func TestServerAway(t *testing.T) {
	t.Parallel()
	cluster := engines.NewCluster(t)
	db := open(t, soon(cluster.URL()))
	defer db.Close()
	l := startLoad(db)
	for _, end := range []func(testing.TB){cluster.Kill, cluster.Stop, cluster.Kill} {
		l.more(200)
		end(t)
		l.noticed()
		cluster.Start(t)
	}
	l.more(200)
	cluster.Restart(t)
	l.more(200)
	l.end(t)
	if err := db.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestFailover: the primary is killed under load and its synchronous standby
// promoted. What was acknowledged is there.
func TestFailover(t *testing.T) {
	t.Parallel()
	pair := engines.NewPair(t)
	db := open(t, soon(pair.URL()))
	defer db.Close()
	l := startLoad(db)
	l.more(300)
	pair.KillPrimary(t)
	l.noticed()
	pair.Promote(t)
	l.more(300)
	l.end(t)
}

// TestStandbyAway: a commit for which the wait for the standby is given up has
// happened on the primary alone, which is no acknowledgement: it counts once a
// standby has it, and until then its outcome is unknown.
func TestStandbyAway(t *testing.T) {
	t.Parallel()
	pair := engines.NewPair(t)
	db := open(t, postgres.Config{URL: pair.URL(), OutcomeWait: time.Minute})
	defer db.Close()
	hasty := open(t, postgres.Config{URL: pair.URL(), OutcomeWait: 100 * time.Millisecond})
	defer hasty.Close()
	if err := errors.Join(put(db, alice, "k", nil), put(hasty, alice, "k", nil)); err != nil {
		t.Fatal(err)
	}
	watch := raw(t, pair.Primary.URL())
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
	for i, giveUp := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		pair.Standby.Stop(t)
		done := make(chan error, 1)
		go func() { done <- put(hasty, "s/hasty", giveUp, nil) }()
		waitFor(t, watch, waiting, 1)
		exec(t, watch, "SELECT "+giveUp+"(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		if err := <-done; !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "outcome is unknown") {
			t.Errorf("%s: without a standby: %v", giveUp, err)
		}
		waitFor(t, watch, waiting, 0) // whoever asked has given up too
		go func() { done <- put(db, alice, giveUp, []byte("v")) }()
		waitFor(t, watch, waiting, 1)
		exec(t, watch, "SELECT "+giveUp+"(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		pair.Standby.Start(t)
		if err := <-done; err != nil {
			t.Errorf("%s: the standby is back: %v", giveUp, err)
		}
		if n := db.Stats().Asked; n != uint64(i+1) {
			t.Errorf("%s: asked %d times", giveUp, n)
		}
	}
	pair.KillPrimary(t)
	pair.Promote(t)
	for _, key := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		if v, err := get(db, alice, key); err != nil || string(v) != "v" {
			t.Errorf("on the standby: %s %q, %v", key, v, err)
		}
	}
}

const (
	envURL    = "PLI_TEST_POSTGRES"
	envRounds = "PLI_CRASH_ROUNDS"
)

// dying returns how the two halves of a test that kills a writing process
// (SIGKILL) open their store: on one server, which goes on.
func dying(t *testing.T) func(testing.TB, string) store.DB {
	child := os.Getenv(envURL) != ""
	if !child {
		t.Setenv(envURL, engines.Postgres(t))
		if os.Getenv(envRounds) == "" {
			t.Setenv(envRounds, "5")
		}
	}
	url := os.Getenv(envURL)
	return func(t testing.TB, dir string) store.DB {
		if !child { // what the last writer had sent is still being done
			conn := raw(t, url)
			waitFor(t, conn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()", 0)
			conn.Close(context.Background())
		}
		return open(t, postgres.Config{URL: url})
	}
}

func TestCrash(t *testing.T) { storetest.Crash(t, dying(t)) }

func TestOutbox(t *testing.T) { storetest.Outbox(t, dying(t)) }
