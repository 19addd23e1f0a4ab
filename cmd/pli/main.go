// Pli is a person's health mailbox and dossier: one program that an operator
// runs. This file parses the command line; each verb has a file of its own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"pli/internal/errs"
)

// cli is the whole command line.
type cli struct {
	Demo    demoCmd    `cmd:"" help:"Run the whole system on loopback with sample people."`
	Init    initCmd    `cmd:"" help:"Make a folder for a real instance: configuration and keys."`
	Serve   serveCmd   `cmd:"" help:"Run an instance."`
	Space   spaceCmd   `cmd:"" help:"Spaces of holders: add, list, move through their life."`
	Member  memberCmd  `cmd:"" help:"Members (professionals, establishments) and their mailboxes."`
	Quota   quotaCmd   `cmd:"" help:"How much an account's mail holds and may hold."`
	Key     keyCmd     `cmd:"" help:"Keys: recovery by two operators, rotation, and how they stand."`
	Domain  domainCmd  `cmd:"" help:"Domains of the trusted space and their operators' certificates."`
	Verify  verifyCmd  `cmd:"" help:"Check everything that is stored: records, seals, bodies, traces."`
	Backup  backupCmd  `cmd:"" help:"Copy everything, sealed, while the instance runs; list, check and prune backups."`
	Restore restoreCmd `cmd:"" help:"Bring back a whole instance, or one account of a running one."`
	Export  exportCmd  `cmd:"" help:"Copy an account out, sealed as it lies."`
	Salvage salvageCmd `cmd:"" help:"Make a new instance of what can still be read of a damaged one."`
	Keep    keepCmd    `cmd:"" help:"House-keeping: orphan blobs, free room in files, and how the stores are."`
}

// app is what every verb is handed.
type app struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code: 0 done, 1 it
// failed, 2 the command line itself is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c, kong.Name("pli"),
		kong.Description("Pli: a sealed health mailbox on e-mail standards, with the dossier around it.\n\nBegin with «pli demo»."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(stderr, "pli:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "pli: %v\nRun «pli --help», or «pli VERB --help» for examples.\n", err)
		return 2
	}
	if err := k.Run(&app{ctx: ctx, stdout: stdout, stderr: stderr}); err != nil {
		fmt.Fprintln(stderr, "pli:", plain(err))
		return 1
	}
	return 0
}

// plain returns what to tell the operator: unlike a peer, they see causes.
func plain(err error) string {
	var e *errs.Error
	if errors.As(err, &e) && e.Kind != errs.Internal {
		return e.Error()
	}
	return err.Error()
}

// print writes v as JSON, or calls text.
func (a *app) print(asJSON bool, v any, text func(w io.Writer)) error {
	if !asJSON {
		text(a.stdout)
		return nil
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// logger writes structured lines to standard error.
func (a *app) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
}
