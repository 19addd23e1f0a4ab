package instance

import (
	"context"
	"fmt"
	"time"

	"pli/store"
)

// StoreFile is one file in which an engine keeps records.
type StoreFile struct {
	Store string `json:"store"` // "store": records; "keys": data keys
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	Free  int64  `json:"free"` // of those, in pages that hold nothing
}

// Share returns how much of the file is free, from 0 to 1.
func (f StoreFile) Share() float64 { return float64(f.Free) / float64(max(1, f.Bytes)) }

// CompactReport is what one compaction has done.
type CompactReport struct {
	Started time.Time       `json:"started"`
	Seconds float64         `json:"seconds"`
	Files   []CompactedFile `json:"files"`             // those that were compacted
	Stopped string          `json:"stopped,omitempty"` // why it did not go on; "" if it did
}

// String says in a line what was done.
func (r CompactReport) String() string {
	var before, after int64
	for _, f := range r.Files {
		before, after = before+f.Before, after+f.After
	}
	return fmt.Sprintf("%d file(s) compacted, %d bytes to %d", len(r.Files), before, after)
}

// CompactedFile is a file before and after its compaction.
type CompactedFile struct {
	Store  string  `json:"store"`
	File   string  `json:"file"`
	Before int64   `json:"before"` // bytes
	After  int64   `json:"after"`  // bytes
	Pause  float64 `json:"pause"`  // the longest that writers were held up, in seconds
}

// compacted is a store that may offer compaction.
type compacted struct {
	name string
	store.Compacter
}

// compacters returns the stores whose engine offers compaction.
func (in *Instance) compacters() (list []compacted) {
	for _, s := range []struct {
		name string
		db   store.DB
	}{{"store", in.raw}, {keysName, in.rawKeys}} {
		if c, ok := s.db.(store.Compacter); ok {
			list = append(list, compacted{s.name, c})
		}
	}
	return list
}

// files returns the files of all engines that have some.
func (in *Instance) files() []StoreFile {
	list := []StoreFile{}
	for _, c := range in.compacters() {
		for _, f := range c.Files() {
			list = append(list, c.file(f))
		}
	}
	return list
}

func (c compacted) file(f store.File) StoreFile { return StoreFile{c.name, f.Name, f.Bytes, f.Free} }

// Compact rewrites each file of which more than the configured share is free,
// and more than the configured number of bytes, while the instance goes on.
func (in *Instance) Compact(ctx context.Context, _ struct{}) (r CompactReport, err error) {
	err = in.chore(ctx, "compact", func(c *chore) error {
		started := time.Now()
		r = CompactReport{Started: in.deps.Now().UTC(), Files: []CompactedFile{}}
		if err := c.compact(&r); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			r.Stopped = err.Error()
			in.deps.Log.Error("a compaction stopped", "why", r.Stopped)
		}
		r.Seconds = time.Since(started).Seconds()
		in.metrics.compact.end(&r, in.deps.Now())
		c.tell("%v", r)
		return in.remember(ctx, keyCompact, r)
	})
	return r, err
}

func (c *chore) compact(r *CompactReport) error {
	m := &c.in.metrics.compact
	for _, db := range c.in.compacters() {
		for i, f := range db.Files() {
			file := db.file(f)
			if !c.in.worthCompacting(file) {
				continue
			}
			c.tell("%s/%s has %d bytes, %d of them free", file.Store, file.File, file.Bytes, file.Free)
			done, err := db.Compact(c.ctx, i, func(done, total int64) {
				m.copied.Set(float64(done))
				c.tellNowAndThen("%s/%s: %d of about %d bytes copied", file.Store, file.File, done, total)
			})
			m.copied.Set(0)
			if err != nil {
				return fmt.Errorf("%s/%s stays as it was: %w", file.Store, file.File, err)
			}
			r.Files = append(r.Files, CompactedFile{file.Store, file.File, done.Before, done.After, done.Pause.Seconds()})
			m.files.Inc()
			m.freed.Add(float64(max(0, done.Before-done.After)))
			c.tell("%s/%s has %d bytes now", file.Store, file.File, done.After)
		}
	}
	return nil
}

// keysName is the store of data keys.
const keysName = "keys"

// worthCompacting reports whether enough of a file is free. The data keys' file
// stays where it is: what a compaction leaves of the old one on the disk is not
// overwritten, and a key that is destroyed later must be gone from there too.
func (in *Instance) worthCompacting(f StoreFile) bool {
	k := &in.cfg.Keep
	return f.Store != keysName && f.Free >= k.CompactLeast && f.Share() > k.CompactFree
}
