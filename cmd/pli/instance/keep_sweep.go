package instance

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"pli/store"
	"pli/store/blob"
)

const (
	// sweepAtOnce is how many blobs a sweep holds in memory, of 32 bytes each:
	// more are looked for in several rounds.
	sweepAtOnce = 500_000
	// sweepFew is how many unnamed blobs are removed whatever their share, as
	// long as others are named.
	sweepFew = 100
)

// SweepArgs says how to sweep.
type SweepArgs struct {
	DryRun bool `json:"dry_run" help:"Remove nothing; tell what would be removed."`
	Many   bool `json:"many" help:"Remove them even if they are more than keep.sweep_share of all blobs."`
}

// SweepReport is what one sweep has done.
type SweepReport struct {
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	DryRun  bool      `json:"dry_run,omitempty"`
	Owners  int       `json:"owners"`  // looked at, in every look
	Blobs   int       `json:"blobs"`   // there are
	Unnamed int       `json:"unnamed"` // older than the grace time, and named by nobody
	Bytes   int64     `json:"bytes"`   // of those
	Removed int       `json:"removed"`
	Freed   int64     `json:"freed"`             // bytes of those removed
	Stopped string    `json:"stopped,omitempty"` // why it did not go on; "" if it did
}

// String says in a line what was done.
func (r SweepReport) String() string {
	line := fmt.Sprintf("%d blobs, %d of them unnamed (%d bytes), %d removed (%d bytes)", r.Blobs, r.Unnamed, r.Bytes, r.Removed, r.Freed)
	if r.DryRun {
		line += "; a dry run removes nothing"
	}
	return line
}

// Sweep removes the blobs that no record names and that are older than the
// grace time: what a crash left between a blob and its record, or between a
// record and its blob. It removes one only if two looks at all records, both
// begun after the blob was listed, have not found its name. If any owner's
// records cannot be read whole, nothing is removed; nor if so many blobs are
// unnamed that the records are probably not those that belong to them.
func (in *Instance) Sweep(ctx context.Context, a SweepArgs) (r SweepReport, err error) {
	err = in.chore(ctx, "sweep", func(c *chore) error {
		s := &sweep{chore: c, args: a, atOnce: sweepAtOnce, told: &in.metrics.sweep}
		err := s.run()
		r = s.report
		return err
	})
	return r, err
}

// sweep is a Sweep under way.
type sweep struct {
	*chore
	args   SweepArgs
	atOnce int
	told   *sweepMetrics
	report SweepReport
	since  int         // holds before the first look
	named  int         // of those old enough, in the first look
	whole  bool        // a look opens every record of every owner
	found  []candidate // unnamed in the first look, at most atOnce
}

// candidate is a blob that may be an orphan.
type candidate struct {
	id    [16]byte
	size  int64
	named bool
}

func (c *candidate) blob() blob.ID { return blob.ID(hex.EncodeToString(c.id[:])) }

