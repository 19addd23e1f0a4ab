package instance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"pli/internal/errs"
	"pli/store"
	"pli/store/blob"
)

// House-keeping is what an instance does for its stores while it runs, on a
// schedule and when the operator asks: it sweeps blobs that no record names
// (keep_sweep.go) and compacts files of which much is free (keep_compact.go).

const (
	keepFirst   = 5 * time.Minute  // after the start, or after finding another chore under way
	keepTell    = 10 * time.Second // between two words on how far a chore is
	workSpell   = 20 * time.Millisecond
	restFactor  = 3 // a chore rests this many times as long as it has worked
	leastEvery  = time.Minute
	leastGrace  = time.Hour // longer than any delivery or filing can take
	keepOwner   = store.Owner("sys/keep")
	keySweep    = "sweep"   // the last SweepReport
	keyCompact  = "compact" // the last CompactReport
	blobsAPage  = 1000
	ownersAPage = 500
)

// keeping is the state of house-keeping.
type keeping struct {
	busy sync.Mutex // held by the chore under way
	mu   sync.Mutex
	now  string // how far that is; "" when there is none
}

func (k *keeping) set(text string) {
	k.mu.Lock()
	k.now = text
	k.mu.Unlock()
}

func (k *keeping) text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// startKeep begins the schedule.
func (in *Instance) startKeep(ctx context.Context) {
	in.metrics.watchFiles(in.files)
	in.work(ctx, "sweep", in.regularly(in.cfg.Keep.SweepEvery, func(ctx context.Context) error {
		_, err := in.Sweep(ctx, SweepArgs{})
		return err
	}))
	in.work(ctx, "compaction", in.regularly(in.cfg.Keep.CompactEvery, func(ctx context.Context) error {
		_, err := in.Compact(ctx, struct{}{})
		return err
	}))
}

// regularly returns a worker that does a chore every so often, for the first
// time a while after the start; with every 0, never.
func (in *Instance) regularly(every time.Duration, do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if every == 0 {
			return nil
		}
		for wait := min(keepFirst, every); ; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
			wait = every
			switch err := do(ctx); {
			case errs.Is(err, errs.Conflict):
				wait = min(keepFirst, every)
			case err != nil && ctx.Err() == nil:
				in.deps.Log.Error("house-keeping failed", "error", err)
			}
		}
	}
}

// chore is one sweep or compaction under way.
type chore struct {
	in    *Instance
	ctx   context.Context
	name  string
	since time.Time // when the last rest ended
	told  time.Time // when it was last told how far it is
}

// chore runs one chore, unless another is under way.
func (in *Instance) chore(ctx context.Context, name string, run func(*chore) error) error {
	if !in.keeping.busy.TryLock() {
		return errs.New(errs.Conflict, "house-keeping is under way (%s); ask again when it is done", in.keeping.text())
	}
	defer in.keeping.busy.Unlock()
	in.keeping.set(name)
	defer in.keeping.set("")
	now := time.Now()
	return run(&chore{in: in, ctx: ctx, name: name, since: now, told: now})
}

// rest leaves the machine to deliveries for a while, if the chore has worked
// for one.
func (c *chore) rest() error {
	worked := time.Since(c.since)
	if worked < workSpell {
		return c.ctx.Err()
	}
	select {
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-time.After(restFactor * worked):
	}
	c.since = time.Now()
	return nil
}

// tell says how far the chore is: in the log, to whoever asked for it, and in
// the status.
func (c *chore) tell(format string, args ...any) {
	text := c.name + ": " + fmt.Sprintf(format, args...)
	c.told = time.Now()
	c.in.keeping.set(text)
	c.in.deps.Log.Info("house-keeping", "progress", text)
	tell(c.ctx, text)
}

// tellNowAndThen is tell, if the last time is long enough ago.
func (c *chore) tellNowAndThen(format string, args ...any) {
	if time.Since(c.told) >= keepTell {
		c.tell(format, args...)
	}
}

// remember keeps a chore's report for the status, across a restart.
func (in *Instance) remember(ctx context.Context, key string, report any) error {
	return in.db.Update(ctx, keepOwner, func(tx store.Tx) error { return store.Save(tx, []byte(key), report) })
}

// recall returns what remember has kept, nil if nothing.
func recall[T any](ctx context.Context, in *Instance, key string) (report *T, err error) {
	err = in.db.View(ctx, keepOwner, func(tx store.Tx) error {
		v, err := store.Load[T](tx, []byte(key))
		report = &v
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return report, err
}

// KeepStatus is what `pli keep status` tells.
type KeepStatus struct {
	Engine     string         `json:"engine"`      // of the records
	BlobEngine string         `json:"blob_engine"` // of the blobs
	Running    string         `json:"running"`     // the chore under way; "" for none
	Files      []StoreFile    `json:"files"`       // of an engine that has files
	Blobs      int            `json:"blobs"`
	BlobBytes  int64          `json:"blob_bytes"`
	Sweep      *SweepReport   `json:"sweep"`   // the last one
	Compaction *CompactReport `json:"compact"` // the last one
}

// KeepStatus tells how the stores are and what was last done for them.
func (in *Instance) KeepStatus(ctx context.Context, _ struct{}) (s KeepStatus, err error) {
	s = KeepStatus{Engine: engineName(in.cfg.StoreEngine), BlobEngine: engineName(in.cfg.BlobEngine),
		Running: in.keeping.text(), Files: in.files()}
	if s.Sweep, err = recall[SweepReport](ctx, in, keySweep); err != nil {
		return s, err
	}
	if s.Compaction, err = recall[CompactReport](ctx, in, keyCompact); err != nil {
		return s, err
	}
	return s, in.eachBlob(ctx, "", func(b blob.Info) error {
		s.Blobs++
		s.BlobBytes += b.Size
		return nil
	})
}

// eachBlob calls fn for every blob after the given one, in order; store.Stop
// ends it without an error.
func (in *Instance) eachBlob(ctx context.Context, after blob.ID, fn func(blob.Info) error) error {
	for {
		list, err := in.blobs.List(ctx, after, blobsAPage)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, b := range list {
			if err := fn(b); errors.Is(err, store.Stop) {
				return nil
			} else if err != nil {
				return err
			}
		}
		after = list[len(list)-1].ID
	}
}

// engineName returns the name of an engine without what its URL tells of its
// server.
func engineName(engine string) string {
	if u, err := url.Parse(engine); err == nil && u.Scheme != "" {
		return u.Scheme
	}
	return engine
}

// neverOr checks a setting that says how often: 0 is never.
func neverOr(p *time.Duration, least time.Duration) func() error {
	return func() error {
		if *p != 0 && *p < least {
			return fmt.Errorf("is %v; at least %v, or \"0s\" for never", *p, least)
		}
		return nil
	}
}
