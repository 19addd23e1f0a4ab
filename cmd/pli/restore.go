package main

import (
	"pli/cmd/pli/instance"
)

type restoreCmd struct {
	All     restoreAllCmd     `cmd:"" default:"withargs" help:"Bring back a whole instance (what «pli restore» does)."`
	Account restoreAccountCmd `cmd:"" help:"Bring back one account of an instance, running or not, and lose nothing that came since."`
}

// Help gives an example.
func (restoreCmd) Help() string {
	return "Example:\n  pli restore --config pli.toml --from /mnt/backup/pli --keys /mnt/safe/pli.keys --master /mnt/vault/master.key\n\nMore: «pli restore all --help»"
}

type restoreAllCmd struct {
	remote
	instance.RestoreArgs
	Master string `required:"" placeholder:"FILE" help:"Master key that the backup was made under, mode 0600. It becomes the instance's own."`
}

// Help says where to, and gives examples.
func (restoreAllCmd) Help() string {
	return `Fills the empty instance that --config describes, on whatever engines it names:
write pli.toml, or take the one that was kept, in an empty folder. Every digest
is checked before anything is written. Stopped half way, the same command goes
on; until it is done the instance does not start. With --skip-damaged the rest
of a damaged repository is brought back; the exit code is then 1.

Examples:
  pli restore --config pli.toml --from /mnt/backup/pli --keys /mnt/safe/pli.keys --master /mnt/vault/master.key
  pli verify --config pli.toml && pli serve --config pli.toml`
}

// Run restores the whole.
func (c *restoreAllCmd) Run(a *app) error {
	out, err := instance.Restore(a.watched(), c.Config, c.Master, c.RestoreArgs)
	if err != nil {
		return err
	}
	if err := a.print(c.JSON, out, out.Print); err != nil {
		return err
	}
	return found(len(out.Missing), "object(s) of the repository are missing or damaged: the instance is without what they held")
}

type restoreAccountCmd struct {
	remote
	instance.RestoreAccountArgs
}

// Help says what comes back, and gives examples.
func (restoreAccountCmd) Help() string {
	return `Messages and documents that the backup has and the account has not come back;
records that no longer open are replaced; an account of which nothing is left
comes back whole. What is there stays as it is. A message that its holder has
deleted since comes back too. An account that was deleted does not: its data key
is destroyed. The space's trace gets a line.

Examples:
  pli restore account --config pli.toml --address 279035121518989@patient.example.org --from /mnt/backup/pli --keys /mnt/safe/pli.keys
  pli restore account --config pli.toml --ins 279035121518989 --from /mnt/backup/pli --keys /mnt/safe/pli.keys --manifest 20261101T020000… --json`
}

// Run restores one account.
func (c *restoreAccountCmd) Run(a *app) error {
	var out instance.RestoreAccountReport
	if err := instance.Places(&c.From, &c.Keys); err != nil {
		return err
	}
	if err := instance.Call(a.watched(), c.Config, "restore", c.RestoreAccountArgs, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, out.Print); err != nil {
		return err
	}
	return found(len(out.Problems), "problem(s): not all of it came back")
}
