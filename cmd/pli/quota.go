package main

import (
	"fmt"
	"io"

	"pli/cmd/pli/instance"
)

type quotaCmd struct {
	remote
	instance.QuotaArgs
}

// Help says what counts, and gives examples.
func (quotaCmd) Help() string {
	return `Every message counts with its size, once, in however many folders it lies. A full
mailbox answers senders 552 5.2.2 and its owner's mail clients OVERQUOTA; what is
there stays, and deleting gives room back. limits.holder_bytes and
limits.member_bytes say what accounts may hold that have no limit of their own.

Examples:
  pli quota --config pli.toml --address 279035121518989@patient.example.org
  pli quota --config pli.toml --address louise.moreau@medecin.example.org --limit 20000000000
  pli quota --config pli.toml --address louise.moreau@medecin.example.org --limit default --json`
}

// Run shows one account's quota, or changes it.
func (c *quotaCmd) Run(a *app) error {
	var out instance.QuotaInfo
	if err := instance.Call(a.ctx, c.Config, "quota", c.QuotaArgs, &out); err != nil {
		return err
	}
	return a.print(c.JSON, out, func(w io.Writer) {
		switch {
		case out.Limit == 0:
			fmt.Fprintf(w, "%s holds %d bytes, without a limit\n", out.Address, out.Used)
		case out.Own:
			fmt.Fprintf(w, "%s holds %d of %d bytes, a limit of its own\n", out.Address, out.Used, out.Limit)
		default:
			fmt.Fprintf(w, "%s holds %d of %d bytes\n", out.Address, out.Used, out.Limit)
		}
	})
}
