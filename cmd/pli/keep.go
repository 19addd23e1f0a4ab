package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"pli/cmd/pli/instance"
)

type keepCmd struct {
	Sweep   keepSweepCmd   `cmd:"" help:"Remove blobs that no record names."`
	Compact keepCompactCmd `cmd:"" help:"Give back the free room of the bolt engine's files."`
	Status  keepStatusCmd  `cmd:"" help:"Show engines, files, blobs, and what was last done."`
}

// watched returns a context whose operation tells standard error how far it is.
func (a *app) watched() context.Context {
	return instance.Watch(a.ctx, func(text string) { fmt.Fprintln(a.stderr, text) })
}

type keepSweepCmd struct {
	remote
	instance.SweepArgs
}

// Help says what is removed, and gives examples.
func (keepSweepCmd) Help() string {
	return `A crash between a blob and its record leaves a blob that nobody can ever open. A
sweep removes those that are older than keep.sweep_grace and that two looks at
all records have not found named. It removes nothing if any record cannot be
read, or if more than keep.sweep_share of all blobs is unnamed, or not one is
named: are they another instance's? A running
instance does this by itself every keep.sweep_every. How far it is goes to
standard error; the exit code is 1 when it stopped.

Examples:
  pli keep sweep --config pli.toml --dry-run
  pli keep sweep --config pli.toml --json`
}

// Run sweeps once.
func (c *keepSweepCmd) Run(a *app) error {
	var out instance.SweepReport
	if err := instance.Call(a.watched(), c.Config, "keep.sweep", c.SweepArgs, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, func(w io.Writer) { fmt.Fprintln(w, out) }); err != nil {
		return err
	}
	return stopped(out.Stopped)
}

// stopped makes a failure of a chore that did not go on.
func stopped(why string) error {
	if why == "" {
		return nil
	}
	return fmt.Errorf("it stopped: %s", why)
}

type keepCompactCmd struct {
	remote
}

// Help says which files, and gives an example.
func (keepCompactCmd) Help() string {
	return `Rewrites each file of which more than keep.compact_free, and at least
keep.compact_least bytes, is free. The instance goes on meanwhile, and does this
by itself every keep.compact_every. PostgreSQL looks after its own files.

Example:
  pli keep compact --config pli.toml`
}

// Run compacts once.
func (c *keepCompactCmd) Run(a *app) error {
	var out instance.CompactReport
	if err := instance.Call(a.watched(), c.Config, "keep.compact", struct{}{}, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, func(w io.Writer) { fmt.Fprintln(w, out) }); err != nil {
		return err
	}
	return stopped(out.Stopped)
}

type keepStatusCmd struct {
	remote
}

// Help gives an example.
func (keepStatusCmd) Help() string { return "Example:\n  pli keep status --config pli.toml --json" }

// Run shows how the stores are.
func (c *keepStatusCmd) Run(a *app) error {
	var out instance.KeepStatus
	if err := instance.Call(a.ctx, c.Config, "keep.status", struct{}{}, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintf(t, "records\t%s\n", out.Engine)
		for _, f := range out.Files {
			fmt.Fprintf(t, "  %s/%s\t%d bytes, %.0f %% free\n", f.Store, f.File, f.Bytes, 100*f.Share())
		}
		fmt.Fprintf(t, "blobs\t%s: %d, %d bytes\n", out.BlobEngine, out.Blobs, out.BlobBytes)
		if out.Sweep == nil {
			fmt.Fprintf(t, "last sweep\tnone yet\n")
		} else {
			fmt.Fprintf(t, "last sweep\t%s\n", last(out.Sweep.Started, out.Sweep, out.Sweep.Stopped))
		}
		if out.Compaction == nil {
			fmt.Fprintf(t, "last compaction\tnone yet\n")
		} else {
			fmt.Fprintf(t, "last compaction\t%s\n", last(out.Compaction.Started, out.Compaction, out.Compaction.Stopped))
		}
		if out.Running != "" {
			fmt.Fprintf(t, "under way\t%s\n", out.Running)
		}
		t.Flush()
	})
}

// last says when a chore was done, and how it went.
func last(at time.Time, what fmt.Stringer, why string) string {
	line := at.Format(time.RFC3339) + ": " + what.String()
	if why != "" {
		line += "; it stopped: " + why
	}
	return line
}
