package engines

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var sharedPostgres struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Postgres returns the URL of a fresh, empty database on the PostgreSQL server
// that the test process shares. It syncs as a real one does.
func Postgres(t testing.TB) string {
	t.Helper()
	s := &sharedPostgres
	bin := postgresTools(t)
	s.once.Do(func() {
		if s.cluster, s.err = newCluster(bin); s.err == nil {
			s.err = s.cluster.startSomewhere()
			atEnd(s.cluster.remove)
			keepsIn(s.cluster.dir)
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.cluster.Database(t)
}

// NewCluster starts a PostgreSQL server of the test's own, stopped and removed
// at its end. settings are further lines of its configuration, "name=value".
func NewCluster(t testing.TB, settings ...string) *Cluster {
	t.Helper()
	c, err := newCluster(postgresTools(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.remove)
	c.settings = append(c.settings, settings...)
	if err := c.startSomewhere(); err != nil {
		t.Fatal(err)
	}
	return c
}

// URL returns the URL of the server's database "postgres".
func (c *Cluster) URL() string { return c.url("postgres") }

func (c *Cluster) url(database string) string { return postgresURL(database, nil, c) }

// postgresURL returns the URL of a database that any of the servers may have.
func postgresURL(database string, query url.Values, on ...*Cluster) string {
	hosts := ""
	for i, c := range on {
		if i > 0 {
			hosts += ","
		}
		hosts += fmt.Sprintf("127.0.0.1:%d", c.port)
	}
	if query == nil {
		query = url.Values{}
	}
	query.Set("sslmode", "disable")
	return fmt.Sprintf("postgres://postgres@%s/%s?%s", hosts, database, query.Encode())
}

var databases atomic.Uint64

// Database returns the URL of a fresh, empty database on the server.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	c.SQL(t, "CREATE DATABASE "+name+" TEMPLATE template0")
	return c.url(name)
}

// SQL runs one statement in the database "postgres" and returns the first
// value of its first row as text, "" if there is none.
func (c *Cluster) SQL(t testing.TB, statement string) string {
	t.Helper()
	v, err := c.sql(statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return v
}

func (c *Cluster) sql(statement string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), serverPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, statement).ReadAll()
	if err != nil {
		return "", err
	}
	for _, r := range results {
		if len(r.Rows) > 0 && len(r.Rows[0]) > 0 {
			return string(r.Rows[0][0]), nil
		}
	}
	return "", nil
}

// waitSQL waits until a statement's first value is the one wanted.
func (c *Cluster) waitSQL(statement, want string) error {
	for deadline := time.Now().Add(serverPatience); ; time.Sleep(serverPoll) {
		got, err := c.sql(statement)
		if err == nil && got == want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is %q, not %q (%v)", statement, got, want, err)
		}
	}
}

// Pair is a primary and a synchronous streaming standby: what the primary has
// acknowledged, both have on disk.
type Pair struct{ Primary, Standby *Cluster }

// NewPair starts a pair of the test's own, stopped and removed at its end.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	a := NewCluster(t)
	b, err := a.clone("standby")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.remove)
	if err := b.startSomewhere(); err != nil {
		t.Fatal(err)
	}
	a.SQL(t, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
	a.SQL(t, "SELECT pg_reload_conf()")
	if err := a.waitSQL("SELECT sync_state FROM pg_stat_replication", "sync"); err != nil {
		t.Fatal(err)
	}
	return &Pair{Primary: a, Standby: b}
}

// URL returns the URL that leads to whichever of the two takes writes.
func (p *Pair) URL() string {
	return postgresURL("postgres", url.Values{"target_session_attrs": {"read-write"}}, p.Primary, p.Standby)
}

// KillPrimary ends the primary without warning.
func (p *Pair) KillPrimary(t testing.TB) { t.Helper(); p.Primary.Kill(t) }

// Promote makes the standby the one that takes writes, alone.
func (p *Pair) Promote(t testing.TB) {
	t.Helper()
	if ok := p.Standby.SQL(t, "SELECT pg_promote(true, 60)"); ok != "t" {
		t.Fatal("the standby was not promoted in time")
	}
}

// clone returns a stopped copy of c that follows it as a streaming standby.
func (c *Cluster) clone(name string) (*Cluster, error) {
	dir, err := newPostgresFolder()
	if err != nil {
		return nil, err
	}
	b := &Cluster{bin: c.bin, dir: dir, settings: c.settings}
	from := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=%s", c.port, name)
	err = b.run("pg_basebackup", "-d", from, "-D", b.Dir(), "-R", "-X", "stream", "-C", "-S", name, "-c", "fast", "--no-sync")
	if err != nil {
		b.remove()
		return nil, err
	}
	return b, nil
}

// postgresTools returns the folder of the newest PostgreSQL's programs.
func postgresTools(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	newest, version := "", 0
	for _, path := range found {
		var v int
		if _, err := fmt.Sscanf(path, "/usr/lib/postgresql/%d/", &v); err == nil && v > version {
			newest, version = filepath.Dir(path), v
		}
	}
	if newest == "" {
		Missing(t, "PostgreSQL's server")
	}
	return newest
}

var template struct {
	once sync.Once
	dir  string
	err  error
}

// newCluster returns a stopped server with an empty data folder, copied from
// one that is made once.
func newCluster(bin string) (*Cluster, error) {
	template.once.Do(func() {
		first := &Cluster{bin: bin}
		if first.dir, template.err = newPostgresFolder(); template.err != nil {
			return
		}
		atEnd(first.remove)
		template.dir = first.dir
		template.err = first.run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D", first.Dir())
	})
	if template.err != nil {
		return nil, template.err
	}
	dir, err := newPostgresFolder()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir}
	if err := c.runAsIs("cp", "-a", filepath.Join(template.dir, dataFolder), c.Dir()); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return c, nil
}
