// Package demo runs a whole instance on loopback with sample people.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"pli/certs"
	"pli/cmd/pli/instance"
)

// Options says what demo to run.
type Options struct {
	Dir       string // folder for everything; one that holds a demo goes on with it
	AutoPorts bool   // free ports instead of the usual ones
	Spaces    int    // further holders
	Now       func() time.Time
	Log       *slog.Logger
	Progress  func(string)           // told of long work; may be nil
	Configure func(*instance.Config) // last word on the configuration; may be nil
	NoReport  bool                   // deliver no first laboratory report
	Store     string                 // engine of a new demo's records; "" the embedded one
	Blobs     string                 // the same of its blobs
}

// Demo is a running demo.
type Demo struct {
	*instance.Instance
	File File
	Dir  string
}

const (
	patientDomain = "patient.pli.test"
	proDomain     = "medecin.pli.test"
	labDomain     = "labo.pli.test"
	peerDomain    = "mss.autre.test"
	fileName      = "demo.json"
)

// Start makes the demo's folder, or goes on with the one there, and serves it.
func Start(ctx context.Context, o Options) (*Demo, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	d := &Demo{Dir: dir}
	err = d.read()
	fresh := errors.Is(err, os.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	if fresh {
		if err := d.prepare(ctx, o); err != nil {
			return nil, err
		}
	}
	cfg, err := instance.LoadConfig(d.path("pli.toml"))
	if err != nil {
		return nil, err
	}
	if o.AutoPorts {
		autoPorts(cfg)
	}
	if o.Configure != nil {
		o.Configure(cfg)
	}
	if d.Instance, err = instance.Open(ctx, cfg, instance.Deps{Now: o.Now, Log: o.Log}); err != nil {
		return nil, err
	}
	if err := d.begin(ctx, o, fresh); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// begin fills a fresh instance, opens the doors and delivers the first report.
func (d *Demo) begin(ctx context.Context, o Options, fresh bool) error {
	if fresh {
		if err := d.populate(ctx, o); err != nil {
			return err
		}
	}
	if err := d.Instance.Start(); err != nil {
		return err
	}
	a := d.Addrs()
	f := &d.File
	f.Web, f.Metrics = "https://"+a.Web, "http://"+a.Metrics
	f.IMAPS, f.IMAP, f.Submissions, f.Submission, f.MX = a.IMAPS, a.IMAP, a.Submissions, a.Submission, a.MX
	if fresh && !o.NoReport {
		if err := d.sendReport(o.Now()); err != nil {
			return fmt.Errorf("the first laboratory report was not delivered: %w", err)
		}
	}
	return d.write()
}

func (d *Demo) path(name string) string { return filepath.Join(d.Dir, name) }

func (d *Demo) read() error {
	b, err := os.ReadFile(d.path(fileName))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &d.File); err != nil {
		return fmt.Errorf("%s: %w", d.path(fileName), err)
	}
	return nil
}

func (d *Demo) write() error {
	b, err := json.MarshalIndent(d.File, "", "  ")
	if err != nil {
		return err
	}
	tmp := d.path(fileName + ".new")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, d.path(fileName))
}

// prepare makes the folder: keys, configuration, development authority.
func (d *Demo) prepare(ctx context.Context, o Options) error {
	cfg := instance.DefaultConfig()
	cfg.Name, cfg.TestIdentities = "mss.pli.test", true
	cfg.PatientDomain, cfg.LocalDomains = patientDomain, []string{proDomain, labDomain}
	cfg.UseEngines(o.Store, o.Blobs)
	// A demo makes many sign-ins at its start, so each costs what the least
	// advice for argon2id allows (19 MiB, two passes) and not the default.
	cfg.Argon.Memory, cfg.Argon.Passes, cfg.Argon.Threads = 19*1024, 2, 1
	if err := instance.Init(ctx, d.Dir, cfg, true, o.Now); err != nil {
		return err
	}
	d.File.CA, d.File.Outbox = d.path("ca.pem"), d.path("outbox")
	return os.MkdirAll(d.File.Outbox, 0o700)
}

// autoPorts asks the system for a free port at each door.
func autoPorts(c *instance.Config) {
	l := &c.Listen
	for _, p := range []*string{&l.Web, &l.MX, &l.Submissions, &l.Submission, &l.IMAPS, &l.IMAP, &l.Metrics} {
		*p = "127.0.0.1:0"
	}
}

// issue writes a certificate and its key into the folder and returns their paths.
func (d *Demo) issue(name string, is certs.Issued) (cert, key string, err error) {
	cert, key = d.path(name+".pem"), d.path(name+".key.pem")
	if err := os.WriteFile(cert, is.CertPEM, 0o644); err != nil {
		return "", "", err
	}
	return cert, key, os.WriteFile(key, is.KeyPEM, 0o600)
}

// Describe prints where to look and with which sign-ins.
func (d *Demo) Describe(w io.Writer, took time.Duration) {
	f := d.File
	fmt.Fprintf(w, "Pli runs in %s (ready in %.1f s). All of it is sample data; Ctrl-C ends it.\n\n", d.Dir, took.Seconds())
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(t, "Portal\t%s\n", f.Web)
	fmt.Fprintf(t, "IMAP\t%s (TLS), %s (STARTTLS)\n", f.IMAPS, f.IMAP)
	fmt.Fprintf(t, "Submission\t%s (TLS), %s (STARTTLS)\n", f.Submissions, f.Submission)
	fmt.Fprintf(t, "MX\t%s (STARTTLS, operator certificate)\n", f.MX)
	fmt.Fprintf(t, "Metrics\t%s/metrics\n", f.Metrics)
	fmt.Fprintf(t, "Authority\t%s\n", f.CA)
	fmt.Fprintf(t, "Codes, notices\t%s\n\n", f.Outbox)
	fmt.Fprintln(t, "WHO\tADDRESS\tLOGIN\tPASSWORD\tMAIL PASSWORD")
	for i, h := range f.Holders {
		if i == len(holders) {
			fmt.Fprintf(t, "… %d further holders\t(%s)\t\t\t\n", len(f.Holders)-i, fileName)
			break
		}
		fmt.Fprintf(t, "%s, holder\t%s\t%s\t%s\t%s\n", h.Name, h.Address, h.Login, h.Password, h.MailPassword)
	}
	for _, p := range f.Professionals {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Address, p.Login, p.Password, p.MailPassword)
	}
	for _, e := range f.Establishments {
		fmt.Fprintf(t, "%s\t%s\t\t\t%s\n", e.Name, e.Address, e.MailPassword)
	}
	t.Flush()
	h := f.Holders[0]
	fmt.Fprintf(w, "\nTry: open %s, sign in as %s (the code is in %s), read the laboratory's report.\n", f.Web, h.Login, f.Outbox)
	fmt.Fprintf(w, "Or:  curl --cacert %s --user '%s:%s' 'imaps://%s/INBOX;MAILINDEX=1'\n", f.CA, h.Address, h.MailPassword, f.IMAPS)
	fmt.Fprintf(w, "All of this for programs: %s\n", strings.TrimSpace(d.path(fileName)))
}
