package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"pli/internal/errs"
)

// passwordFile is the way to give a password that is not shown in the list of
// processes.
type passwordFile struct {
	PasswordFile string `placeholder:"FILE" help:"File whose one line is the password; - for standard input. Unlike --password, the list of processes does not show it."`
}

// maxPasswordLine bounds the file, in bytes; how long a password may be is for
// the instance to say.
const maxPasswordLine = 4096

// into reads the password, if a file was named, to where --password would be.
func (p passwordFile) into(password *string) error {
	switch {
	case p.PasswordFile == "":
		return nil
	case *password != "":
		return errs.New(errs.Invalid, "give --password or --password-file, not both")
	}
	in := os.Stdin
	if p.PasswordFile != "-" {
		f, err := os.Open(p.PasswordFile)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPasswordLine+1))
	if err != nil {
		return fmt.Errorf("--password-file: %w", err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 || len(text) > maxPasswordLine-2 || bytes.ContainsAny(text, "\r\n") {
		return errs.New(errs.Invalid, "--password-file: one line is wanted, of at most %d bytes", maxPasswordLine-2)
	}
	*password = string(text)
	return nil
}
