package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"pli/cmd/pli/instance"
)

// remote is what every operator's verb takes: which instance, and how to print.
type remote struct {
	Config string `required:"" placeholder:"FILE" help:"Configuration of the instance, running or not." env:"PLI_CONFIG"`
	JSON   bool   `help:"Print JSON."`
}

type spaceCmd struct {
	Add   spaceAddCmd   `cmd:"" help:"Add a holder's space."`
	List  spaceListCmd  `cmd:"" help:"List spaces."`
	State spaceStateCmd `cmd:"" help:"Move a space to another state of its life."`

	Activate spaceActivateCmd `cmd:"" help:"Give an open space its holder's sign-in."`
}

type spaceAddCmd struct {
	remote
	instance.SpaceAdd
	passwordFile
}

// Help gives examples.
func (spaceAddCmd) Help() string {
	return `A space added as «announced» takes no mail; «open» does, sealed for a holder who
comes later; with --state active, --login and a password it is active at once.
Give the password by --password-file: the list of processes, which every user of
the machine sees, shows what stands behind --password.

Examples:
  pli space add --config pli.toml --ins 279035121518989 --family DUPONT --given Anne \
      --sex F --birth 1979-03-12 --birth-place 35238 --contact anne@example.org
  pli space add --config pli.toml --ins … --state active --login anne.dupont --password-file - --json <password.txt`
}

// Run adds one space.
func (c *spaceAddCmd) Run(a *app) error {
	var out instance.SpaceInfo
	if err := c.into(&c.Password); err != nil {
		return err
	}
	if err := instance.Call(a.ctx, c.Config, "space.add", c.SpaceAdd, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		fmt.Fprintf(w, "Space %s (%s): %s\n", out.Address, out.Name, out.State)
		if out.MailPassword != "" {
			fmt.Fprintf(w, "Mail password, shown this once: %s\n", out.MailPassword)
		}
		printCode(w, out.RecoveryCode)
	})
}

// printCode prints a recovery code, where there is one.
func printCode(w io.Writer, code string) {
	if code != "" {
		fmt.Fprintf(w, "Recovery code, shown this once, for the holder to keep in a safe place: %s\n", code)
	}
}

type spaceListCmd struct {
	remote
	Limit int `default:"1000" help:"At most this many."`
}

// Help gives examples.
func (spaceListCmd) Help() string { return "Example:\n  pli space list --config pli.toml --json" }

// Run lists spaces.
func (c *spaceListCmd) Run(a *app) error {
	var out []instance.SpaceInfo
	if err := instance.Call(a.ctx, c.Config, "space.list", instance.ListArgs{Limit: c.Limit}, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "ADDRESS\tNAME\tSTATE")
		for _, s := range out {
			fmt.Fprintf(t, "%s\t%s\t%s\n", s.Address, s.Name, s.State)
		}
		t.Flush()
		if len(out) == c.Limit {
			fmt.Fprintf(w, "(the first %d; --limit for more)\n", c.Limit)
		}
	})
}

type spaceStateCmd struct {
	remote
	instance.SpaceState
}

// Help gives examples.
func (spaceStateCmd) Help() string {
	return "Example:\n  pli space state --config pli.toml --ins 279035121518989 --state closed"
}

type spaceActivateCmd struct {
	remote
	instance.SpaceActivate
	passwordFile
}

// Help gives examples.
func (spaceActivateCmd) Help() string {
	return "Example:\n  pli space activate --config pli.toml --ins 279035121518989 --login anne.dupont --password-file password.txt"
}

// Run activates one space; its mail password is shown once.
func (c *spaceActivateCmd) Run(a *app) error {
	var out instance.SpaceInfo
	if err := c.into(&c.Password); err != nil {
		return err
	}
	if err := instance.Call(a.ctx, c.Config, "space.activate", c.SpaceActivate, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is active\nMail password, shown this once: %s\n", out.Address, out.MailPassword)
		printCode(w, out.RecoveryCode)
	})
}

// Run changes the state of one space.
func (c *spaceStateCmd) Run(a *app) error {
	var out instance.SpaceInfo
	if err := instance.Call(a.ctx, c.Config, "space.state", c.SpaceState, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) { fmt.Fprintf(w, "%s is now %s\n", out.Address, out.State) })
}
