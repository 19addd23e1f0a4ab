package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"pli/cmd/pli/instance"
)

type serveCmd struct {
	Config  string `required:"" placeholder:"FILE" help:"Configuration file." env:"PLI_CONFIG"`
	Standby bool   `help:"Wait for as long as another machine serves the same store, then take over."`
	Debug   bool   `help:"Log more."`
}

// Help gives examples.
func (serveCmd) Help() string {
	return "Ends cleanly on Ctrl-C or SIGTERM: listeners, then sessions, then stores.\n\nExamples:\n  pli serve --config /srv/pli/pli.toml\n  pli serve --config /srv/pli/pli.toml --standby"
}

// Run serves until the context ends.
func (c *serveCmd) Run(a *app) error {
	cfg, err := instance.LoadConfig(c.Config)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if c.Debug {
		level = slog.LevelDebug
	}
	in, err := instance.Open(a.ctx, cfg, instance.Deps{Now: time.Now, Log: a.logger(level), Standby: c.Standby})
	if err != nil {
		return err
	}
	if err := in.Start(); err != nil {
		in.Close()
		return err
	}
	fmt.Fprintf(a.stdout, "Pli serves %s: portal https://%s\n", cfg.Name, in.Addrs().Web)
	select {
	case <-a.ctx.Done():
		return in.Close()
	case <-in.Lost():
		return errors.Join(errors.New("another instance serves the store now"), in.Close())
	}
}

type initCmd struct {
	Dir           string   `required:"" placeholder:"DIR" help:"Folder to make; must be absent or empty."`
	Name          string   `default:"localhost" help:"Host name of the operator."`
	PatientDomain string   `default:"patient.pli.test" help:"Domain of the holders' addresses."`
	LocalDomain   []string `default:"medecin.pli.test" help:"Domains of the members' addresses."`
	DevCA         bool     `name:"dev-ca" help:"Also make a development authority and a server certificate."`
	engines
}

// engines are the flags of whatever makes an instance.
type engines struct {
	Store string `placeholder:"URL" help:"PostgreSQL database for the records (postgres://USER@HOST/DATABASE), instead of files."`
	Blobs string `placeholder:"URL" help:"S3 bucket for what is large (s3://ACCESS:SECRET@HOST/BUCKET), instead of files."`
}

// Help gives examples.
func (initCmd) Help() string {
	return `Writes pli.toml (every setting with its meaning) and the master key. Keep a copy of
keys/master.key apart from the data: without it nothing can be read again.

Examples:
  pli init --dir /srv/pli --name mss.example.org --patient-domain patient.example.org
  pli init --dir /srv/pli --store postgres://pli@db/pli --blobs s3://KEY:SECRET@s3.example.org/pli
  pli init --dir ./try --dev-ca && pli serve --config ./try/pli.toml`
}

// Run makes the folder.
func (c *initCmd) Run(a *app) error {
	cfg := instance.DefaultConfig()
	cfg.Name, cfg.PatientDomain, cfg.LocalDomains = c.Name, c.PatientDomain, c.LocalDomain
	cfg.UseEngines(c.Store, c.Blobs)
	if err := instance.Init(a.ctx, c.Dir, cfg, c.DevCA, time.Now); err != nil {
		return err
	}
	file := filepath.Join(c.Dir, "pli.toml")
	fmt.Fprintf(a.stdout, "Made %s. Next:\n", c.Dir)
	if !c.DevCA {
		fmt.Fprintf(a.stdout, "  put the server's certificate, its key and the authorities' certificates where %s says\n", file)
	}
	fmt.Fprintf(a.stdout, "  %s serve --config %s\n", filepath.Base(os.Args[0]), file)
	return nil
}
