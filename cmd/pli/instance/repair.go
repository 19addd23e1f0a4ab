package instance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"pli/consent"
	"pli/internal/errs"
	"pli/mailbox"
	"pli/space"
	"pli/store"
	"pli/store/blob"
)

// Repaired is what was made of one account whose records did not agree.
type Repaired struct {
	Account   string    `json:"account"`
	Address   string    `json:"address,omitempty"`
	Messages  int       `json:"messages"`  // that are there
	Recovered int       `json:"recovered"` // of these, those that are now in the folder of recovered messages
	Entries   int       `json:"entries"`   // entries removed that named nothing
	Damaged   int       `json:"damaged"`   // damaged records removed
	Folders   int       `json:"folders"`   // folders that mail clients list anew
	Lost      []Problem `json:"lost"`      // what was lost
}

// nothing reports whether there was nothing to do.
func (r *Repaired) nothing() bool {
	return r.Recovered+r.Entries+r.Damaged+r.Folders+len(r.Lost) == 0
}

// Print writes one account for people.
func (r *Repaired) Print(w io.Writer) {
	who := r.Address
	if who == "" {
		who = r.Account
	}
	fmt.Fprintf(w, "%s: %d messages, %d of them recovered (in «%s»), %d entries and %d damaged records removed, %d folders to be listed anew\n",
		who, r.Messages, r.Recovered, mailbox.Recovered, r.Entries, r.Damaged, r.Folders)
	for _, p := range r.Lost {
		fmt.Fprintf(w, "  %s\n", p)
	}
}

// RepairReport is what a repair did, and what is wrong still.
type RepairReport struct {
	Accounts []Repaired   `json:"accounts"`
	After    VerifyReport `json:"after"`
}

// Repair makes the records of every account agree again of which Verify finds
// that they do not; a space's trace gets a line. What is lost is told, and stays
// lost but for what a backup has: restore before.
func (in *Instance) Repair(ctx context.Context, _ struct{}) (RepairReport, error) {
	out := RepairReport{Accounts: []Repaired{}}
	in.hold.Hold() // no sweep while letters are made again from their blobs
	defer in.hold.Release(ctx)
	before, err := in.Verify(ctx, struct{}{})
	if err != nil {
		return out, err
	}
	if slices.ContainsFunc(before.Problems, func(p Problem) bool { return strings.HasPrefix(p.Account, namesOwner) }) {
		err = in.eachAccount(ctx, func(owner store.Owner) error {
			in.rebind(ctx, owner)
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	if err := in.reclaim(ctx, before.Problems); err != nil {
		return out, fmt.Errorf("letters that can be made again from their blobs: %w", err)
	}
	done := make(map[store.Owner]bool)
	for _, p := range before.Problems {
		owner := store.Owner(p.Account)
		if !isAccount(owner) || done[owner] {
			continue
		}
		done[owner] = true
		r := Repaired{Account: p.Account, Lost: []Problem{}}
		err := in.traceAct(ctx, owner, consent.ActSpaceRepair)
		if err == nil {
			r, err = in.rebuild(ctx, owner)
		}
		switch {
		case errors.Is(err, store.ErrCorrupt), errs.Is(err, errs.Denied):
			r.Lost = append(r.Lost, Problem{Account: p.Account, Object: "account", Text: "left as it is: " + err.Error()})
		case err != nil:
			return out, fmt.Errorf("%s: %w", owner, err)
		}
		r.Address = p.Address
		if !r.nothing() {
			out.Accounts = append(out.Accounts, r)
		}
	}
	out.After, err = in.Verify(ctx, struct{}{})
	return out, err
}

// reclaim makes the damaged records of letters again from their blobs, since a
// rebuild removes such a record, and the next sweep a blob that nobody names.
func (in *Instance) reclaim(ctx context.Context, problems []Problem) error {
	hurt := make(map[[32]byte]store.Owner) // by the keys that letters are sealed to
	for _, p := range problems {
		if p.Object != mailbox.AboutMessage {
			continue
		}
		keys, err := in.signin.Fingerprints(ctx, store.Owner(p.Account))
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return err
		}
		for _, k := range keys {
			hurt[k] = store.Owner(p.Account)
		}
	}
	if len(hurt) == 0 {
		return nil
	}
	named := make(map[blob.ID]bool)
	note := func(id blob.ID, _ int64) error {
		named[id] = true
		return nil
	}
	err := in.eachAccount(ctx, func(owner store.Owner) error {
		for _, err := range []error{in.mail.Blobs(ctx, owner, note), in.dossier.Blobs(ctx, owner, note)} {
			if err != nil && !errors.Is(err, store.ErrCorrupt) && !errs.Is(err, errs.NotFound) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return in.eachBlob(ctx, "", func(b blob.Info) error {
		if named[b.ID] {
			return nil
		}
		key, err := in.mail.BlobKey(ctx, b.ID)
		if owner, ok := hurt[key]; err == nil && ok {
			_, err = in.mail.ReclaimDamaged(ctx, owner, b.ID)
		}
		if errs.Is(err, errs.Invalid) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, blob.ErrNotFound) {
			return nil // no letter, or nothing that can be made again
		}
		return err
	})
}

// rebuild makes one account's records agree, and its names lead to it.
func (in *Instance) rebuild(ctx context.Context, owner store.Owner) (Repaired, error) {
	r := Repaired{Account: string(owner), Lost: []Problem{}}
	in.rebind(ctx, owner)
	mail, err := in.mail.Rebuild(ctx, owner)
	if err != nil {
		return r, err
	}
	r.Messages, r.Recovered, r.Entries, r.Damaged, r.Folders = mail.Messages, mail.Recovered, mail.Entries, mail.Damaged, mail.Folders
	for _, p := range mail.Problems {
		r.Lost = append(r.Lost, Problem{Account: r.Account, Object: p.About, ID: p.ID, Text: p.Text})
	}
	if !space.IsSpace(owner) {
		return r, nil
	}
	documents, err := in.dossier.Rebuild(ctx, owner)
	r.Damaged += documents.Damaged
	for _, p := range documents.Problems {
		r.Lost = append(r.Lost, Problem{Account: r.Account, Object: "document", ID: p.Document, Text: p.What})
	}
	return r, err
}

// rebind makes the names that an account's own records tell lead to it. What
// those no longer tell is what Verify finds.
func (in *Instance) rebind(ctx context.Context, owner store.Owner) {
	all := []func(context.Context, store.Owner) error{in.signin.Rebind, in.directory.Rebind}
	if space.IsSpace(owner) {
		all[1] = in.spaces.Rebind
	}
	for _, fn := range all {
		if err := fn(ctx, owner); err != nil && !errs.Is(err, errs.NotFound) {
			in.deps.Log.Warn("the names of an account are not whole", "account", string(owner), "err", err)
		}
	}
}

// eachAccount calls fn for each account of the instance.
func (in *Instance) eachAccount(ctx context.Context, fn func(owner store.Owner) error) error {
	for after := store.Owner(""); ; {
		owners, err := in.db.Owners(ctx, after, ownersAPage)
		if err != nil || len(owners) == 0 {
			return err
		}
		for _, owner := range owners {
			if after = owner; !isAccount(owner) || in.destroyed(ctx, owner) {
				continue
			}
			if err := fn(owner); err != nil {
				return err
			}
		}
	}
}
