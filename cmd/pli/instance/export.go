package instance

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pli/certs/keyring"
	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/space"
	"pli/store"
)

// ExportArgs says what is copied out, and where to.
type ExportArgs struct {
	Sealed  bool   `json:"sealed" help:"As it lies: only the holder's key opens it. Nothing else is offered to the operator."`
	Address string `required:"" json:"address" help:"Address of the account."`
	To      string `required:"" json:"to" placeholder:"DIR" help:"Folder, empty or not there yet."`
}

// ExportReport is what was copied out.
type ExportReport struct {
	Account   string    `json:"account"`
	Messages  int       `json:"messages"` // files of messages: one for each folder that a message is in
	Documents int       `json:"documents"`
	Bytes     int64     `json:"bytes"`
	Problems  []Problem `json:"problems"` // what was left out
}

// manifest is the file manifest.json of an export: what anybody may know who
// has the export.
type manifest struct {
	Address   string             `json:"address"`
	Exported  time.Time          `json:"exported"`
	Messages  []manifestMessage  `json:"messages"`
	Documents []manifestDocument `json:"documents"`
	Problems  []Problem          `json:"problems"`
}

type manifestMessage struct {
	File        string      `json:"file"`
	ID          string      `json:"id"`     // the same in every folder
	Folder      string      `json:"folder"` // as in File, see folderPath
	UIDValidity uint32      `json:"uid_validity"`
	UID         mailbox.UID `json:"uid"`
	Size        int64       `json:"size"` // bytes, opened
}

// sealedManifest is the file manifest.pgp of an export: what its holder alone
// may know. It is sealed as messages are.
type sealedManifest struct {
	Messages []sealedManifestMessage `json:"messages"`
}

type sealedManifestMessage struct {
	File   string         `json:"file"`
	Folder string         `json:"folder"` // its name
	Flags  []mailbox.Flag `json:"flags"`
	Date   time.Time      `json:"date"` // when it came
}

type manifestDocument struct {
	File string `json:"file"`
	ID   string `json:"id"`
	Size int64  `json:"size"` // bytes, sealed
}

// Export copies an account out, sealed as it lies: messages as OpenPGP files
// that the holder's exported key opens, documents under the space's data key,
// and two manifests, one of which that key opens. A space's trace has a line
// before the first byte is written. What is damaged is left out and told.
func (in *Instance) Export(ctx context.Context, a ExportArgs) (ExportReport, error) {
	x := &exporting{in: in, dir: a.To, report: ExportReport{Problems: []Problem{}}}
	if !a.Sealed {
		return x.report, errs.New(errs.Invalid, "give --sealed: only the holder can open what is theirs, in the portal or a mail client")
	}
	address, err := identity.ParseAddress(a.Address)
	if err != nil {
		return x.report, err
	}
	if x.owner, err = in.accountOf(ctx, address); err != nil {
		return x.report, err
	}
	x.report.Account = string(x.owner)
	if err := emptyFolder(a.To); err != nil {
		return x.report, err
	}
	if err := in.traceAct(ctx, x.owner, consent.ActSpaceExport); err != nil {
		return x.report, err
	}
	x.sealed.Messages = []sealedManifestMessage{}
	x.manifest = manifest{Address: address.String(), Exported: in.deps.Now().UTC(), Messages: []manifestMessage{}, Documents: []manifestDocument{}}
	if err := x.run(ctx); err != nil {
		return x.report, err
	}
	return x.report, x.finish(ctx)
}

// accountOf returns the account that an address leads to.
func (in *Instance) accountOf(ctx context.Context, a identity.Address) (owner store.Owner, err error) {
	if strings.EqualFold(a.Domain(), in.cfg.PatientDomain) {
		owner, err = in.spaces.ByINS(ctx, a.Local())
	} else {
		owner, err = in.directory.Account(ctx, a)
	}
	if errs.Is(err, errs.NotFound) {
		return "", errs.New(errs.NotFound, "no account has this address: «pli space list» and «pli member list» show those there are")
	}
	return owner, err
}

// traceAct leaves the line of an operator's act in a space's trace; for a
// member's account, which has none, in the log.
func (in *Instance) traceAct(ctx context.Context, owner store.Owner, act consent.Act) error {
	if !space.IsSpace(owner) {
		in.deps.Log.Info("an operator's act", "account", string(owner), "act", string(act))
		return nil
	}
	return in.gate.Do(ctx, in.operator(), consent.Request{Space: owner, Act: act}, func(store.Tx) error { return nil })
}

