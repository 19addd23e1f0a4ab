package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"pli/cmd/pli/instance"
)

type memberCmd struct {
	Add  memberAddCmd  `cmd:"" help:"Add a member's mailbox."`
	List memberListCmd `cmd:"" help:"List members' mailboxes."`
}

type memberAddCmd struct {
	remote
	instance.MemberAdd
	passwordFile
}

// Help gives examples.
func (memberAddCmd) Help() string {
	return `Types of mailbox: PER (one person), ORG (a service), APP (a machine), CAB (a practice).
With --login, give the password by --password-file: the list of processes, which
every user of the machine sees, shows what stands behind --password.

Examples:
  pli member add --config pli.toml --address louise.moreau@medecin.pli.test --type PER \
      --rpps 10101343233 --profession 10 --name 'Dr Louise MOREAU'
  pli member add --config pli.toml --address resultats@labo.pli.test --type APP \
      --finess 770816478 --name 'Laboratoire du Centre' --json`
}

// Run adds one mailbox; its mail password is shown once.
func (c *memberAddCmd) Run(a *app) error {
	var out instance.MemberInfo
	if err := c.into(&c.Password); err != nil {
		return err
	}
	if err := instance.Call(a.ctx, c.Config, "member.add", c.MemberAdd, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s (%s)\nMail password, shown this once: %s\n", out.Type, out.Address, out.Name, out.MailPassword)
		printCode(w, out.RecoveryCode)
	})
}

type memberListCmd struct {
	remote
}

// Help gives examples.
func (memberListCmd) Help() string { return "Example:\n  pli member list --config pli.toml --json" }

// Run lists mailboxes.
func (c *memberListCmd) Run(a *app) error {
	var out []instance.MemberInfo
	if err := instance.Call(a.ctx, c.Config, "member.list", struct{}{}, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "ADDRESS\tTYPE\tNAME")
		for _, m := range out {
			fmt.Fprintf(t, "%s\t%s\t%s\n", m.Address, m.Type, m.Name)
		}
		t.Flush()
	})
}

type domainCmd struct {
	Add  domainAddCmd  `cmd:"" help:"Allow a peer operator's domain, by its certificate's subject."`
	List domainListCmd `cmd:"" help:"List domains of the trusted space."`
}

type domainAddCmd struct {
	remote
	instance.DomainAdd
}

// Help gives examples.
func (domainAddCmd) Help() string {
	return `A domain may be added several times, once for each certificate of its operator.

Example:
  pli domain add --config pli.toml --name hopital.mssante.test \
      --subject 'CN=smtp.hopital.test,OU=318310021300028,O=Hopital,C=FR'`
}

// Run allows one domain for one certificate name.
func (c *domainAddCmd) Run(a *app) error {
	var out instance.DomainInfo
	if err := instance.Call(a.ctx, c.Config, "domain.add", c.DomainAdd, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) { fmt.Fprintf(w, "%s: %d certificate name(s)\n", out.Name, len(out.Operators)) })
}

type domainListCmd struct {
	remote
}

// Help gives examples.
func (domainListCmd) Help() string { return "Example:\n  pli domain list --config pli.toml" }

// Run lists domains.
func (c *domainListCmd) Run(a *app) error {
	var out []instance.DomainInfo
	if err := instance.Call(a.ctx, c.Config, "domain.list", struct{}{}, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(t, "DOMAIN\tKIND\tCERTIFICATES")
		for _, d := range out {
			fmt.Fprintf(t, "%s\t%s\t%d\n", d.Name, d.Kind, len(d.Operators))
		}
		t.Flush()
	})
}
