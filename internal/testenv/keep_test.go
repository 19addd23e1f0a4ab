package testenv_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pli/cmd/pli/demo"
	"pli/cmd/pli/instance"
	"pli/internal/testenv"
	"pli/store/blob"
	"pli/store/blob/dir"
	"pli/store/blob/s3"
)

// large is a message that lies in a blob.
func (c correspondence) large(subject string) demo.Message {
	c.T.Helper()
	m := c.Complete(demo.Message{From: c.doctor.Address, To: c.holder.Address, Subject: subject, Text: strings.Repeat("Une longue ligne.\n", 30_000)})
	c.Write(c.doctor.MailPassword, m)
	return m
}

// crashLeft stores a blob that no record names, as a crash leaves one, lets a
// day and more pass, and returns whether it is there. To the server's clock all
// blobs are old from then on, those that have no record yet among them.
func (c correspondence) crashLeft() (there func() bool) {
	t := c.T
	t.Helper()
	cfg, err := instance.LoadConfig(filepath.Join(c.Dir, "pli.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var blobs blob.Store
	if cfg.BlobEngine == "dir" {
		blobs, err = dir.Open(filepath.Join(cfg.Dir, "blobs"), dir.Config{})
	} else {
		blobs, err = s3.Open(t.Context(), s3.Config{URL: cfg.BlobEngine})
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := blobs.Create(t.Context())
	if err == nil {
		_, err = w.Write([]byte("half a message"))
	}
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	c.Clock.Advance(25 * time.Hour)
	return func() bool {
		r, err := blobs.Open(t.Context(), id)
		if errors.Is(err, blob.ErrNotFound) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		return true
	}
}

// metricsOf returns what the loopback port tells.
func metricsOf(e *testenv.Env) string {
	e.T.Helper()
	resp, err := http.Get(e.File.Metrics + "/metrics")
	if err != nil {
		e.T.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		e.T.Fatal(err)
	}
	return string(b)
}

// keepVerb runs a verb of house-keeping and returns both of its streams.
func keepVerb(t *testing.T, dir string, args ...string) (out, words string) {
	t.Helper()
	cmd := exec.Command(testenv.Pli(t), append(append([]string{"keep"}, args...), "--config", filepath.Join(dir, "pli.toml"))...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("pli keep %v: %v\n%s", args, err, stderr.String())
	}
	return string(b), stderr.String()
}

// The operator has a running instance swept: what a crash left goes, the mail
// stays, and what was done is told in words, in JSON, in the metrics, and when
// the instance has stopped (issue 3, 7).
func TestOperatorSweeps(t *testing.T) {
	t.Parallel()
	c := begin(t)
	c.large("Gros")
	there := c.crashLeft()
	if out, _ := keepVerb(t, c.Dir, "status"); !strings.Contains(out, "none yet") {
		t.Errorf("the status before: %s", out)
	}
	if out, words := keepVerb(t, c.Dir, "sweep", "--dry-run"); !strings.Contains(out, "2 blobs, 1 of them unnamed") || !strings.Contains(words, "sweep: ") || !there() {
		t.Errorf("a dry run: %s\non the way: %s\nthe orphan is there: %v", out, words, there())
	}
	out, _ := keepVerb(t, c.Dir, "sweep", "--json")
	var r instance.SweepReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Blobs != 2 || r.Removed != 1 || r.Freed != 14 || there() {
		t.Errorf("a sweep: %v: %s", err, out)
	}
	if out, _ := keepVerb(t, c.Dir, "compact"); !strings.Contains(out, "0 file(s) compacted") {
		t.Errorf("a compaction where nothing is worth it: %s", out)
	}
	told := metricsOf(c.Env)
	for _, want := range []string{"pli_sweep_removed_total 1\n", "pli_sweep_removed_bytes_total 14\n", "pli_sweep_blobs 2\n",
		`pli_sweep_runs_total{outcome="done"} 2`, `pli_compact_runs_total{outcome="done"} 1`} {
		if !strings.Contains(told, want) {
			t.Errorf("the metrics do not tell %s", want)
		}
	}
	if got := c.Mailbox(c.holder.Address, c.holder.MailPassword, "INBOX"); len(got) != 1 || len(got[0].Raw) < 500_000 {
		t.Error("the large message is gone")
	}
	c.CheckStore()
	c.Stop()
	if out, _ := keepVerb(t, c.Dir, "status"); strings.Contains(out, "none yet") || !strings.Contains(out, "1 removed") {
		t.Errorf("the status after: %s", out)
	}
}

// The instance sweeps by itself, while mail comes in.
func TestInstanceSweepsByItself(t *testing.T) {
	t.Parallel()
	c := begin(t, testenv.Configure(func(c *instance.Config) { c.Keep.SweepEvery = 20 * time.Millisecond }))
	c.large("Avant")
	there := c.crashLeft()
	for deadline := time.Now().Add(time.Minute); there(); {
		if time.Now().After(deadline) {
			t.Fatal("the orphan is still there after a minute")
		}
		c.doctorWrites("Pendant")
	}
	if r := c.CheckStore(); r.Blobs != 1 {
		t.Errorf("%d blobs; want that of the large message", r.Blobs)
	}
}

// A sweep that stops says why, and fails as a command.
func TestStoppedSweepFails(t *testing.T) {
	t.Parallel()
	c := begin(t, testenv.Configure(func(c *instance.Config) { c.Keep.SweepShare = 0.001 }))
	for range 101 {
		c.crashLeft()
	}
	config := filepath.Join(c.Dir, "pli.toml")
	if out, code := pli(t, "keep", "sweep", "--config", config); code != 1 || !strings.Contains(out, "keep.sweep_share") || !strings.Contains(out, "0 removed") {
		t.Errorf("too many: exit %d: %s", code, out)
	}
	if out, code := pli(t, "keep", "sweep", "--config", config, "--many"); code != 0 || !strings.Contains(out, "101 removed") {
		t.Errorf("the operator knows better: exit %d: %s", code, out)
	}
}
