package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// Restoring says how a whole backup is brought back.
type Restoring struct {
	Keys   string // the file of data keys
	Marker string // file that is there as long as the restore is not done: nothing may serve the stores
	// SkipDamaged goes on without what the repository has lost, and tells it.
	SkipDamaged bool
}

// Restored is what a restore has done.
type Restored struct {
	Backup  string        `json:"backup"`
	Records int64         `json:"records"`
	Blobs   int64         `json:"blobs"`
	Bytes   int64         `json:"bytes"`
	Keys    int64         `json:"keys"` // data keys, destroyed ones among them
	Took    time.Duration `json:"-"`
	Missing []string      `json:"missing"` // damaged objects of the repository that were skipped, and what was in them
}

// progress of a restore that may be taken up again, as the marker keeps it.
type restoreMark struct {
	Backup string `json:"backup"`
	Pieces int    `json:"pieces"` // of records that are in the store
}

const (
	piecesAtOnce = 4       // pieces that are fetched and written side by side
	ownersAtOnce = 32      // transactions side by side
	restoreTx    = 4 << 20 // bytes of values that one transaction writes
)

// Restore brings the whole backup into stores that are empty, or that an
// earlier Restore of the same backup has left unfinished. Every digest is
// checked before anything is written. Where it ends early, the same call takes
// it up again. The caller removes the marker by Finish.
func (b *Backup) Restore(ctx context.Context, to Instance, o Restoring) (Restored, error) {
	r := &restoring{Backup: b, Restoring: o, to: to, meter: newMeter(b.cfg)}
	r.done.Backup = b.Name
	mark, err := r.begin(ctx)
	if err != nil {
		return r.done, err
	}
	if err := r.records(ctx, mark); err != nil {
		return r.done, err
	}
	if err := r.blobs(ctx); err != nil {
		return r.done, err
	}
	err = r.keys(ctx)
	at := r.meter.sum()
	r.done.Records, r.done.Blobs, r.done.Bytes, r.done.Took = at.Records, at.Blobs, at.Bytes, at.Took
	return r.done, err
}

// restoring is one Restore at work.
type restoring struct {
	*Backup
	Restoring
	to    Instance
	meter *meter

	mu   sync.Mutex
	done Restored
}

// begin sees to it that nothing is overwritten, and returns how far an earlier
// restore came.
func (r *restoring) begin(ctx context.Context) (mark restoreMark, err error) {
	r.meter.phase("looking")
	if err := r.lookAtKeys(); err != nil {
		return mark, err
	}
	b, err := os.ReadFile(r.Marker)
	if err == nil {
		if err := json.Unmarshal(b, &mark); err != nil || mark.Backup != r.Name {
			return mark, errs.New(errs.Conflict, "a restore of the backup %q was begun here and is not done: take it up with --manifest %s, or begin in an empty folder and empty stores", mark.Backup, mark.Backup)
		}
		return mark, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return mark, err
	}
	if err := r.wantEmpty(ctx); err != nil {
		return mark, err
	}
	mark.Backup = r.Name
	return mark, r.note(mark)
}

// lookAtKeys sees to it that the file of data keys is whole, and was written by
// the same run as the backup or a later one: an older copy lacks the keys of
// accounts that were made between.
func (r *restoring) lookAtKeys() error {
	head, err := readKeys(r.cfg.Master, r.Restoring.Keys, func(record) error { return nil })
	if err != nil || !head.At.Before(r.Begin) {
		return err
	}
	why := fmt.Sprintf("the file of data keys %s is of %s, and the backup of %s", r.Restoring.Keys, head.At.Format(time.RFC3339), r.Begin.Format(time.RFC3339))
	if !r.SkipDamaged {
		return errs.New(errs.Conflict, "%s: take the current file, or a backup from before; with --skip-damaged, accounts made between come back as nobody can open them", why)
	}
	r.done.Missing = append(r.done.Missing, why+": accounts made between cannot be opened")
	return nil
}

func (r *restoring) wantEmpty(ctx context.Context) error {
	for name, db := range map[string]store.DB{"records": r.to.Records, "data keys": r.to.Keys} {
		owners, err := db.Owners(ctx, "", 1)
		if err != nil {
			return err
		}
		if len(owners) > 0 {
			return errs.New(errs.Conflict, "there are %s in the store already: a restore fills an empty instance; «pli restore account» brings one account back into a running one", name)
		}
	}
	blobs, err := r.to.Blobs.List(ctx, "", 1)
	if err == nil && len(blobs) > 0 {
		err = errs.New(errs.Conflict, "there are blobs in the store already: a restore fills an empty instance")
	}
	return err
}

// note writes the marker.
func (r *restoring) note(mark restoreMark) error {
	b, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	return ReplaceFile(r.Marker, append(b, '\n'))
}

// skip says whether to go on after an error, and then tells what is missing.
func (r *restoring) skip(err error, format string, args ...any) bool {
	if !r.SkipDamaged || !errors.Is(err, ErrDamaged) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done.Missing = append(r.done.Missing, err.Error()+": "+fmt.Sprintf(format, args...))
	return true
}

