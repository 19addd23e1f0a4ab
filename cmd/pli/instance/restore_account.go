package instance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pli/audit"
	"pli/backup"
	"pli/consent"
	"pli/identity"
	"pli/internal/errs"
	"pli/mss/directory"
	"pli/space"
	"pli/store"
	"pli/store/blob"
	"pli/store/bolt"
	"pli/store/names"
	"pli/store/sealed"
)

// RestoreAccountArgs says which account is brought back: Address or INS.
type RestoreAccountArgs struct {
	RestoreArgs
	Address string `json:"address" help:"Address of the account."`
	INS     string `name:"ins" json:"ins" help:"Matricule of a holder, 15 characters."`
}

// RestoreAccountReport is what was brought back.
type RestoreAccountReport struct {
	Account   string   `json:"account"` // opaque id
	Backup    string   `json:"backup"`
	Whole     bool     `json:"whole"`    // nothing of it was left
	Replaced  int      `json:"replaced"` // records that no longer opened, or were lost
	Messages  int      `json:"messages"`
	Folders   int      `json:"folders"`
	Documents int      `json:"documents"`
	Blobs     int      `json:"blobs"`
	Problems  []string `json:"problems"` // what was left behind, and why
}

// Print writes the report for people.
func (r RestoreAccountReport) Print(w io.Writer) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p)
	}
	if r.Whole {
		fmt.Fprintf(w, "nothing was left of %s: it came back whole from %s, with %d blobs\n", r.Account, r.Backup, r.Blobs)
		return
	}
	fmt.Fprintf(w, "%s, from %s: %d message(s), %d folder(s), %d document(s) and %d blob(s) came back, %d record(s) were replaced: %d problem(s)\n",
		r.Account, r.Backup, r.Messages, r.Folders, r.Documents, r.Blobs, r.Replaced, len(r.Problems))
}

// RestoreAccount brings one account back from a backup into this instance,
// which may be running. What has come since stays: messages and documents that
// the account has not are added, records that do not open are replaced, and an
// account of which nothing is left comes back whole. One that was deleted by
// right does not.
func (in *Instance) RestoreAccount(ctx context.Context, a RestoreAccountArgs) (RestoreAccountReport, error) {
	r := &accountRestore{in: in, args: a, report: RestoreAccountReport{Problems: []string{}}}
	conf, err := in.repository(ctx, a.From, false)
	if err != nil {
		return r.report, err
	}
	if r.from, err = backup.Open(ctx, conf, a.Manifest); err != nil {
		return r.report, err
	}
	r.report.Backup = r.from.Name
	if err := r.openScratch(); err != nil {
		return r.report, err
	}
	defer r.closeScratch()
	in.hold.Hold() // a blob that comes back must not go before its record is there
	defer in.hold.Release(ctx)
	defer func() {
		if r.owner != "" {
			in.keepNamed(context.WithoutCancel(ctx), r.owner)
		}
	}()
	for _, step := range []func(context.Context) error{r.find, r.keys, r.read, r.whole, r.mend, r.adopt, r.trace} {
		if err := step(ctx); err != nil {
			return r.report, err
		}
	}
	return r.report, nil
}

// keepNamed takes the blobs that an account's records name off the list of
// those that wait to be deleted: what was deleted while a backup ran may have
// come back. Where that cannot be told, all that waits is left to the sweeper.
func (in *Instance) keepNamed(ctx context.Context, owner store.Owner) {
	note := func(id blob.ID, _ int64) error {
		in.hold.forget(id)
		return nil
	}
	for _, err := range []error{in.mail.Blobs(ctx, owner, note), in.dossier.Blobs(ctx, owner, note)} {
		if err != nil && !errs.Is(err, errs.NotFound) {
			in.hold.forgetAll()
		}
	}
}

// accountRestore is one RestoreAccount at work.
type accountRestore struct {
	in     *Instance
	args   RestoreAccountArgs
	from   *backup.Backup
	owner  store.Owner
	report RestoreAccountReport

	folder  string
	scratch store.DB // the account's records, and the instance's own, as the backup has them
	opened  store.DB // the same, opened
}

// openScratch makes a store of its own for what the backup says.
func (r *accountRestore) openScratch() (err error) {
	if r.folder, err = os.MkdirTemp(r.in.cfg.Dir, "restore-account-"); err != nil {
		return err
	}
	db, err := bolt.Open(bolt.Config{Dir: filepath.Join(r.folder, "store"), Log: r.in.deps.Log})
	if err != nil {
		return errors.Join(err, os.RemoveAll(r.folder))
	}
	r.scratch, r.opened = db, sealed.New(db, r.in.keys, sealed.Config{})
	return nil
}

