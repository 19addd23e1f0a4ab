package backup

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Checked is what a check of a repository found.
type Checked struct {
	Backups int      `json:"backups"`
	Objects int64    `json:"objects"` // read whole, each once
	Bytes   int64    `json:"bytes"`
	Damaged []string `json:"damaged"` // what is missing or damaged, by name
	Removed int      `json:"removed"` // damaged objects that were taken away
}

// Check reads everything that the backups of a repository name and compares
// every digest. With remove, what is damaged is deleted, so that the next
// backup writes it anew if the instance still has it; a backup that is at work
// counts on what is there, so that it is then a Conflict.
func Check(ctx context.Context, cfg Config, remove bool) (Checked, error) {
	cfg = cfg.withDefaults()
	if remove {
		unlock, err := lock(ctx, cfg, lockPrune, lockBackup)
		if err != nil {
			return Checked{}, err
		}
		defer unlock()
	}
	c := &checking{cfg: cfg, remove: remove, seen: make(map[string]bool), meter: newMeter(cfg)}
	list, problems, err := List(ctx, cfg)
	if err != nil {
		return c.found, err
	}
	for _, p := range problems {
		c.found.Damaged = append(c.found.Damaged, p.Error())
	}
	c.meter.phase("checking")
	for _, m := range list {
		c.found.Backups++
		if err := c.backup(ctx, m); err != nil {
			return c.found, err
		}
	}
	return c.found, nil
}

// checking is one Check at work.
type checking struct {
	cfg    Config
	remove bool
	seen   map[string]bool // pieces, and index pieces of blobs, looked at
	meter  *meter

	mu    sync.Mutex
	found Checked
}

func (c *checking) backup(ctx context.Context, m Manifest) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	fresh := func(p Piece) bool {
		was := c.seen[p.Sum]
		c.seen[p.Sum] = true
		return !was
	}
	for p, err := range lines[Piece](ctx, c.cfg.Repo, m.RecordIndex, fresh) {
		if err := c.note(ctx, err); err != nil {
			return errors.Join(err, group.Wait())
		}
		if err == nil && fresh(p) {
			group.Go(func() error { return c.object(ctx, spread(folderRecords, p.Sum), p.Size, p.Sum) })
		}
	}
	for b, err := range lines[Blob](ctx, c.cfg.Repo, m.BlobIndex, fresh) {
		if err := c.note(ctx, err); err != nil {
			return errors.Join(err, group.Wait())
		}
		if err == nil && fresh(Piece{Sum: b.ID + b.Sum}) {
			group.Go(func() error { return c.object(ctx, spread(folderBlobs, b.ID), b.Size, b.Sum) })
		}
	}
	return group.Wait()
}

// object reads one object whole.
func (c *checking) object(ctx context.Context, name string, size int64, sum string) error {
	o, err := openObject(ctx, c.cfg.Repo, name)
	if err == nil {
		defer o.body.Close()
		if _, err = io.Copy(io.Discard, o); err == nil {
			err = o.check(size, sum)
		}
	}
	c.meter.count(func(at *Progress) { at.Bytes += size })
	c.mu.Lock()
	c.found.Objects++
	c.found.Bytes += size
	c.mu.Unlock()
	return c.note(ctx, err)
}

// note keeps damage, and returns any other error.
func (c *checking) note(ctx context.Context, err error) error {
	var d *damaged
	if !errors.As(err, &d) {
		return err
	}
	c.mu.Lock()
	c.found.Damaged = append(c.found.Damaged, d.Error())
	c.mu.Unlock()
	if !c.remove || strings.HasPrefix(d.name, folderManifests) {
		return nil
	}
	if err := c.cfg.Repo.Delete(ctx, d.name); err != nil {
		return err
	}
	c.mu.Lock()
	c.found.Removed++
	c.mu.Unlock()
	return nil
}
