package main

import (
	"path/filepath"

	"pli/cmd/pli/instance"
)

type salvageCmd struct {
	Config string `required:"" placeholder:"FILE" help:"Configuration of the damaged instance, which must be stopped." env:"PLI_CONFIG"`
	To     string `required:"" placeholder:"DIR" help:"Folder for the new data, empty or not there yet; best on the same disk."`
	JSON   bool   `help:"Print JSON."`
}

// Help says what becomes of what, and gives an example.
func (salvageCmd) Help() string {
	return `Reads the damaged data folder, never writing to it, and makes a new one of what
still opens: records that the files lead to, then records on other pages where
there are no better ones, then messages from their blobs alone. Each record's seal
is opened to prove it. Messages that no folder names any more are in the folder
«Récupéré»: some may have been deleted before. Everything is then verified, and what
was lost is told by account. A backup, where there is one, is better: see
«pli restore». The exit code is 1 when something was lost.

Example:
  pli salvage --config pli.toml --to /srv/pli/data.new
  mv /srv/pli/data /srv/pli/data.damaged && mv /srv/pli/data.new /srv/pli/data`
}

// Run salvages an instance.
func (c *salvageCmd) Run(a *app) error {
	to, err := filepath.Abs(c.To)
	if err != nil {
		return err
	}
	out, err := instance.Salvage(a.watched(), c.Config, to)
	if err != nil {
		return err
	}
	if err := a.print(c.JSON, out, out.Print); err != nil {
		return err
	}
	return found(len(out.Accounts)+len(out.After.Problems), "account(s) or object(s) that are not as they were")
}
