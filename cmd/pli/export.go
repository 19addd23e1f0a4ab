package main

import (
	"fmt"
	"io"
	"path/filepath"

	"pli/cmd/pli/instance"
)

type exportCmd struct {
	remote
	instance.ExportArgs
}

// Help says what is written, and gives an example.
func (exportCmd) Help() string {
	return `Writes one OpenPGP file for each message, by folder (mail/FOLDER/UID.pgp), the
documents under the space's data key (documents/ID.sealed), manifest.json, and
manifest.pgp with the folders' names and the messages' flags and dates. The key
that the holder downloads in the portal («Télécharger ma clé») opens the .pgp files
in any program of RFC 9580 (OpenPGP.js 6; not GnuPG 2); nobody else reads them. A
running instance goes on, and writes the folder itself. The space's trace gets a
line. What is damaged is left out and told, and the exit code is 1.

Example:
  pli export --sealed --config pli.toml --address 279035121518989@patient.example.org --to /mnt/out/anne`
}

// Run exports one account.
func (c *exportCmd) Run(a *app) (err error) {
	var out instance.ExportReport
	if c.To, err = filepath.Abs(c.To); err != nil {
		return err
	}
	if err := instance.Call(a.watched(), c.Config, "export", c.ExportArgs, &out); err != nil {
		return err
	}
	if err := a.print(c.JSON, out, func(w io.Writer) {
		for _, p := range out.Problems {
			fmt.Fprintln(w, p)
		}
		fmt.Fprintf(w, "%d message(s) and %d document(s), %.1f MB, in %s: %d left out\n",
			out.Messages, out.Documents, float64(out.Bytes)/1e6, c.To, len(out.Problems))
	}); err != nil {
		return err
	}
	return found(len(out.Problems), "problem(s): not all of it could be copied")
}
