package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pli/internal/engines"
	"pli/store"
	"pli/store/postgres"
)

// random returns n bytes that do not repeat.
func random(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// TestOpen: many processes may open a new store at once; what one schema holds
// another does not; a format of the future is refused.
func TestOpen(t *testing.T) {
	t.Parallel()
	at := engines.Postgres(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			db, err := postgres.Open(context.Background(), postgres.Config{URL: at, Schema: "shared"})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := put(db, alice, fmt.Sprint(i), []byte("v")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for schema, n := range map[string]int{"shared": 8, "other": 0} {
		db := open(t, postgres.Config{URL: at, Schema: schema})
		if got := records(t, db, alice); got != n {
			t.Errorf("%s has %d records", schema, got)
		}
		db.Close()
	}
	exec(t, raw(t, at), "UPDATE shared.format SET version = version + 1")
	_, err := postgres.Open(context.Background(), postgres.Config{URL: at, Schema: "shared"})
	if err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("a format of the future: %v", err)
	}
}

// TestOpenRefused: what cannot be right is said at once.
func TestOpenRefused(t *testing.T) {
	t.Parallel()
	at := engines.Postgres(t)
	u, _ := url.Parse(at)
	u.Host = "127.0.0.1:1"
	for name, cfg := range map[string]postgres.Config{
		"no URL":            {URL: "postgres://%zz"},
		"text answers":      {URL: at + "&default_query_exec_mode=simple_protocol"},
		"a quoted schema":   {URL: at, Schema: "Pli"},
		"a long schema":     {URL: at, Schema: strings.Repeat("a", 64)},
		"a digit first":     {URL: at, Schema: "1a"},
		"a hasty commit":    {URL: at + "&options=-c%20synchronous_commit%3Doff"},
		"a server far away": {URL: u.String(), Patience: 20 * time.Millisecond},
	} {
		db, err := postgres.Open(context.Background(), cfg)
		if err == nil {
			t.Errorf("%s is accepted", name)
			db.Close()
			continue
		}
		if away := errors.Is(err, store.ErrUnavailable); away != (name == "a server far away") {
			t.Errorf("%s: %v", name, err)
		}
	}
	open(t, postgres.Config{URL: at, Schema: strings.Repeat("a", 63)}).Close()
	open(t, postgres.Config{URL: at + "&options=-c%20synchronous_commit%3Doff", Unsafe: true}).Close()
}

// TestUnsafeServer: a server that does not sync is refused, by name of the
// setting, unless that is wanted.
func TestUnsafeServer(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"fsync", "full_page_writes"} {
		cluster := engines.NewCluster(t, setting+"=off")
		_, err := postgres.Open(context.Background(), postgres.Config{URL: cluster.URL()})
		if err == nil || !strings.Contains(err.Error(), setting+" = off") || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		db := open(t, postgres.Config{URL: cluster.URL(), Unsafe: true})
		if err := errors.Join(put(db, alice, "k", nil), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestOrdinaryRole: a role with no more than the right to read and write rows
// suffices once the tables are there; one that may not connect now is told so
// as one that may later.
func TestOrdinaryRole(t *testing.T) {
	t.Parallel()
	at := engines.Postgres(t)
	open(t, postgres.Config{URL: at}).Close()
	admin := raw(t, at)
	role := "role_" + filepath.Base(strings.Split(at, "?")[0])
	for _, sql := range []string{
		"CREATE ROLE " + role + " LOGIN CONNECTION LIMIT 1", "GRANT USAGE ON SCHEMA pli TO " + role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pli TO " + role,
	} {
		exec(t, admin, sql)
	}
	as := strings.Replace(at, "postgres@", role+"@", 1)
	db := open(t, postgres.Config{URL: as, Conns: 1})
	if err := errors.Join(put(db, alice, "k", []byte("v")), db.Check(context.Background()), db.Close()); err != nil {
		t.Error(err)
	}
	waitFor(t, admin, "SELECT count(*) FROM pg_stat_activity WHERE usename = '"+role+"'", 0)
	raw(t, as)
	_, err := postgres.Open(context.Background(), postgres.Config{URL: as, Patience: 20 * time.Millisecond})
	if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "53300") {
		t.Errorf("too many connections: %v", err)
	}
}

// TestWiden: a wrapper may add what it says to each value, and not a byte more.
func TestWiden(t *testing.T) {
	t.Parallel()
	bare := open(t, postgres.Config{})
	defer bare.Close()
	db := bare.Widen(20).(store.Widener).Widen(9)
	if err := put(db, alice, "k", random(store.MaxValue+29)); err != nil {
		t.Error(err)
	}
	if err := put(db, alice, "k", random(store.MaxValue+30)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		for i := range store.MaxTx / store.MaxValue {
			if err := tx.Put([]byte{byte(i)}, random(store.MaxValue+29)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("a transaction of wide values: %v", err)
	}
	if err := put(bare, alice, "k", random(store.MaxValue+1)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("the bare store is wide: %v", err)
	}
}

// TestGiveUp: who waits for an owner's turn may stop waiting, who ends its
// goroutine takes nobody with it, and a panic says where, and nothing of what.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Config{})
	defer db.Close()
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		db.Update(context.Background(), alice, func(tx store.Tx) error {
			tx.Put([]byte("k"), nil)
			close(inside)
			<-leave
			runtime.Goexit()
			return nil
		})
	})
	<-inside
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := db.Update(ctx, alice, func(tx store.Tx) error { return tx.Put([]byte("k"), nil) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context that ends while waiting: %v", err)
	}
	close(leave)
	wg.Wait()
	err = db.Update(context.Background(), alice, func(tx store.Tx) error { tx.Put([]byte("k"), nil); panic("the patient's name") })
	if err == nil || !strings.Contains(err.Error(), "engine_test.go:") || strings.Contains(err.Error(), "patient") {
		t.Errorf("got %v", err)
	}
	err = db.Update(context.Background(), alice, func(tx store.Tx) error {
		tx.AfterCommit(func() { panic("boom") })
		return tx.Put([]byte("other"), nil)
	})
	if err != nil {
		t.Error(err)
	}
	if n := records(t, db, alice); n != 1 {
		t.Errorf("%d records", n)
	}
}

// TestFull: a server without room says so, keeps what it has acknowledged,
// takes nothing in part, and goes on once there is room.
func TestFull(t *testing.T) {
	t.Parallel()
	cluster := engines.NewCluster(t)
	open(t, postgres.Config{URL: cluster.URL()}).Close()
	cluster.LimitFiles(t, 32<<20+4096)
	db := open(t, postgres.Config{URL: cluster.URL()})
	value := random(store.MaxValue)
	var err error
	n := 0
	for ; n < 200 && err == nil; n++ {
		err = db.Update(context.Background(), alice, func(tx store.Tx) error {
			return errors.Join(tx.Put(fmt.Appendf(nil, "small/%03d", n), nil), tx.Put(fmt.Appendf(nil, "large/%03d", n), value))
		})
	}
	if !errors.Is(err, store.ErrFull) || n < 5 {
		t.Fatalf("after %d MiB: %v", n, err)
	}
	if got := records(t, db, alice); got != 2*(n-1) {
		t.Errorf("%d records after %d transactions", got, n-1)
	}
	if err := put(db, "s/bob", "k", []byte("small")); err != nil {
		t.Errorf("where there is room still: %v", err)
	}
	err = db.Update(context.Background(), alice, func(tx store.Tx) error { return tx.Delete([]byte("large/000")) })
	if err != nil {
		t.Errorf("a deletion: %v", err)
	}
	if err := errors.Join(db.Check(context.Background()), db.Close()); err != nil {
		t.Error(err)
	}
	cluster.LimitFiles(t, 0)
	db = open(t, postgres.Config{URL: cluster.URL()})
	defer db.Close()
	if err := put(db, alice, "large/again", value); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

// TestScrub: what was deleted and replaced is no more in the server's tables
// once they are scrubbed, while transactions are under way too.
func TestScrub(t *testing.T) {
	t.Parallel()
	cluster := engines.NewCluster(t, "autovacuum=off")
	db := open(t, postgres.Config{URL: cluster.URL()})
	defer db.Close()
	old, kept := []byte("Zyklothymie-7Q"), []byte("Rekonvaleszenz-3X")
	found := func(word []byte) bool {
		cluster.SQL(t, "CHECKPOINT")
		there := false
		err := filepath.WalkDir(filepath.Join(cluster.Dir(), "base"), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // files come and go
			}
			b, _ := os.ReadFile(path)
			there = there || bytes.Contains(b, word)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return there
	}
	for _, key := range []string{"deleted", "replaced"} {
		if err := put(db, alice, key, old); err != nil {
			t.Fatal(err)
		}
	}
	err := db.Update(context.Background(), alice, func(tx store.Tx) error {
		return errors.Join(tx.Delete([]byte("deleted")), tx.Put([]byte("replaced"), kept))
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found(old) {
		t.Fatal("nothing is left to be scrubbed: the test proves nothing")
	}
	if err := db.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	if found(old) || !found(kept) {
		t.Errorf("the old value is there: %v; the new one: %v", found(old), found(kept))
	}
	if v, err := get(db, alice, "replaced"); err != nil || !bytes.Equal(v, kept) {
		t.Errorf("%q, %v", v, err)
	}
}

// TestDamage: a value that the server has lost is told by owner and key, by
// Get and by Check; all else stays readable.
func TestDamage(t *testing.T) {
	t.Parallel()
	cluster := engines.NewCluster(t)
	db := open(t, postgres.Config{URL: cluster.URL()})
	defer db.Close()
	for key, size := range map[string]int{"a": 10, "large": 50_000, "b": 20} {
		if err := put(db, alice, key, random(size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	file := cluster.SQL(t, "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = 'pli.records'::regclass")
	cluster.Stop(t)
	path := filepath.Join(cluster.Dir(), file)
	b, err := os.ReadFile(path)
	if err != nil || len(b) < 50_000 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(make([]byte, len(b)))
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	cluster.Start(t)
	_, err = get(db, alice, "large")
	for who, err := range map[string]error{"Get": err, "Check": db.Check(context.Background())} {
		var d *store.Damage
		if !errors.As(err, &d) || d.Owner != alice || string(d.Key) != "large" {
			t.Errorf("%s: %v", who, err)
		}
	}
	for _, key := range []string{"a", "b"} {
		if _, err := get(db, alice, key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestCheck finds what no transaction could have left.
func TestCheck(t *testing.T) {
	t.Parallel()
	at := engines.Postgres(t)
	db := open(t, postgres.Config{URL: at})
	defer db.Close()
	if err := put(db, alice, "k", nil); err != nil {
		t.Fatal(err)
	}
	conn := raw(t, at)
	for name, sql := range map[string][2]string{
		"an owner without a row": {"DELETE FROM pli.owners", "INSERT INTO pli.owners VALUES ('s/alice', '')"},
		"no form of an owner":    {"UPDATE pli.records SET owner = 'S'", "UPDATE pli.records SET owner = 's/alice'"},
		"a long key":             {"UPDATE pli.records SET key = sha512('') || sha512('') || sha512('') || sha512('') || '1'", "UPDATE pli.records SET key = 'k'"},
	} {
		exec(t, conn, sql[0])
		if err := db.Check(context.Background()); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		exec(t, conn, sql[1])
		if err := db.Check(context.Background()); err != nil {
			t.Errorf("%s is mended: %v", name, err)
		}
	}
	// An index that misses what was written while it was not ready.
	const ready = "UPDATE pg_index SET indisready = $1 WHERE indexrelid = 'pli.records_due'::regclass"
	exec(t, conn, ready, false)
	err := db.Update(context.Background(), alice, func(tx store.Tx) error { return tx.PutDue([]byte("due"), nil, time.UnixMilli(1)) })
	if err != nil {
		t.Fatal(err)
	}
	exec(t, conn, ready, true)
	if err := db.Check(context.Background()); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "due times") {
		t.Errorf("a due time that the index misses: %v", err)
	}
}
