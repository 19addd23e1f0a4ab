package backup

import (
	"context"
	"errors"

	"pli/internal/errs"
)

// Pruned is what a prune did.
type Pruned struct {
	Kept    []string `json:"kept"`    // backups, oldest first
	Removed []string `json:"removed"` // backups
	Objects int64    `json:"objects"` // deleted with them
	Bytes   int64    `json:"bytes"`
}

// Prune deletes all backups but the latest keep, then what none of those
// names. Nothing is deleted unless the whole index of those that are kept can
// be read.
func Prune(ctx context.Context, cfg Config, keep int) (Pruned, error) {
	cfg = cfg.withDefaults()
	if keep < 1 {
		return Pruned{}, errs.New(errs.Invalid, "keep at least one backup")
	}
	unlock, err := lock(ctx, cfg, lockPrune, lockBackup)
	if err != nil {
		return Pruned{}, err
	}
	defer unlock()
	p := &pruning{cfg: cfg, pieces: make(map[string]bool)}
	if err := p.choose(ctx, keep); err != nil {
		return p.done, err
	}
	for _, name := range p.done.Removed {
		if err := cfg.Repo.Delete(ctx, folderManifests+name); err != nil {
			return p.done, err
		}
	}
	for _, folder := range []string{folderRecords, folderIndex} {
		if err := p.sweep(ctx, folder, func(name string) (bool, error) { return p.pieces[name], nil }); err != nil {
			return p.done, err
		}
	}
	named, stop := p.blobs(ctx)
	defer stop()
	return p.done, p.sweep(ctx, folderBlobs, named)
}

// pruning is one Prune at work.
type pruning struct {
	cfg    Config
	kept   []Manifest
	pieces map[string]bool // that are named by those kept
	done   Pruned
}

// choose says what is kept, and reads all that it names.
func (p *pruning) choose(ctx context.Context, keep int) error {
	all, problems, err := List(ctx, p.cfg)
	if err := errors.Join(append(problems, err)...); err != nil {
		return errs.Wrap(err, errs.Conflict, "not all backups can be read, so none is deleted: move those aside that are no longer of use")
	}
	first := max(0, len(all)-keep)
	p.kept = all[first:]
	for _, m := range all[:first] {
		p.done.Removed = append(p.done.Removed, m.Name)
	}
	for _, m := range p.kept {
		p.done.Kept = append(p.done.Kept, m.Name)
		fresh := func(x Piece) bool { return !p.pieces[x.Sum] }
		for x, err := range lines[Piece](ctx, p.cfg.Repo, m.RecordIndex, fresh) {
			if err != nil {
				return err
			}
			p.pieces[x.Sum] = true
		}
		for _, err := range lines[Blob](ctx, p.cfg.Repo, m.BlobIndex, fresh) {
			if err != nil {
				return err
			}
		}
		for _, x := range append(m.RecordIndex, m.BlobIndex...) {
			p.pieces[x.Sum] = true
		}
	}
	return nil
}

// blobs returns a function that says whether any backup that is kept names a
// blob, for names that ascend.
func (p *pruning) blobs(ctx context.Context) (named func(id string) (bool, error), stop func()) {
	var all []*cursor[Blob]
	for _, m := range p.kept {
		all = append(all, newCursor(lines[Blob](ctx, p.cfg.Repo, m.BlobIndex, nil), func(b Blob) string { return b.ID }))
	}
	named = func(id string) (found bool, err error) {
		for _, c := range all {
			_, ok, seekErr := c.seek(id)
			found, err = found || ok, errors.Join(err, seekErr)
		}
		return found, err
	}
	return named, func() {
		for _, c := range all {
			c.stop()
		}
	}
}

// sweep deletes a folder's objects that are not named, a batch at a time.
func (p *pruning) sweep(ctx context.Context, folder string, named func(name string) (bool, error)) error {
	var gone []Object
	flush := func() error {
		for _, o := range gone {
			if err := p.cfg.Repo.Delete(ctx, o.Name); err != nil {
				return err
			}
			p.done.Objects++
			p.done.Bytes += o.Size
		}
		gone = gone[:0]
		return nil
	}
	err := p.cfg.Repo.List(ctx, folder, func(o Object) error {
		keep, err := named(base(o.Name))
		if err != nil || keep {
			return err
		}
		if gone = append(gone, o); len(gone) == bucketPage {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}