func (s *sweep) run() error {
	since, err := s.in.hold.since()
	if err != nil {
		return err
	}
	started := time.Now()
	s.since = since
	s.report = SweepReport{Started: s.in.deps.Now().UTC(), DryRun: s.args.DryRun}
	s.told.begin()
	err = s.find()
	if err == nil && !s.args.DryRun {
		err = s.remove()
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	r := &s.report
	if err != nil {
		r.Stopped = err.Error()
	}
	r.Seconds = time.Since(started).Seconds()
	s.told.end(r, s.in.deps.Now())
	if r.Stopped != "" {
		s.in.deps.Log.Warn("a sweep stopped", "removed", r.Removed, "why", r.Stopped)
	}
	s.tell("%v", r)
	if s.args.DryRun {
		return nil
	}
	return s.in.remember(s.ctx, keySweep, r)
}

// find looks twice for the name of every blob that is old enough.
func (s *sweep) find() error {
	if err := s.firstLook(); err != nil {
		return err
	}
	if s.tooMany() && !s.args.Many {
		return fmt.Errorf("%d of %d blobs are named by no record, all or more than keep.sweep_share allows, so nothing is removed: "+
			"do these records belong to these blobs? If they do, «pli keep sweep --many» removes them", s.report.Unnamed, s.report.Blobs)
	}
	return s.secondLook()
}

// tooMany reports whether so many blobs are unnamed that something else is
// wrong: the records of another day, or of another instance. Where not one is
// named, few are too many.
func (s *sweep) tooMany() bool {
	n := s.report.Unnamed
	return n > 0 && s.named == 0 || n > sweepFew && float64(n) > s.in.cfg.Keep.SweepShare*float64(s.report.Blobs)
}

// firstLook looks for the name of every blob that is old enough, so many at
// once as may be held in memory.
func (s *sweep) firstLook() error {
	before := s.in.deps.Now().Add(-s.in.cfg.Keep.SweepGrace)
	for after := blob.ID(""); ; {
		list, last, err := s.list(after, before)
		if err != nil || last == after {
			return err
		}
		if err := s.look(list); err != nil {
			return err
		}
		for _, c := range list {
			if c.named {
				s.named++
			} else {
				s.unnamed(c)
			}
		}
		after = last
	}
}

// secondLook drops those that have been named since. It looks at whole stores:
// a record whose key was damaged is not among those that name blobs, and its
// seal does not open under that key.
func (s *sweep) secondLook() error {
	if len(s.found) == 0 {
		return nil
	}
	if c, ok := s.in.raw.(store.Checker); ok {
		if err := c.Check(s.ctx); err != nil {
			return fmt.Errorf("the store is damaged, so nothing is removed: %w", err)
		}
	}
	s.whole = true
	if err := s.look(s.found); err != nil {
		return err
	}
	s.found = slices.DeleteFunc(s.found, func(c candidate) bool { return c.named })
	return nil
}

func (s *sweep) unnamed(c candidate) {
	s.report.Unnamed++
	s.report.Bytes += c.size
	if len(s.found) < s.atOnce {
		s.found = append(s.found, c)
	}
}

// list returns the next blobs that were there before a time, in order, and the
// last one that it came by.
func (s *sweep) list(after blob.ID, before time.Time) (list []candidate, last blob.ID, err error) {
	last = after
	err = s.in.eachBlob(s.ctx, after, func(b blob.Info) error {
		if len(list) == s.atOnce {
			return store.Stop
		}
		last = b.ID
		s.report.Blobs++
		s.told.blobs.Inc()
		if b.ModTime.Before(before) {
			c := candidate{size: b.Size}
			if _, err := hex.Decode(c.id[:], []byte(b.ID)); err != nil {
				return err
			}
			list = append(list, c)
		}
		s.tellNowAndThen("%d blobs listed", s.report.Blobs)
		return s.rest()
	})
	return list, last, err
}

// look marks those of list that any record of any owner names.
func (s *sweep) look(list []candidate) error {
	if len(list) == 0 {
		return nil
	}
	mark := func(id blob.ID, _ int64) error {
		var want candidate
		if !id.Valid() {
			return fmt.Errorf("%w: it names a blob %q", store.ErrCorrupt, id)
		}
		hex.Decode(want.id[:], []byte(id))
		if i, ok := slices.BinarySearchFunc(list, want, func(a, b candidate) int { return bytes.Compare(a.id[:], b.id[:]) }); ok {
			list[i].named = true
		}
		return nil
	}
	return s.eachOwner(func(owner store.Owner) error {
		if s.whole {
			if err := s.in.db.View(s.ctx, owner, openAll); err != nil {
				return err
			}
		}
		if err := s.in.mail.Blobs(s.ctx, owner, mark); err != nil {
			return err
		}
		return s.in.dossier.Blobs(s.ctx, owner, mark)
	})
}

// openAll opens the seal of every record.
func openAll(tx store.Tx) error {
	return tx.Scan(nil, nil, func(_, _ []byte) error { return nil })
}

// eachOwner calls fn for every owner, with rests between.
func (s *sweep) eachOwner(fn func(store.Owner) error) error {
	for after := store.Owner(""); ; {
		owners, err := s.in.db.Owners(s.ctx, after, ownersAPage)
		if err != nil {
			return fmt.Errorf("not all owners can be listed, so nothing is removed: %w", err)
		}
		if len(owners) == 0 {
			return nil
		}
		for _, o := range owners {
			if err := fn(o); err != nil {
				return fmt.Errorf("the records of %s cannot be read whole, so nothing is removed: %w", o, err)
			}
			s.report.Owners++
			s.told.owners.Inc()
			s.tellNowAndThen("%d blobs listed, %d owners looked at", s.report.Blobs, s.report.Owners)
			if err := s.rest(); err != nil {
				return err
			}
		}
		after = owners[len(owners)-1]
	}
}

// remove removes what both looks have found unnamed.
func (s *sweep) remove() error {
	for i := range s.found {
		c := &s.found[i]
		if err := s.in.hold.deleteUnnamed(s.ctx, c.blob(), s.since); err != nil {
			return fmt.Errorf("removing blob %s: %w", c.blob(), err)
		}
		s.report.Removed++
		s.report.Freed += c.size
		s.told.removed.Inc()
		s.told.freed.Add(float64(c.size))
		s.tellNowAndThen("%d of %d unnamed blobs removed", s.report.Removed, len(s.found))
		if err := s.rest(); err != nil {
			return err
		}
	}
	return nil
}