// records writes piece after piece, a few at once.
func (r *restoring) records(ctx context.Context, mark restoreMark) error {
	r.meter.phase("records")
	n, batch := 0, make([]Piece, 0, piecesAtOnce)
	flush := func() error {
		group, ctx := errgroup.WithContext(ctx)
		for _, p := range batch {
			group.Go(func() error {
				_, err := r.copyPiece(ctx, p, r.to.Records, nil)
				if err != nil && !r.skip(err, "%d records, of the owners %s to %s", p.Items, p.First, p.Last) {
					return err
				}
				r.meter.count(func(at *Progress) {
					at.Records += p.Items
					at.Bytes += p.Size
					at.Share = share(at.Records, r.Manifest.Records)
				})
				return nil
			})
		}
		batch = batch[:0]
		if err := group.Wait(); err != nil {
			return err
		}
		if len(r.done.Missing) > 0 {
			return nil // what is missing now may be there when it is taken up again
		}
		return r.note(restoreMark{r.Name, n})
	}
	for p, err := range lines[Piece](ctx, r.cfg.Repo, r.RecordIndex, nil) {
		if err != nil {
			if r.skip(err, "all pieces of records that it lists") {
				mark.Pieces = 0 // which of those that follow are there is not known
				continue
			}
			return err
		}
		if n++; n <= mark.Pieces {
			r.meter.count(func(at *Progress) { at.Records += p.Items; at.Bytes += p.Size })
			continue
		}
		if batch = append(batch, p); len(batch) == piecesAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// copyPiece writes the records of a piece whose owners want lets through (nil:
// all) to a bare store, many owners side by side, and returns how many.
func (b *Backup) copyPiece(ctx context.Context, p Piece, to store.DB, want func(store.Owner) bool) (n int64, err error) {
	var list []record
	err = b.piece(ctx, p, func(r record) error {
		if want == nil || want(r.Owner) {
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	to = widen(to)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(ownersAtOnce)
	for rest := list; len(rest) > 0; {
		end, bytes := 0, 0
		for end < len(rest) && rest[end].Owner == rest[0].Owner && bytes < restoreTx {
			bytes += len(rest[end].Value)
			end++
		}
		part := rest[:end]
		rest = rest[end:]
		group.Go(func() error { return putAll(ctx, to, part) })
	}
	return int64(len(list)), group.Wait()
}

// putAll writes records of one owner in one transaction.
func putAll(ctx context.Context, db store.DB, list []record) error {
	return db.Update(ctx, list[0].Owner, func(tx store.Tx) error {
		for _, r := range list {
			if err := r.put(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// blobs writes every blob that is not there.
func (r *restoring) blobs(ctx context.Context) error {
	r.meter.phase("blobs")
	there := newCursor(stored(ctx, r.to.Blobs), func(i blob.Info) string { return string(i.ID) })
	defer there.stop()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for line, err := range lines[Blob](gctx, r.cfg.Repo, r.BlobIndex, nil) {
		if err != nil {
			if r.skip(err, "all blobs that it lists") {
				continue
			}
			return errors.Join(err, group.Wait())
		}
		info, ok, err := there.seek(line.ID)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			if !ok || info.Size != line.Size {
				if err := r.CopyBlob(gctx, line, r.to.Blobs); err != nil && !r.skip(err, "the body of a message or a document of %d bytes", line.Size) {
					return err
				}
			}
			r.meter.count(func(at *Progress) {
				at.Blobs++
				at.Bytes += line.Size
				at.Share = share(at.Blobs, r.Manifest.Blobs)
			})
			return nil
		})
	}
	return group.Wait()
}

// stored lists a store of blobs as a sequence.
func stored(ctx context.Context, blobs blob.Store) func(yield func(blob.Info, error) bool) {
	return func(yield func(blob.Info, error) bool) {
		for after := blob.ID(""); ; {
			page, err := blobs.List(ctx, after, blobsPage)
			if err != nil {
				yield(blob.Info{}, err)
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
				after = info.ID
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// keysAtOnce is how many records of data keys are written side by side.
const keysAtOnce = 256

// keys writes the data keys: without them nothing of the rest opens.
func (r *restoring) keys(ctx context.Context) error {
	r.meter.phase("keys")
	var batch []record
	flush := func() error {
		group, ctx := errgroup.WithContext(ctx)
		for i := range batch {
			group.Go(func() error { return putAll(ctx, r.to.Keys, batch[i:i+1]) })
		}
		err := group.Wait()
		r.done.Keys += int64(len(batch))
		batch = batch[:0]
		return err
	}
	_, err := readKeys(r.cfg.Master, r.Restoring.Keys, func(k record) error {
		if batch = append(batch, k); len(batch) == keysAtOnce {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// Finish removes the marker of a restore, when nothing else is to be done.
func Finish(marker string) error {
	if err := os.Remove(marker); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(marker))
}

// ReplaceFile writes a small file, for its owner alone, in place of another. It
// is durable on return.
func ReplaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".pli-new-")
	if err != nil {
		return err
	}
	_, err = bytes.NewReader(content).WriteTo(f)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncFolder(filepath.Dir(path))
}
