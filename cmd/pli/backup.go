package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"pli/cmd/pli/instance"
)

type backupCmd struct {
	Make  backupMakeCmd  `cmd:"" default:"withargs" help:"Make a backup (what «pli backup» does)."`
	List  backupListCmd  `cmd:"" help:"List the backups of a repository."`
	Check backupCheckCmd `cmd:"" help:"Read a whole repository and compare every digest."`
	Prune backupPruneCmd `cmd:"" help:"Delete all backups but the latest."`
}

// Help gives an example.
func (backupCmd) Help() string {
	return "Example:\n  pli backup --config pli.toml --to /mnt/backup/pli --keys /mnt/safe/pli.keys\n\nMore: «pli backup make --help»"
}

type backupMakeCmd struct {
	remote
	instance.BackupArgs
}

// Help says what is copied, what is not, and gives examples.
func (backupMakeCmd) Help() string {
	return `Copies records, blobs and trace, sealed as they lie, of an instance that runs or
not. What the repository has already is not written again. The data keys go to
--keys, never into the repository: it is always the one current copy, so that a
space that was deleted is gone from every older backup too. The master key
(data/keys/master.key) is in neither: keep a copy of it apart from both. A
restore takes all three. How far it is goes to standard error; the exit code is
1 when something could not be read.

Examples:
  pli backup --config pli.toml --to /mnt/backup/pli --keys /mnt/safe/pli.keys
  PLI_S3_SECRET=… pli backup --config pli.toml --to s3://ACCESS@s3.example.org/bucket/pli --keys /mnt/safe/pli.keys --json`
}

// Run makes one backup.
func (c *backupMakeCmd) Run(a *app) error {
	var out instance.BackupReport
	if err := instance.Places(&c.To, &c.Keys); err != nil {
		return err
	}
	if err := instance.Call(a.watched(), c.Config, "backup", c.BackupArgs, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, out.Print); err != nil {
		return err
	}
	return found(len(out.Problems), "problem(s): the backup is without what could not be read")
}

// found makes a failure of what was found.
func found(n int, what string) error {
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d %s", n, what)
}

// repository is what the verbs on a repository take.
type repository struct {
	instance.RepositoryArgs
	JSON bool `help:"Print JSON."`
}

type backupListCmd struct {
	repository
}

// Help gives examples.
func (backupListCmd) Help() string {
	return "The exit code is 1 when one of them cannot be used.\n\nExamples:\n  pli backup list --from /mnt/backup/pli --config pli.toml\n  pli backup list --from /mnt/backup/pli --master master.key --json"
}

// Run lists backups.
func (c *backupListCmd) Run(a *app) error {
	list, problems, err := instance.ListBackups(a.ctx, c.RepositoryArgs)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(a.stderr, plain(p))
	}
	if err := a.print(c.JSON, list, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tBEGUN\tTOOK\tOWNERS\tRECORDS\tBLOBS\tMB\tPROBLEMS")
		for _, b := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%.1f\t%d\n", b.Backup, b.Begin.Local().Format(time.DateTime),
				b.End.Sub(b.Begin).Round(time.Second), b.Owners, b.Records, b.Blobs, float64(b.Bytes)/1e6, b.Problems)
		}
		t.Flush()
	}); err != nil {
		return err
	}
	return found(len(problems), "backup(s) cannot be used")
}

type backupCheckCmd struct {
	repository
	RemoveDamaged bool `help:"Delete what is damaged, so that the next backup writes it anew if the instance still has it."`
}

// Help gives examples.
func (backupCheckCmd) Help() string {
	return "The exit code is 1 when something is damaged or missing.\n\nExamples:\n  pli backup check --from /mnt/backup/pli --config pli.toml\n  pli backup check --from /mnt/backup/pli --config pli.toml --remove-damaged && pli backup …"
}

// Run checks a repository.
func (c *backupCheckCmd) Run(a *app) error {
	out, err := instance.CheckBackups(a.watched(), c.RepositoryArgs, c.RemoveDamaged)
	if err != nil {
		return err
	}
	if err := a.print(c.JSON, out, func(w io.Writer) {
		for _, d := range out.Damaged {
			fmt.Fprintln(w, d)
		}
		fmt.Fprintf(w, "%d backup(s), %d objects, %.1f MB: %d damaged or missing, %d removed\n",
			out.Backups, out.Objects, float64(out.Bytes)/1e6, len(out.Damaged), out.Removed)
	}); err != nil {
		return err
	}
	return found(len(out.Damaged), "object(s) damaged or missing")
}

type backupPruneCmd struct {
	repository
	Keep int `required:"" placeholder:"N" help:"How many backups stay, the latest."`
}

// Help gives examples.
func (backupPruneCmd) Help() string {
	return "What no backup names any more is deleted with the others. Run «pli backup check» and «pli verify» before: an older backup may hold what has been damaged since.\n\nExample:\n  pli backup prune --from /mnt/backup/pli --config pli.toml --keep 30"
}

// Run prunes a repository.
func (c *backupPruneCmd) Run(a *app) error {
	out, err := instance.PruneBackups(a.watched(), c.RepositoryArgs, c.Keep)
	if err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		fmt.Fprintf(w, "%d backup(s) removed, with %d objects of %.1f MB; %d kept\n", len(out.Removed), out.Objects, float64(out.Bytes)/1e6, len(out.Kept))
	})
}