func (r *accountRestore) closeScratch() {
	if err := errors.Join(r.scratch.Close(), os.RemoveAll(r.folder)); err != nil {
		r.in.deps.Log.Warn("a folder of a restore stays behind", "folder", r.folder, "err", err)
	}
}

func (r *accountRestore) problem(format string, args ...any) {
	r.report.Problems = append(r.report.Problems, fmt.Sprintf(format, args...))
}

// find finds the account by its name as it is here, else as it was there.
func (r *accountRestore) find(ctx context.Context) (err error) {
	if (r.args.Address == "") == (r.args.INS == "") {
		return errs.New(errs.Invalid, "give --address or --ins, not both")
	}
	r.owner, err = r.byName(ctx, r.in.spaces, r.in.directory)
	if errs.Is(err, errs.NotFound) || errors.Is(err, store.ErrCorrupt) {
		r.owner, err = r.findThere(ctx)
	}
	if errs.Is(err, errs.NotFound) {
		return errs.New(errs.NotFound, "neither this instance nor the backup %s knows this account", r.from.Name)
	}
	r.report.Account = string(r.owner)
	return err
}

func (r *accountRestore) byName(ctx context.Context, spaces *space.Service, dir *directory.Directory) (store.Owner, error) {
	if r.args.INS != "" {
		return spaces.ByINS(ctx, r.args.INS)
	}
	address, err := identity.ParseAddress(r.args.Address)
	if err != nil {
		return "", err
	}
	if strings.EqualFold(address.Domain(), r.in.cfg.PatientDomain) {
		return spaces.ByINS(ctx, address.Local())
	}
	return dir.Account(ctx, address)
}

// The instance's own owners.
const firstSystem, afterSystem = store.Owner("sys/"), store.Owner("sys0")

// findThere finds the account in the backup's names.
func (r *accountRestore) findThere(ctx context.Context) (store.Owner, error) {
	if _, err := r.from.CopyOwners(ctx, firstSystem, afterSystem, r.scratch); err != nil {
		return "", err
	}
	master, err := sealed.LoadMaster(masterPath(r.in.cfg.Dir))
	if err != nil {
		return "", err
	}
	n, now := names.New(r.opened, master.Derive("names")), r.in.deps.Now
	dir, err := directory.New(ctx, directory.Config{DB: r.opened, Names: n, Now: now})
	if err != nil {
		return "", err
	}
	return r.byName(ctx, space.NewService(space.Config{DB: r.opened, Names: n, Now: now}), dir)
}

// keys sees to it that the account has the data keys that its records in the
// backup are sealed under, unless they were destroyed.
func (r *accountRestore) keys(ctx context.Context) error {
	master, err := sealed.LoadMaster(masterPath(r.in.cfg.Dir))
	if err != nil {
		return err
	}
	kept, err := backup.OwnerKeys(master, r.args.Keys, r.owner)
	if err != nil {
		return err
	}
	for class, wrapped := range kept {
		_, err := r.in.keys.Key(ctx, r.owner, class, "", false)
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			if err := r.in.rawKeys.Update(ctx, r.owner, func(tx store.Tx) error { return tx.Put([]byte(class), wrapped) }); err != nil {
				return err
			}
			_, err = r.in.keys.Key(ctx, r.owner, class, "", false)
		}
		if err != nil && !errors.Is(err, sealed.ErrDestroyed) {
			return fmt.Errorf("the data key %q of %s: %w", class, r.owner, err)
		}
	}
	if r.in.destroyed(ctx, r.owner) {
		return errs.New(errs.Denied, "this account was deleted and its data key destroyed: nobody can bring it back, from whatever backup")
	}
	return nil
}

// read reads the account's records as they were.
func (r *accountRestore) read(ctx context.Context) error {
	n, err := r.from.CopyOwners(ctx, r.owner, r.owner+"-", r.scratch)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "the backup %s holds nothing of this account: «pli backup list» shows others", r.from.Name)
	}
	return err
}

// comingBack is a record that is there while an account comes back whole: it
// is an owner's of its own, so that a crash half way does not make what is
// there pass for the account. It says recordsBack once the records are there:
// they are in use from then on, and are not written again.
const (
	comingBack  = store.Owner("sys/restoring")
	recordsBack = "records"
)

