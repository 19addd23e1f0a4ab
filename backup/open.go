package backup

import (
	"context"
	"errors"
	"io"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
	"pli/store/sealed"
)

// Backup is one run of a repository, opened to be read.
type Backup struct {
	Manifest
	cfg Config
}

// Open opens the backup of a name, the latest that can be used if name is "".
func Open(ctx context.Context, cfg Config, name string) (*Backup, error) {
	cfg = cfg.withDefaults()
	var m Manifest
	var err error
	if name == "" {
		m, err = latest(ctx, cfg)
	} else {
		m, err = readManifest(ctx, cfg, name)
	}
	return &Backup{Manifest: m, cfg: cfg}, err
}

// Owner calls fn for each record of one owner as it was, in order of keys.
func (b *Backup) Owner(ctx context.Context, owner store.Owner, fn func(key, value []byte) error) error {
	return b.owner(ctx, owner, func(r record) error { return fn(r.Key, r.Value) })
}

func (b *Backup) owner(ctx context.Context, owner store.Owner, fn func(record) error) error {
	may := func(p Piece) bool { return p.holds(string(owner)) }
	for p, err := range lines[Piece](ctx, b.cfg.Repo, b.RecordIndex, may) {
		if err != nil {
			return err
		}
		if !may(p) {
			continue
		}
		err := b.piece(ctx, p, func(r record) error {
			if r.Owner != owner {
				return nil
			}
			return fn(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// piece calls fn for each record of a piece.
func (b *Backup) piece(ctx context.Context, p Piece, fn func(record) error) error {
	name := spread(folderRecords, p.Sum)
	data, err := readPiece(ctx, b.cfg.Repo, name, p)
	if err != nil {
		return err
	}
	return decode(data, fn)
}

// CopyOwners writes the records of the owners from <= owner < to as they lie
// to a bare store.
func (b *Backup) CopyOwners(ctx context.Context, from, to store.Owner, db store.DB) (records int64, err error) {
	db = widen(db)
	may := func(p Piece) bool { return p.First < string(to) && p.Last >= string(from) }
	for p, err := range lines[Piece](ctx, b.cfg.Repo, b.RecordIndex, may) {
		if err != nil {
			return records, err
		}
		if !may(p) {
			continue
		}
		n, err := b.copyPiece(ctx, p, db, func(o store.Owner) bool { return o >= from && o < to })
		if records += n; err != nil {
			return records, err
		}
	}
	return records, nil
}

// widen returns a store that takes what sealing has made longer.
func widen(db store.DB) store.DB {
	if w, ok := db.(store.Widener); ok {
		return w.Widen(sealed.Overhead)
	}
	return db
}

// Blob returns the line of a blob, or an error of kind NotFound.
func (b *Backup) Blob(ctx context.Context, id blob.ID) (Blob, error) {
	for line, err := range lines[Blob](ctx, b.cfg.Repo, b.BlobIndex, func(p Piece) bool { return p.holds(string(id)) }) {
		if err != nil || line.ID == string(id) {
			return line, err
		}
	}
	return Blob{}, errs.New(errs.NotFound, "blob %s is not in the backup %s", id, b.Name)
}

// CopyBlob writes a blob of the backup to a store. One that is there stays as
// it is.
func (b *Backup) CopyBlob(ctx context.Context, line Blob, to blob.Store) error {
	name := spread(folderBlobs, line.ID)
	o, err := openObject(ctx, b.cfg.Repo, name)
	if err != nil {
		return err
	}
	defer o.body.Close()
	w, err := to.CreateAs(ctx, blob.ID(line.ID))
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, io.LimitReader(o, line.Size+1)); err != nil {
		return err
	}
	if err := o.check(line.Size, line.Sum); err != nil {
		return err
	}
	if _, err = w.Commit(); errors.Is(err, blob.ErrExists) {
		return nil
	}
	return err
}
