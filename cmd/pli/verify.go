package main

import (
	"fmt"
	"io"

	"pli/cmd/pli/instance"
)

type verifyCmd struct {
	remote
}

// Help says what is checked.
func (verifyCmd) Help() string {
	return `Reads every record of every owner: the store's own pages, the seals, the counts of
each mailbox, the bodies and documents that records name, and the chain of each
trace. Changes nothing; a running instance goes on. Everything damaged is told,
by account and message; how far it is goes to standard error. The exit code is 1
when something is wrong: docs/operations.md, "Damage", says what to do.

Example:
  pli verify --config pli.toml --json`
}

// Run checks the instance.
func (c *verifyCmd) Run(a *app) error {
	var out instance.VerifyReport
	if err := instance.Call(a.watched(), c.Config, "verify", struct{}{}, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, func(w io.Writer) {
		for _, p := range out.Problems {
			fmt.Fprintln(w, p)
		}
		fmt.Fprintf(w, "%d accounts, %d messages, %d documents, %d trace lines, %d blobs: %d problem(s)\n",
			out.Accounts, out.Messages, out.Documents, out.TraceLines, out.Blobs, len(out.Problems))
	}); err != nil {
		return err
	}
	return found(len(out.Problems), "problem(s) found")
}