// whole brings back an account of which nothing is left.
func (r *accountRestore) whole(ctx context.Context) error {
	place, state := []byte(r.owner), ""
	err := r.in.db.View(ctx, comingBack, func(tx store.Tx) error {
		v, err := tx.Get(place)
		state = string(v)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		if left, err := r.left(ctx); err != nil || left {
			return err
		}
	case err != nil:
		return err
	}
	r.report.Whole = true
	note := func(state string) error {
		return r.in.db.Update(ctx, comingBack, func(tx store.Tx) error { return tx.Put(place, []byte(state)) })
	}
	if state != recordsBack {
		if err := note(""); err != nil {
			return err
		}
		if _, err := r.from.CopyOwners(ctx, r.owner, r.owner+"-", r.in.raw); err != nil {
			return err
		}
		if err := note(recordsBack); err != nil {
			return err
		}
	}
	if err := r.bringAll(ctx); err != nil {
		return err
	}
	if err := r.bindNames(ctx); err != nil {
		return err
	}
	return r.in.db.Update(ctx, comingBack, func(tx store.Tx) error { return tx.Delete(place) })
}

// left reports whether anything of the account is here.
func (r *accountRestore) left(ctx context.Context) (left bool, err error) {
	err = r.in.raw.View(ctx, r.owner, func(tx store.Tx) error {
		left = false
		return store.ScanAround(tx, nil, nil, func(_, _ []byte) error {
			left = true
			return store.Stop
		}, func(*store.Damage) error {
			left = true
			return store.Stop
		})
	})
	return left, err
}

// bringAll brings every blob that the account's records name.
func (r *accountRestore) bringAll(ctx context.Context) error {
	var ids []blob.ID
	note := func(id blob.ID, _ int64) error {
		ids = append(ids, id)
		return nil
	}
	if err := errors.Join(r.in.mail.Blobs(ctx, r.owner, note), r.in.dossier.Blobs(ctx, r.owner, note)); err != nil {
		return err
	}
	for _, id := range ids {
		err := r.bring(ctx, id)
		if errs.Is(err, errs.NotFound) && r.here(ctx, id) {
			continue // what names it came while the account was coming back
		}
		if errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil {
			r.problem("%v", err)
		}
	}
	return nil
}

func (r *accountRestore) here(ctx context.Context, id blob.ID) bool {
	b, err := r.in.blobs.Open(ctx, id)
	return err == nil && b.Close() == nil
}

// bring copies a blob from the backup. One that is here is left, unless it is
// damaged.
func (r *accountRestore) bring(ctx context.Context, id blob.ID) error {
	line, err := r.from.Blob(ctx, id)
	if err != nil {
		return err
	}
	switch same, err := r.same(ctx, line); {
	case err != nil:
		return err
	case same:
		r.in.hold.forget(id)
		return nil
	}
	if err := r.in.hold.Store.Delete(ctx, id); err != nil {
		return err
	}
	if err := r.from.CopyBlob(ctx, line, r.in.hold); err != nil {
		return err
	}
	r.report.Blobs++
	return nil
}

// same reports whether a blob is here as it was.
func (r *accountRestore) same(ctx context.Context, line backup.Blob) (bool, error) {
	here, err := r.in.blobs.Open(ctx, blob.ID(line.ID))
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer here.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(here, 0, here.Size())); errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
		return false, errors.Join(err, ctx.Err())
	}
	return hex.EncodeToString(sum.Sum(nil)) == line.Sum, nil
}

