package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"pli/internal/engines"
	"pli/store"
	"pli/store/postgres"
)

func put(db store.DB, owner store.Owner, key string, value []byte) error {
	return db.Update(context.Background(), owner, func(tx store.Tx) error { return tx.Put([]byte(key), value) })
}

func get(db store.DB, owner store.Owner, key string) (value []byte, err error) {
	err = db.View(context.Background(), owner, func(tx store.Tx) error {
		v, err := tx.Get([]byte(key))
		value = bytes.Clone(v)
		return err
	})
	return value, err
}

// raw returns a connection beside the store, to the database at a URL.
func raw(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// behindFault returns the URL of a fresh database, and of the same by way of a
// proxy that fails when told to.
func behindFault(t testing.TB) (direct, through string, fault *engines.Fault) {
	t.Helper()
	direct = engines.Postgres(t)
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	fault = engines.NewFault(t, u.Host)
	u.Host = fault.Addr()
	return direct, u.String(), fault
}

// counted writes a record under the number of those before it, and says so to
// nobody but its own counter: whoever counts the records sees whether it was
// done twice. during runs while the transaction is under way.
func counted(db store.DB, owner store.Owner, during func(run int)) (runs int, err error) {
	err = db.Update(context.Background(), owner, func(tx store.Tx) error {
		runs++
		n := 0
		if err := tx.Scan(nil, nil, func(k, v []byte) error { n++; return nil }); err != nil {
			return err
		}
		during(runs)
		return tx.Put([]byte{byte(n)}, []byte("v"))
	})
	return runs, err
}

// warm opens a store with one connection, on which every statement that
// counted needs is prepared: its next commit is one question and one answer.
func warm(t testing.TB, cfg postgres.Config) *postgres.DB {
	t.Helper()
	cfg.Conns = 1
	db := open(t, cfg)
	if _, err := counted(db, "s/warm", func(int) {}); err != nil {
		t.Fatal(err)
	}
	return db
}

func records(t testing.TB, db store.DB, owner store.Owner) (n int) {
	t.Helper()
	err := db.View(context.Background(), owner, func(tx store.Tx) error {
		n = 0
		return tx.Scan(nil, nil, func(k, v []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLostAnswer: the connection is cut as the answer to a commit comes back.
// The commit has happened, is found, and is not repeated.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	_, through, fault := behindFault(t)
	for _, owner := range []store.Owner{"s/new", "s/warm"} { // without a row, and with one
		db := warm(t, postgres.Config{URL: through, Schema: schema()})
		before := records(t, db, owner)
		hooks := 0
		runs, err := counted(hooked{db, &hooks}, owner, func(int) { fault.CutResponses(0, 1) })
		if err != nil || runs != 1 || hooks != 1 {
			t.Errorf("%s: %v, ran %d times, hooks %d", owner, err, runs, hooks)
		}
		if n := records(t, db, owner); n != before+1 {
			t.Errorf("%s: %d records more", owner, n-before)
		}
		if s := db.Stats(); s.Asked != 1 || s.Commits != 2 || s.Retried != 0 {
			t.Errorf("%s: %+v", owner, s)
		}
		db.Close()
	}
}

// hooked counts what runs after commits.
type hooked struct {
	store.DB
	n *int
}

func (h hooked) Update(ctx context.Context, owner store.Owner, fn func(store.Tx) error) error {
	return h.DB.Update(ctx, owner, func(tx store.Tx) error {
		tx.AfterCommit(func() { *h.n++ })
		return fn(tx)
	})
}

// TestLostCommit: the connection is cut before the commit has reached the
// server. That is found too, and the transaction runs again.
func TestLostCommit(t *testing.T) {
	t.Parallel()
	_, through, fault := behindFault(t)
	for _, owner := range []store.Owner{"s/new", "s/warm"} {
		db := warm(t, postgres.Config{URL: through, Schema: schema()})
		before := records(t, db, owner)
		runs, err := counted(db, owner, func(run int) {
			if run == 1 {
				fault.CutRequests(0, 1)
			}
		})
		if err != nil || runs != 2 {
			t.Errorf("%s: %v, ran %d times", owner, err, runs)
		}
		if n := records(t, db, owner); n != before+1 {
			t.Errorf("%s: %d records more", owner, n-before)
		}
		if s := db.Stats(); s.Asked != 1 || s.Commits != 2 || s.Retried != 1 {
			t.Errorf("%s: %+v", owner, s)
		}
		db.Close()
	}
}

// TestUnknown: the server is lost with the answer and stays away. The error
// says that the outcome is unknown, and a store that comes back goes on.
func TestUnknown(t *testing.T) {
	t.Parallel()
	direct, through, fault := behindFault(t)
	db := warm(t, postgres.Config{URL: through, OutcomeWait: 50 * time.Millisecond, Patience: 50 * time.Millisecond})
	defer db.Close()
	_, err := counted(db, alice, func(int) { fault.CutResponses(0, -1) })
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "outcome is unknown") {
		t.Errorf("got %v", err)
	}
	fault.Down()
	if err := put(db, alice, "k", nil); !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "unknown") {
		t.Errorf("while the server is away: %v", err)
	}
	if _, err := get(db, alice, "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("while the server is away: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := db.Due(ctx, time.Now(), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	fault.Heal()
	if err := put(db, alice, "k", nil); err != nil {
		t.Errorf("the server is back: %v", err)
	}
	again := open(t, postgres.Config{URL: direct})
	defer again.Close()
	if n := records(t, again, alice); n != 2 { // the unknown outcome was success
		t.Errorf("%d records", n)
	}
}

// TestOvertaken: other processes have written so often since that the token of
// a lost commit is pushed out of its owner's row: that is not taken for proof
// that it did not happen.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	direct, through, fault := behindFault(t)
	other := open(t, postgres.Config{URL: direct})
	defer other.Close()
	for _, owner := range []store.Owner{"s/new", "s/warm"} { // without a row, and with one
		fault.Heal()
		db := warm(t, postgres.Config{URL: through, OutcomeWait: time.Minute})
		done := make(chan error)
		struck := make(chan (<-chan struct{}), 1)
		go func() {
			_, err := counted(db, owner, func(run int) {
				if run == 1 {
					fault.CutResponses(0, -1)
					struck <- fault.Struck()
				}
			})
			done <- err
		}()
		<-<-struck
		for range 8 {
			if err := put(other, owner, "other", nil); err != nil {
				t.Fatal(err)
			}
		}
		fault.Heal()
		if err := <-done; !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "outcome is unknown") {
			t.Errorf("%s: %v", owner, err)
		}
		db.Close()
	}
}

// TestConflict: what the server gives up for the sake of another transaction
// (SQLSTATE 40001) runs again, on what the other has left.
func TestConflict(t *testing.T) {
	t.Parallel()
	url := engines.Postgres(t)
	db := open(t, postgres.Config{URL: serializable(url)})
	defer db.Close()
	if err := put(db, alice, "n", []byte("1")); err != nil {
		t.Fatal(err)
	}
	other := raw(t, url)
	var seen []string
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		v, err := tx.Get([]byte("n"))
		if err != nil {
			return err
		}
		if seen = append(seen, string(v)); len(seen) == 1 {
			exec(t, other, "UPDATE pli.records SET value = '7'")
		}
		return tx.Put([]byte("n"), append(bytes.Clone(v), '+'))
	})
	if v, _ := get(db, alice, "n"); err != nil || strings.Join(seen, " ") != "1 7" || string(v) != "7+" {
		t.Errorf("%v, runs saw %q, left %q", err, seen, v)
	}
	if s := db.Stats(); s.Retried != 1 || s.Asked != 0 {
		t.Errorf("%+v", s)
	}
}

// TestConflictForEver: one that always meets another ends, with nothing
// written.
func TestConflictForEver(t *testing.T) {
	t.Parallel()
	url := engines.Postgres(t)
	db := open(t, postgres.Config{URL: serializable(url), Patience: 100 * time.Millisecond})
	defer db.Close()
	if err := put(db, alice, "n", []byte("1")); err != nil {
		t.Fatal(err)
	}
	other := raw(t, url)
	runs := 0
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		runs++
		if _, err := tx.Get([]byte("n")); err != nil {
			return err
		}
		exec(t, other, "UPDATE pli.records SET value = '7'")
		return tx.Put([]byte("n"), []byte("mine"))
	})
	if !errors.Is(err, store.ErrUnavailable) || runs < 2 {
		t.Errorf("ran %d times, %v", runs, err)
	}
	if v, err := get(db, alice, "n"); string(v) != "7" {
		t.Errorf("left %q, %v", v, err)
	}
}

