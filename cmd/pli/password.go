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
	text, err := readPassword("--password-file", p.PasswordFile)
	*password = text
	return err
}

// readPassword returns the one line of a file that a flag names; - is standard
// input.
func readPassword(flag, path string) (string, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxPasswordLine+1))
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 || len(text) > maxPasswordLine-2 || bytes.ContainsAny(text, "\r\n") {
		return "", errs.New(errs.Invalid, "%s: one line is wanted, of at most %d bytes", flag, maxPasswordLine-2)
	}
	return string(text), nil
}