// bindNames gives a whole account the names back that lead to it, unless they
// lead elsewhere by now.
func (r *accountRestore) bindNames(ctx context.Context) error {
	if _, err := r.from.CopyOwners(ctx, firstSystem, afterSystem, r.scratch); err != nil {
		return err
	}
	for i := range 256 {
		at := store.Owner(fmt.Sprintf("sys/names-%02x", i))
		var keys [][]byte
		err := r.opened.View(ctx, at, func(tx store.Tx) error {
			keys = nil
			return tx.Scan(nil, nil, func(key, bound []byte) error {
				if store.Owner(bound) == r.owner {
					keys = append(keys, append([]byte{}, key...))
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := r.bindName(ctx, at, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *accountRestore) bindName(ctx context.Context, at store.Owner, key []byte) error {
	taken := false
	err := r.in.db.Update(ctx, at, func(tx store.Tx) error {
		bound, err := tx.Get(key)
		taken = err == nil && store.Owner(bound) != r.owner
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
			return tx.Put(key, []byte(r.owner))
		}
		return err
	})
	if taken {
		r.problem("one of the account's names (an address, a sign-in) is another account's by now")
	}
	return err
}

// vital are the records without which an account cannot be used; others that
// are not here may have been removed by right.
func vital(key []byte) bool {
	k := string(key)
	return k == "space" || strings.HasPrefix(k, "signin/") || strings.HasPrefix(k, "directory/")
}

// copied reports whether a record that does not open here may be put back as
// it was. Mail and dossier know their own; a chain's head says what came last.
func copied(key []byte) bool {
	k := string(key)
	return !strings.HasPrefix(k, "mail/") && !strings.HasPrefix(k, "dossier/") && (!audit.Holds(key) || audit.IsLine(key))
}

// mend puts back the records that do not open, and those that the account
// cannot do without.
func (r *accountRestore) mend(ctx context.Context) error {
	var lost [][]byte
	look := func(here store.Tx) func(key, _ []byte) error {
		return func(key, _ []byte) error {
			if !copied(key) {
				return nil
			}
			_, err := here.Get(key)
			if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) && vital(key) {
				lost, err = append(lost, append([]byte{}, key...)), nil
			}
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return err
		}
	}
	err := r.in.db.View(ctx, r.owner, func(here store.Tx) error {
		lost = nil
		return r.scratch.View(ctx, r.owner, func(there store.Tx) error { return there.Scan(nil, nil, look(here)) })
	})
	if err != nil {
		return err
	}
	for _, key := range lost {
		if err := r.putBack(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// putBack puts one record back as it was, if it opens.
func (r *accountRestore) putBack(ctx context.Context, key []byte) error {
	var value []byte
	var due time.Time
	err := r.opened.View(ctx, r.owner, func(tx store.Tx) error {
		v, err := tx.Get(key)
		value = append([]byte{}, v...)
		return err
	})
	if errors.Is(err, store.ErrCorrupt) {
		r.problem("a record is damaged in the backup too: %v", err)
		return nil
	}
	if err == nil {
		err = r.scratch.View(ctx, r.owner, func(tx store.Tx) error {
			return tx.(store.DueScanner).ScanDue(key, append(key[:len(key):len(key)], 0), func(_, _ []byte, at time.Time) error {
				due = at
				return nil
			})
		})
	}
	if err != nil {
		return err
	}
	r.report.Replaced++
	return r.in.db.Update(ctx, r.owner, func(tx store.Tx) error {
		if due.IsZero() {
			return tx.Put(key, value)
		}
		return tx.PutDue(key, value, due)
	})
}

// adopt brings messages and documents that the account has not.
func (r *accountRestore) adopt(ctx context.Context) error {
	mail, err := r.in.mail.Adopt(ctx, r.owner, r.opened, r.bring)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return fmt.Errorf("mail: %w", err)
	}
	r.report.Messages, r.report.Folders = mail.Messages, mail.Boxes
	for _, p := range mail.Problems {
		r.problem("mail: %v", p)
	}
	if !space.IsSpace(r.owner) {
		return nil
	}
	documents, err := r.in.dossier.Adopt(ctx, r.owner, r.opened, r.bring)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return fmt.Errorf("dossier: %w", err)
	}
	r.report.Documents = documents.Documents
	for _, p := range documents.Problems {
		r.problem("document %s: %s", p.Document, p.What)
	}
	return nil
}

// trace leaves a line in a space's trace.
func (r *accountRestore) trace(ctx context.Context) error {
	if !space.IsSpace(r.owner) {
		r.in.deps.Log.Info("an account was restored", "account", r.owner, "backup", r.from.Name)
		return nil
	}
	req := consent.Request{Space: r.owner, Act: consent.ActSpaceRestore, Detail: map[string]string{
		"backup": r.from.Name, "messages": fmt.Sprint(r.report.Messages), "documents": fmt.Sprint(r.report.Documents),
		"records": fmt.Sprint(r.report.Replaced), "whole": fmt.Sprint(r.report.Whole)}}
	return r.in.gate.Do(ctx, r.in.operator(), req, func(store.Tx) error { return nil })
}

// operator is whom acts of the operator's are traced as.
func (in *Instance) operator() identity.Actor {
	return identity.Actor{Kind: identity.Staff, ID: "operator", Name: in.cfg.Name}
}
