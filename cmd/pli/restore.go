package main

import (
	"pli/cmd/pli/instance"
)

type restoreCmd struct {
	All restoreAllCmd `cmd:"" default:"withargs" help:"Bring back a whole instance (what «pli restore» does)."`
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