// TestDeadlock: a transaction that the server ends to resolve one (40P01) runs
// again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	url := engines.Postgres(t)
	db := open(t, postgres.Config{URL: url + "&options=-c%20deadlock_timeout%3D10ms"})
	defer db.Close()
	if err := put(db, alice, "n", []byte("1")); err != nil {
		t.Fatal(err)
	}
	other := raw(t, url+"&options=-c%20deadlock_timeout%3D1min")
	exec(t, other, "BEGIN")
	exec(t, other, "UPDATE pli.records SET value = '7'")
	ended := make(chan error, 1)
	runs := 0
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		if runs++; runs == 1 {
			if _, err := tx.Get([]byte("n")); err != nil { // the owner's row is ours now
				return err
			}
			go func() {
				_, err := other.Exec(context.Background(), "SELECT FROM pli.owners FOR UPDATE; COMMIT")
				ended <- err
			}()
			waitFor(t, raw(t, url), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()", 1)
		}
		return tx.Put([]byte("n"), []byte("mine"))
	})
	if err != nil || runs < 2 { // more often if it comes in the other's way again
		t.Errorf("ran %d times, %v", runs, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the other: %v", err)
	}
	if v, err := get(db, alice, "n"); string(v) != "mine" {
		t.Errorf("left %q, %v", v, err)
	}
}

// waitFor asks until a number is the one wanted.
func waitFor(t testing.TB, conn *pgx.Conn, sql string, want int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		var n int
		if err := conn.QueryRow(context.Background(), sql).Scan(&n); err != nil || time.Now().After(deadline) {
			t.Fatalf("%s: %d, not %d; %v", sql, n, want, err)
		}
		if n == want {
			return
		}
	}
}
