package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"pli/certs/keyring"
	"pli/cmd/pli/instance"
	"pli/internal/errs"
)

type keyCmd struct {
	Operator keyOperatorCmd `cmd:"" help:"Make an operator's offline recovery key."`
	Recover  keyRecoverCmd  `cmd:"" help:"Make a recovery code for a holder who has lost everything, with two operators' keys."`
	Rotate   keyRotateCmd   `cmd:"" help:"Renew the keys of one account, or of all."`
	Status   keyStatusCmd   `cmd:"" help:"Show how accounts' keys stand, and what waits for a rotation."`

	RotateMaster keyRotateMasterCmd `cmd:"" help:"Renew the master key, which wraps the data keys."`
}

type keyOperatorCmd struct {
	Out            string `required:"" placeholder:"FILE" help:"New file of the key; its public half goes to FILE.pub."`
	PassphraseFile string `required:"" placeholder:"FILE" help:"File whose one line is the passphrase; - for standard input."`
}

// Help gives examples.
func (keyOperatorCmd) Help() string {
	return `Run it on a machine without a network. FILE is text that can be printed; only the
passphrase opens it. Two operators each make one and keep it; the instance is told
both public halves: recovery.operators = ["a.key.pub", "b.key.pub"].

Example:
  pli key operator --out a.key --passphrase-file -`
}

// minPassphrase is the least of what locks an operator's key, in characters.
const minPassphrase = 12

// Run makes one key.
func (c *keyOperatorCmd) Run(a *app) error {
	passphrase, err := readPassword("--passphrase-file", c.PassphraseFile)
	if err != nil {
		return err
	}
	if len([]rune(passphrase)) < minPassphrase {
		return errs.New(errs.Invalid, "the passphrase has at least %d characters: a few words are easy to keep in mind", minPassphrase)
	}
	key, err := keyring.NewOperatorKey()
	if err != nil {
		return err
	}
	text, err := key.Seal(keyring.Params{}, passphrase)
	if err != nil {
		return err
	}
	if err := newFile(c.Out, text, 0o600); err != nil {
		return err
	}
	if err := newFile(c.Out+".pub", key.Public().Text(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s: keep it offline, and a printed copy in a safe\n%s.pub: for recovery.operators of the instance\n", c.Out, c.Out)
	return nil
}

// newFile writes a file that is not there yet.
func newFile(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

type keyRecoverCmd struct {
	remote
	Address        string   `required:"" help:"Address of the account."`
	Key            []string `required:"" placeholder:"FILE" help:"File of an operator's key; give two."`
	PassphraseFile []string `required:"" placeholder:"FILE" help:"File whose one line is a key's passphrase, in the order of --key; - for standard input, once."`
}

// Help gives examples.
func (keyRecoverCmd) Help() string {
	return `Both keys are needed: either alone opens nothing. They stay in this command; what
the instance is handed opens this one account, once. The holder gets a notice and
a line in the trace, and comes back with the printed code, by the portal's
«Mot de passe oublié», where a one-time code goes to their contact. Nobody sees mail.

Example:
  pli key recover --config pli.toml --address 279035121518989@patient.example \
      --key a.key --passphrase-file a.phrase --key b.key --passphrase-file b.phrase`
}

// Run makes one recovery code.
func (c *keyRecoverCmd) Run(a *app) error {
	if len(c.Key) != 2 || len(c.PassphraseFile) != 2 {
		return errs.New(errs.Invalid, "give --key twice, and --passphrase-file twice")
	}
	var keys [2]*keyring.OperatorKey
	for i, path := range c.Key {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		passphrase, err := readPassword("--passphrase-file", c.PassphraseFile[i])
		if err != nil {
			return err
		}
		if keys[i], err = keyring.OpenOperatorKey(string(text), passphrase); errors.Is(err, keyring.ErrNoSlot) {
			return errs.New(errs.Unauthenticated, "%s: this is not its passphrase", path)
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	out, err := instance.Recover(a.ctx, c.Config, c.Address, keys)
	if err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		fmt.Fprintf(w, "Login: %s\nRecovery code, shown this once: %s\n", out.Login, out.Code)
	})
}

type keyRotateCmd struct {
	remote
	instance.KeyRotate
}

// Help gives examples.
func (keyRotateCmd) Help() string {
	return `Nobody need be signed in. New mail is sealed to the new keys at once; what lies
there is sealed anew while its holder is signed in, and then the old keys go.
«pli key status» counts what waits.

Examples:
  pli key rotate --config pli.toml --address 279035121518989@patient.example
  pli key rotate --config pli.toml --all`
}

// Run renews keys.
func (c *keyRotateCmd) Run(a *app) error {
	var out instance.KeyRotated
	if err := instance.Call(a.watched(), c.Config, "key.rotate", c.KeyRotate, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, func(w io.Writer) {
		for _, p := range out.Problems {
			fmt.Fprintln(w, p)
		}
		fmt.Fprintf(w, "%d account(s) have new keys\n", out.Accounts)
	}); err != nil {
		return err
	}
	return found(len(out.Problems), "account(s) left as they were")
}

type keyRotateMasterCmd struct {
	remote
}

// Help says what goes on, and gives an example.
func (keyRotateMasterCmd) Help() string {
	return `A running instance goes on. What stops half way is taken up by the next start, or
by the same command. The old key is left beside the new one: it opens backups made
before; keep it apart from the instance for as long as there are any.

Example:
  pli key rotate-master --config pli.toml`
}

// Run renews the master key.
func (c *keyRotateMasterCmd) Run(a *app) error {
	var out instance.MasterRotated
	if err := instance.Call(a.watched(), c.Config, "key.rotate-master", struct{}{}, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is the new master key: keep a copy in a safe, and back up now\n%s is the old one: take it away from here\n", out.Key, out.Retired)
	})
}

type keyStatusCmd struct {
	remote
}

// Help gives examples.
func (keyStatusCmd) Help() string { return "Example:\n  pli key status --config pli.toml --json" }

// Run shows how keys stand.
func (c *keyStatusCmd) Run(a *app) error {
	var out instance.KeyStatus
	if err := instance.Call(a.ctx, c.Config, "key.status", struct{}{}, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, out.Print)
}