// emptyFolder makes a folder, or finds it empty.
func emptyFolder(dir string) error {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case len(list) > 0:
		return errs.New(errs.Conflict, "%s is not empty: name a folder that is, or that is not there yet", dir)
	}
	return nil
}

// exporting is one Export at work.
type exporting struct {
	in       *Instance
	owner    store.Owner
	dir      string
	manifest manifest
	sealed   sealedManifest
	report   ExportReport
}

func (x *exporting) run(ctx context.Context) error {
	problems, err := x.in.mail.Export(ctx, x.owner, func(m *mailbox.Sealed) error {
		if n := len(x.manifest.Messages); n > 0 && n%500 == 0 {
			tell(ctx, fmt.Sprintf("exported: %d messages", n))
		}
		return x.message(m)
	})
	for _, p := range problems {
		x.report.Problems = append(x.report.Problems, Problem{Account: string(x.owner), Object: p.About, ID: p.ID, Text: p.Text})
	}
	if err != nil || !space.IsSpace(x.owner) {
		return err
	}
	documents, err := x.in.dossier.Export(ctx, x.owner, x.document)
	for _, p := range documents {
		x.report.Problems = append(x.report.Problems, Problem{Account: string(x.owner), Object: "document", ID: p.Document, Text: p.What})
	}
	return err
}

func (x *exporting) message(m *mailbox.Sealed) error {
	folder := folderPath(m.Box, m.UIDValidity)
	file := filepath.Join("mail", folder, fmt.Sprintf("%d.pgp", m.UID))
	if err := x.write(file, m.WriteTo); err != nil {
		return err
	}
	x.report.Messages++
	flags := m.Flags
	if flags == nil {
		flags = []mailbox.Flag{}
	}
	file = filepath.ToSlash(file)
	x.manifest.Messages = append(x.manifest.Messages, manifestMessage{File: file, ID: m.ID, Folder: folder,
		UIDValidity: m.UIDValidity, UID: m.UID, Size: m.Size})
	x.sealed.Messages = append(x.sealed.Messages, sealedManifestMessage{File: file, Folder: m.Box, Flags: flags, Date: m.Date})
	return nil
}

func (x *exporting) document(id string, size int64, content io.Reader) error {
	file := filepath.Join("documents", id+".sealed")
	if err := x.write(file, func(w io.Writer) (int64, error) { return io.Copy(w, content) }); err != nil {
		return err
	}
	x.report.Documents++
	x.manifest.Documents = append(x.manifest.Documents, manifestDocument{File: filepath.ToSlash(file), ID: id, Size: size})
	return nil
}

// write makes one file of the export; of one that fails nothing stays.
func (x *exporting) write(file string, fill func(w io.Writer) (int64, error)) (err error) {
	path := filepath.Join(x.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	n, err := fill(w)
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	x.report.Bytes += n
	return nil
}

// finish writes the manifests, last of all.
func (x *exporting) finish(ctx context.Context) error {
	switch to, err := x.in.signin.Recipient(ctx, x.owner); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		x.report.Problems = append(x.report.Problems, Problem{Account: string(x.owner), Object: "manifest.pgp",
			Text: "left out, since the account's public key cannot be read: it would have names of folders, flags and dates"})
	default:
		if err := x.write("manifest.pgp", func(w io.Writer) (int64, error) { return 0, seal(w, to, x.sealed) }); err != nil {
			return err
		}
	}
	x.manifest.Problems = x.report.Problems
	return x.write("manifest.json", func(w io.Writer) (int64, error) { return 0, writeJSON(w, x.manifest) })
}

// seal writes v as JSON in an OpenPGP message to an account's key.
func seal(w io.Writer, to keyring.Recipient, v any) error {
	key, err := keyring.NewSession()
	if err != nil {
		return err
	}
	pkesk, err := to.Wrap(key)
	if err != nil {
		return err
	}
	if _, err := w.Write(pkesk); err != nil {
		return err
	}
	sealing := key.Writer(w)
	return errors.Join(writeJSON(sealing, v), sealing.Close())
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// plainFolders are those that every account begins with: their names tell
// nothing of it.
var plainFolders = []string{mailbox.Inbox, "Sent", "Drafts", "Trash", "Archive", "Junk"}

// folderPath returns where a mail folder's files lie. A name that somebody has
// given is theirs: the folder's number stands for it, and manifest.pgp has it.
func folderPath(name string, uidValidity uint32) string {
	if slices.Contains(plainFolders, name) {
		return name
	}
	return fmt.Sprintf("folder-%d", uidValidity)
}
