package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"pli/cmd/pli/demo"
)

type demoCmd struct {
	Dir    string `placeholder:"DIR" help:"Folder for everything; a temporary one, removed at the end, if none."`
	Ports  string `default:"default" enum:"default,auto" help:"«auto» takes free ports."`
	Spaces int    `default:"0" help:"So many further holders, all listed in demo.json."`
	Debug  bool   `help:"Log more."`
	engines
}

// Help gives examples.
func (demoCmd) Help() string {
	return `Starts everything on 127.0.0.1 with a development authority, sample people, a
laboratory and a peer operator, delivers one laboratory report over SMTP, prints
where to look, and writes DIR/demo.json. One-time codes and notices that would go
outside are dropped as .eml files in DIR/outbox.

Examples:
  pli demo
  pli demo --dir ./demo --ports auto
  pli demo --dir /tmp/load --spaces 100
  pli demo --store postgres://pli@localhost/pli --blobs 's3://KEY:SECRET@localhost:9000/pli?tls=off'`
}

// Run runs the demo until the context ends.
func (c *demoCmd) Run(a *app) error {
	level := slog.LevelWarn
	if c.Debug {
		level = slog.LevelDebug
	}
	dir := c.Dir
	if dir == "" {
		tmp, err := os.MkdirTemp("", "pli-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		dir = tmp
	}
	started := time.Now()
	d, err := demo.Start(a.ctx, demo.Options{Dir: dir, AutoPorts: c.Ports == "auto", Spaces: c.Spaces, Store: c.Store, Blobs: c.Blobs,
		Now: time.Now, Log: a.logger(level), Progress: func(s string) { fmt.Fprintln(a.stderr, s) }})
	if err != nil {
		return err
	}
	d.Describe(a.stdout, time.Since(started))
	<-a.ctx.Done()
	fmt.Fprintln(a.stderr, "stopping")
	return d.Close()
}
