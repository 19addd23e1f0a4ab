package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"time"

	"pli/internal/errs"
)

// What works on a repository.
const (
	lockBackup = "backup"
	lockPrune  = "prune" // whatever takes objects away
)

// A lock is an object with the time at which whoever holds it was last alive.
const (
	lockBeat  = time.Minute      // between two signs of life
	lockStale = 10 * time.Minute // without one, its holder was killed
)

// lock tells others that something of a kind is at work, and fails while
// something of the other kind is: a prune would take away pieces that a backup
// counts on. Backups do not hinder one another. The caller unlocks.
func lock(ctx context.Context, cfg Config, kind, other string) (unlock func(), err error) {
	name := folderLocks + kind + "-" + strings.ToLower(rand.Text())
	beat := func() error {
		text := cfg.Now().UTC().Format(time.RFC3339)
		return cfg.Repo.Put(ctx, name, strings.NewReader(text), int64(len(text)))
	}
	if err := beat(); err != nil {
		return nil, err
	}
	release := func() { cfg.Repo.Delete(context.WithoutCancel(ctx), name) }
	if err := hindered(ctx, cfg, other); err != nil {
		release()
		return nil, err
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lockBeat)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if err := beat(); err != nil {
					cfg.Log.Warn("backup: the repository takes no sign of life", "err", err)
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		release()
	}, nil
}

// hindered fails if something of a kind is at work, and clears away the locks
// of what was killed.
func hindered(ctx context.Context, cfg Config, kind string) error {
	var held []string
	err := cfg.Repo.List(ctx, folderLocks, func(o Object) error {
		held = append(held, o.Name)
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range held {
		r, err := cfg.Repo.Get(ctx, name)
		if errors.Is(err, ErrNotFound) {
			continue // released meanwhile
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(r, 64))
		r.Close()
		if err != nil {
			return err
		}
		alive, _ := time.Parse(time.RFC3339, string(text))
		if cfg.Now().Sub(alive) > lockStale {
			if err := cfg.Repo.Delete(ctx, name); err != nil {
				return err
			}
			continue
		}
		if strings.HasPrefix(name, folderLocks+kind+"-") {
			return errs.New(errs.Conflict, "a %s of this repository is at work, or was killed at %s: try again when it has ended, or %s after it was killed",
				kind, alive.Local().Format(time.TimeOnly), lockStale)
		}
	}
	return nil
}
