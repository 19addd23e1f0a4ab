package main

import (
	"io"

	"pli/cmd/pli/instance"
)

type verifyCmd struct {
	remote
	Repair bool `help:"Make the records of accounts agree again where they do not. Restore from a backup before, if there is one."`
}

// Help says what is checked.
func (verifyCmd) Help() string {
	return `Reads every record of every owner: the store's own pages, the seals, the counts of
each mailbox, the bodies and documents that records name, and the chain of each
trace. Without --repair it changes nothing; a running instance goes on. Everything damaged is told,
by account and message; how far it is goes to standard error. The exit code is 1
when something is wrong: docs/operations.md, "Damage", says what to do.

Example:
  pli verify --config pli.toml --json
  pli verify --config pli.toml --repair`
}

// Run checks the instance.
func (c *verifyCmd) Run(a *app) error {
	if c.Repair {
		return c.repair(a)
	}
	var out instance.VerifyReport
	if err := instance.Call(a.watched(), c.Config, "verify", struct{}{}, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, out.Print); err != nil {
		return err
	}
	return found(len(out.Problems), "problem(s) found")
}

// repair makes records agree, and tells what is wrong still.
func (c *verifyCmd) repair(a *app) error {
	var out instance.RepairReport
	if err := instance.Call(a.watched(), c.Config, "repair", struct{}{}, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, func(w io.Writer) {
		for i := range out.Accounts {
			out.Accounts[i].Print(w)
		}
		out.After.Print(w)
	}); err != nil {
		return err
	}
	return found(len(out.After.Problems), "problem(s) left")
}
