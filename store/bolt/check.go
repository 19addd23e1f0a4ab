package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
)

// maxFaults is how many faults Check names in each file.
const maxFaults = 20

// Check reads every page and record once. It returns what is wrong: pages
// that do not hang together, records that do not parse, large values that are
// missing or that nothing refers to, due times that record and index tell
// differently. All of it wraps store.ErrCorrupt. Writers wait while the pages
// of their file are walked.
func (db *DB) Check(ctx context.Context) error {
	if err := db.begin(); err != nil {
		return err
	}
	defer db.end()
	var faults []error
	for _, s := range db.shards {
		found, err := s.check(ctx)
		if err != nil {
			return err
		}
		faults = append(faults, found...)
	}
	return errors.Join(faults...)
}

// check returns what is wrong in one file.
func (s *shard) check(ctx context.Context) (faults []error, err error) {
	look := func(fn func(*checker)) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			c := checker{ctx: ctx, tx: tx}
			fn(&c)
			faults = c.faults
			return ctx.Err()
		}
	}
	// bbolt's own check reads the free list, which belongs to the writer: so
	// nobody writes meanwhile.
	if err := s.still(look((*checker).pages)); err != nil || len(faults) > 0 {
		return faults, err // records of broken pages cannot be walked
	}
	err = s.read(look(func(c *checker) { c.records(); c.index() }))
	return faults, err
}

// still runs fn while nobody writes. The caller has no other transaction open:
// the writer may wait for that one.
func (s *shard) still(fn func(*bbolt.Tx) error) error {
	btx, err := s.file.Begin(true)
	if err != nil {
		return asStoreError(err)
	}
	defer btx.Rollback()
	return fn(btx)
}

type checker struct {
	ctx    context.Context
	tx     *bbolt.Tx
	faults []error
	large  int // records that refer to a large value
	due    int // records that are due
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf("%w: %s", store.ErrCorrupt, fmt.Sprintf(format, args...)))
	}
}

// pages runs bbolt's own check, whose every answer must be taken.
func (c *checker) pages() {
	for err := range c.tx.Check() {
		c.fault("%v", err)
	}
}

func (c *checker) records() {
	large, due := c.tx.Bucket(bucketLarge), c.tx.Bucket(bucketDue)
	cursor := c.tx.Bucket(bucketRecord).Cursor()
	for k, raw := cursor.First(); k != nil && c.ctx.Err() == nil; k, raw = cursor.Next() {
		owner, _, ok := splitRecordKey(k)
		if !ok || !owner.Valid() {
			c.fault("a key has no owner")
			continue
		}
		e, ok := parseEntry(raw)
		if !ok {
			c.fault("a record of %s does not parse", owner)
			continue
		}
		if e.large {
			c.large++
			if large.Get(binary.BigEndian.AppendUint64(nil, e.seq)) == nil {
				c.fault("a value of %s is missing", owner)
			}
		}
		if e.hasDue {
			c.due++
			if due.Get(appendDueKey(nil, e.due, k)) == nil {
				c.fault("a due time of %s is not in the index", owner)
			}
		}
	}
}

// index counts the other way round: as many values and due times as records
// that have one, and no two of those the same, leave none over.
func (c *checker) index() {
	if n := c.count(bucketLarge); n != c.large && c.ctx.Err() == nil {
		c.fault("%d large values, of which records name %d", n, c.large)
	}
	if n := c.count(bucketDue); n != c.due && c.ctx.Err() == nil {
		c.fault("%d due times, of which records have %d", n, c.due)
	}
}

func (c *checker) count(bucket []byte) (n int) {
	var last []byte
	cursor := c.tx.Bucket(bucket).Cursor()
	for k, _ := cursor.First(); k != nil && c.ctx.Err() == nil; k, _ = cursor.Next() {
		if last != nil && bytes.Compare(last, k) >= 0 {
			c.fault("keys of %s are out of order", bucket)
		}
		last = k
		n++
	}
	return n
}
