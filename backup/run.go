package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pli/internal/errs"
	"pli/store"
)

// Options say how one run copies.
type Options struct {
	Name  string // of the instance, for people
	Keys  string // file that takes the data keys
	Spool string // folder for an owner's records while they are cut; needs room for the largest
	// Skip leaves an owner out, such as one whose records say who serves the
	// store; may be nil.
	Skip func(store.Owner) bool
}

// Result is what a run did.
type Result struct {
	Manifest
	Took      time.Duration
	NewPieces int64 // objects of records and of index that were not there before
	NewBlobs  int64
	Sent      int64 // bytes of all new objects, without the manifest
}

// atOnce is how many objects travel side by side.
const atOnce = 4

// run is one backup at work.
type run struct {
	Config
	Options
	from  Instance
	meter *meter
	there map[string]int64 // pieces in the repository: name and size

	mu     sync.Mutex
	result Result
}

// Run copies an instance that may be running. Deletions of blobs must wait
// until it returns: a record that was copied may name a blob that is deleted a
// moment later. What the instance cannot give (a damaged record) is left out
// and told in Result.Problems.
//
// Each owner's records are copied as they are at one moment. Blobs follow, then
// the data keys, then the manifest: whatever a record names is copied after it.
func Run(ctx context.Context, cfg Config, from Instance, o Options) (Result, error) {
	cfg = cfg.withDefaults()
	if err := refuseKeysFile(cfg, o.Keys); err != nil {
		return Result{}, err
	}
	unlock, err := lock(ctx, cfg, lockBackup, lockPrune)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	r := &run{Config: cfg, Options: o, from: from, meter: newMeter(cfg), there: make(map[string]int64)}
	begin := cfg.Now()
	r.result.Manifest = Manifest{Name: newManifestName(begin), Format: manifestFormat, Instance: o.Name, Key: keyName(cfg.Master), Begin: begin.UTC()}
	if err := r.all(ctx); err != nil {
		return Result{}, err
	}
	r.result.End = cfg.Now().UTC()
	r.result.Took = r.result.End.Sub(r.result.Begin)
	r.result.Sent = r.meter.sum().Sent
	return r.result, r.result.write(ctx, cfg)
}

func (r *run) all(ctx context.Context) error {
	r.meter.phase("looking")
	before, err := latest(ctx, r.Config)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	for _, folder := range []string{folderIndex, folderRecords} {
		err := r.Repo.List(ctx, folder, func(o Object) error {
			r.there[o.Name] = o.Size
			return nil
		})
		if err != nil {
			return err
		}
	}
	if err := r.records(ctx); err != nil {
		return err
	}
	if err := r.blobs(ctx, before); err != nil {
		return err
	}
	r.meter.phase("keys")
	return writeKeys(ctx, r.Config, r.Options, r.from.Keys)
}

// send writes a piece, unless it is there.
func (r *run) send(ctx context.Context, name string, p Piece, data []byte) error {
	if n, ok := r.there[name]; ok && n == p.Size {
		return nil
	}
	if err := r.Repo.Put(ctx, name, bytes.NewReader(data), p.Size); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.mu.Lock()
	r.result.NewPieces++
	r.mu.Unlock()
	r.meter.count(func(at *Progress) { at.Sent += p.Size })
	return nil
}

func (r *run) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Problems = append(r.result.Problems, fmt.Sprintf(format, args...))
}

// records copies every owner's records.
func (r *run) records(ctx context.Context) error {
	total, err := r.owners(ctx, func(store.Owner) error { return nil })
	if err != nil {
		return err
	}
	r.meter.phase("records")
	list, cut := r.newIndex(), newCutter(recordBounds, r.Spool)
	defer cut.close()
	defer list.cut.close()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	flush := func() error {
		return cut.take(func(p Piece, data []byte) error {
			r.result.RecordBytes += p.Size
			group.Go(func() error { return r.send(gctx, spread(folderRecords, p.Sum), p, data) })
			return list.add(gctx, p.First, p.Last, p.Sum, p)
		})
	}
	done := int64(0)
	r.result.Owners, err = r.owners(gctx, func(owner store.Owner) error {
		if err := r.owner(gctx, cut, owner); err != nil {
			return err
		}
		done++
		r.meter.count(func(at *Progress) { at.Share = share(done, total) })
		return flush()
	})
	cut.cut()
	if err == nil {
		err = flush()
	}
	if waitErr := group.Wait(); waitErr != nil {
		return waitErr // what made the others end
	}
	if err != nil {
		return err
	}
	r.result.RecordIndex, err = list.end(ctx)
	return err
}

// ownersPage is how many owners are asked for at once.
const ownersPage = 500

// owners calls fn for each owner, in order, and returns how many there are.
func (r *run) owners(ctx context.Context, fn func(store.Owner) error) (n int64, err error) {
	for after := store.Owner(""); ; {
		page, err := r.from.Records.Owners(ctx, after, ownersPage)
		if err != nil || len(page) == 0 {
			return n, err
		}
		for _, owner := range page {
			if after = owner; r.Skip != nil && r.Skip(owner) {
				continue
			}
			n++
			if err := fn(owner); err != nil {
				return n, err
			}
		}
	}
}

// owner puts one owner's records into the cutter, in one view. A record that
// cannot be read is left out, and is a problem.
func (r *run) owner(ctx context.Context, cut *cutter, owner store.Owner) error {
	var records, bytes int64
	var bad []error
	before := cut.mark()
	err := r.from.Records.View(ctx, owner, func(tx store.Tx) error {
		records, bytes, bad = 0, 0, nil
		if err := cut.back(before); err != nil {
			return err
		}
		scan, ok := tx.(store.DueScanner)
		if !ok {
			return errors.New("backup: the engine does not tell due times (store.DueScanner)")
		}
		dated := &dated{Tx: tx, scan: scan}
		place := append([]byte(owner), 0)
		return store.ScanAround(dated, nil, nil, func(key, value []byte) error {
			item, err := newRecord(owner, key, value, dated.due)
			if err != nil {
				return err
			}
			records++
			bytes += int64(len(item))
			return cut.add(string(owner), string(owner), append(place, key...), item)
		}, func(d *store.Damage) error {
			bad = append(bad, d)
			return nil
		})
	})
	if errors.Is(err, store.ErrCorrupt) {
		bad, err = append(bad, fmt.Errorf("%w: what lies behind it could not be copied", err)), nil
	}
	for _, b := range bad {
		r.problem("%v", b)
	}
	r.result.Records += records
	r.meter.count(func(at *Progress) { at.Records += records; at.Bytes += bytes })
	return err
}

// dated scans with due times: due is that of the record met last.
type dated struct {
	store.Tx
	scan store.DueScanner
	due  time.Time
}

func (d *dated) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return d.scan.ScanDue(from, to, func(key, value []byte, due time.Time) error {
		d.due = due
		return fn(key, value)
	})
}
