package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"iter"

	"golang.org/x/sync/errgroup"

	"pli/internal/errs"
	"pli/store/blob"
)

// blobsPage is how many blobs are looked at together.
const blobsPage = 1000

// blobs copies every blob that the repository has not. The digest of one that
// is there comes from the backup before; where none names it, because a run was
// killed, the blob is read again.
func (r *run) blobs(ctx context.Context, before Manifest) error {
	total, err := r.sizeBlobs(ctx)
	if err != nil {
		return err
	}
	r.meter.phase("blobs")
	known := newCursor(lines[Blob](ctx, r.Repo, before.BlobIndex, nil), func(b Blob) string { return b.ID })
	defer known.stop()
	there := newCursor(objects(ctx, r.Repo, folderBlobs), func(o Object) string { return base(o.Name) })
	defer there.stop()
	list := r.newIndex()
	defer list.cut.close()
	var done int64
	for after := blob.ID(""); ; {
		page, err := r.from.Blobs.List(ctx, after, blobsPage)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		found, err := r.page(ctx, page, known, there)
		if err != nil {
			return err
		}
		for i, b := range found {
			if done += page[i].Size; b.ID == "" {
				continue
			}
			r.result.Blobs++
			r.result.BlobBytes += b.Size
			if err := list.add(ctx, b.ID, b.ID, b.Sum, b); err != nil {
				return err
			}
		}
		r.meter.count(func(at *Progress) { at.Blobs = r.result.Blobs; at.Share = share(done, total) })
	}
	r.result.BlobIndex, err = list.end(ctx)
	return err
}

// page sees to it that a page of blobs is in the repository, and returns the
// line of each; one that could not be read has none.
func (r *run) page(ctx context.Context, page []blob.Info, known *cursor[Blob], there *cursor[Object]) ([]Blob, error) {
	found := make([]Blob, len(page))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, info := range page {
		object, ok, err := there.seek(string(info.ID))
		if err != nil {
			return nil, errors.Join(err, group.Wait())
		}
		ok = ok && object.Size == info.Size
		line, knows, err := known.seek(string(info.ID))
		if err != nil && !errors.Is(err, ErrDamaged) { // digests that are lost are taken again
			return nil, errors.Join(err, group.Wait())
		}
		knows = knows && line.Size == info.Size
		if ok && knows {
			found[i] = line
			continue
		}
		group.Go(func() (err error) {
			found[i], err = r.blob(ctx, info, !ok)
			if err == nil && knows && found[i].ID != "" && found[i].Sum != line.Sum {
				r.problem("blob %s is not what it was in an earlier backup", info.ID)
			}
			return err
		})
	}
	return found, group.Wait()
}

// blob reads one blob, sends it if that is asked for, and returns its line;
// none if it cannot be read.
func (r *run) blob(ctx context.Context, info blob.Info, send bool) (Blob, error) {
	from, err := r.from.Blobs.Open(ctx, info.ID)
	if errors.Is(err, blob.ErrNotFound) {
		return Blob{}, nil // never committed, or deleted before deletions were held
	}
	if err != nil {
		return Blob{}, err
	}
	defer from.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(from, 0, from.Size())); err != nil {
		if ctx.Err() != nil || errs.Is(err, errs.Unavailable) {
			return Blob{}, err
		}
		r.problem("blob %s cannot be read: %v", info.ID, err)
		return Blob{}, nil
	}
	r.meter.count(func(at *Progress) { at.Bytes += from.Size() })
	if send {
		if err := r.Repo.Put(ctx, spread(folderBlobs, string(info.ID)), from, from.Size()); err != nil {
			return Blob{}, err
		}
		r.mu.Lock()
		r.result.NewBlobs++
		r.mu.Unlock()
		r.meter.count(func(at *Progress) { at.Sent += from.Size() })
	}
	return Blob{string(info.ID), from.Size(), hex.EncodeToString(sum.Sum(nil))}, nil
}

// sizeBlobs adds up what there is to copy.
func (r *run) sizeBlobs(ctx context.Context) (total int64, err error) {
	for after := blob.ID(""); ; {
		page, err := r.from.Blobs.List(ctx, after, blobsPage)
		if err != nil || len(page) == 0 {
			return total, err
		}
		for _, info := range page {
			total += info.Size
		}
		after = page[len(page)-1].ID
	}
}

// objects lists a folder of the repository as a sequence.
func objects(ctx context.Context, repo Repository, folder string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		errStop := errors.New("stop")
		err := repo.List(ctx, folder, func(o Object) error {
			if !yield(o, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Object{}, err)
		}
	}
}

// cursor goes through a sequence that is in order of names, beside another.
type cursor[T any] struct {
	next func() (T, error, bool)
	stop func()
	name func(T) string
	at   T
	more bool
	err  error // met on the way to at
}

func newCursor[T any](seq iter.Seq2[T, error], name func(T) string) *cursor[T] {
	c := &cursor[T]{name: name}
	c.next, c.stop = iter.Pull2(seq)
	c.step()
	return c
}

func (c *cursor[T]) step() {
	c.at, c.err, c.more = c.next()
}

// seek goes on to the item with a name, and says whether there is one. Names
// must ascend from call to call. What went wrong on the way is returned once.
func (c *cursor[T]) seek(name string) (item T, ok bool, err error) {
	for c.more && (c.err != nil || c.name(c.at) < name) {
		err = errors.Join(err, c.err)
		c.step()
	}
	if c.more && c.name(c.at) == name {
		return c.at, true, err
	}
	return item, false, err
}
