package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	bbolt "go.etcd.io/bbolt"

	"pli/store"
)

// maxFaults is how many faults Check names in each file.
const maxFaults = 20

// Fault is damage in a file of a store. It wraps store.ErrCorrupt.
type Fault struct {
	File string // its name in the folder
	Page uint64 // the damaged page; 0 if it is not a page's
	// First and Last are the owners between whose records, in order, it lies;
	// empty where that cannot be known, or goes to the end.
	First, Last store.Owner
	What        string
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("%v: %s", store.ErrCorrupt, f.File)
	if f.Page != 0 {
		s += fmt.Sprintf(", page %d", f.Page)
	}
	switch {
	case f.First == f.Last && f.First != "":
		s += fmt.Sprintf(", %s", f.First)
	case f.First != f.Last:
		s += fmt.Sprintf(", records from %q to %q", f.First, f.Last)
	}
	return s + ": " + f.What
}

func (f *Fault) Unwrap() error { return store.ErrCorrupt }

// Check reads every page that is in use, and every record, once. It returns
// what is wrong (Fault, several of them joined): pages that do not hang
// together, records that do not parse, large values that are missing or that
// nothing refers to, due times that record and index tell differently. It
// looks at the state at its beginning; nobody waits for it.
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
	v := s.acquire()
	defer v.release()
	err = v.View(func(tx *bbolt.Tx) error {
		// The pages of an open transaction are not written to. They are read
		// from the file, not from memory that is mapped to it: what the disk
		// does not give is an error there, and the end of the process here.
		c := newChecker(ctx, s.path, v.raw, int(v.page))
		c.walk.file.end = uint64(tx.Size() / v.page)
		err := c.run(uint64(tx.Cursor().Bucket().RootPage()))
		for _, f := range c.faults {
			faults = append(faults, f)
		}
		return err
	})
	return faults, asStoreError(err)
}

// checker is the check of one file.
type checker struct {
	name   string
	walk   *walk
	due    finder
	faults []*Fault

	large       []run // numbers of the large values that are there, in order
	lost        []run // numbers of those on damaged pages, in order
	lostDue     bool  // a page of the index of due times is damaged
	lostRecords bool  // a page of records is
	values      int   // records that refer to a large value
	dues        int   // records that are due
	inIndex     int   // due times in the index

	owner store.Owner
	wrong []wrong // with owner's records
}

// wrong is what is the matter with some records.
type wrong struct {
	what string
	n    int
}

func newChecker(ctx context.Context, path string, file io.ReaderAt, pageSize int) *checker {
	raw := &rawFile{r: file, pageSize: pageSize}
	return &checker{name: filepath.Base(path), walk: &walk{ctx: ctx, file: raw}}
}

func (c *checker) fault(f Fault) {
	f.File = c.name
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, &f)
	}
}

// run checks the tree whose root page is given.
func (c *checker) run(root uint64) error {
	c.metas()
	buckets, err := c.begin(root)
	if err != nil {
		return err
	}
	c.due = finder{file: c.walk.file, bucket: buckets[string(bucketDue)]}
	for _, step := range []struct {
		name []byte
		leaf func(rawPage) error
		hurt func(id uint64, low, high []byte, why error)
	}{
		{bucketMeta, passOver, c.walk.hurt},
		{bucketLarge, c.largeLeaf, c.largeHurt},
		{bucketDue, c.dueLeaf, c.dueHurt},
		{bucketRecord, c.recordLeaf, c.recordHurt},
	} {
		b, ok := buckets[string(step.name)]
		if !ok {
			c.fault(Fault{What: fmt.Sprintf("bucket %s is missing", step.name)})
			return nil // what else is there cannot be judged
		}
		c.walk.leaf, c.walk.hurt = step.leaf, step.hurt
		if err := c.walk.bucket(b); err != nil {
			return err
		}
	}
	c.endOwner()
	c.count()
	return nil
}

// pages checks that the pages of all trees hang together, and nothing of what
// they hold.
func (c *checker) pages(root uint64) error {
	buckets, err := c.begin(root)
	if err != nil {
		return err
	}
	c.walk.leaf = passOver
	for name, b := range buckets {
		c.walk.hurt = c.pageHurt
		if name == string(bucketRecord) {
			c.walk.hurt = c.recordHurt
		}
		if err := c.walk.bucket(b); err != nil {
			return err
		}
	}
	return nil
}

// begin returns the buckets of the tree whose root page is given.
func (c *checker) begin(root uint64) (map[string]rawBucket, error) {
	c.walk.seen = newPageSet(c.walk.file.end)
	c.walk.hurt = c.pageHurt
	return c.walk.buckets(root)
}

func (c *checker) pageHurt(id uint64, _, _ []byte, why error) {
	c.fault(Fault{Page: id, What: why.Error()})
}

func passOver(rawPage) error { return nil }

// metas checks the two pages at the beginning. A commit may be writing one of
// them: it is looked at again.
func (c *checker) metas() {
	const tries, pause = 20, time.Millisecond
	for id := range int64(2) {
		b := make([]byte, pageHeader+metaSize)
		ok := false
		for try := 0; try < tries && !ok; try++ {
			if try > 0 {
				time.Sleep(pause)
			}
			if _, err := c.walk.file.r.ReadAt(b, id*int64(c.walk.file.pageSize)); err == nil {
				_, ok = parseMeta(b)
			}
		}
		if !ok {
			c.fault(Fault{What: fmt.Sprintf("meta page %d is damaged: if it was the newer one, the last commit is missing", id)})
		}
	}
}

// run is a range of numbers, both ends included.
type run struct{ first, last uint64 }

// addRun adds a number that is above all others.
func addRun(runs []run, n uint64) []run {
	if k := len(runs); k > 0 && runs[k-1].last+1 == n {
		runs[k-1].last = n
		return runs
	}
	return append(runs, run{n, n})
}

func hasRun(runs []run, n uint64) bool {
	_, ok := slices.BinarySearchFunc(runs, n, func(r run, n uint64) int {
		switch {
		case r.last < n:
			return -1
		case r.first > n:
			return 1
		}
		return 0
	})
	return ok
}

func (c *checker) largeLeaf(p rawPage) error {
	for i := range p.count {
		e, _ := p.element(i)
		if len(e.key) != 8 {
			c.fault(Fault{Page: p.id, What: "a large value has no number"})
			continue
		}
		c.large = addRun(c.large, binary.BigEndian.Uint64(e.key))
	}
	return nil
}

func (c *checker) largeHurt(id uint64, low, high []byte, why error) {
	c.fault(Fault{Page: id, What: "large values: " + why.Error()})
	r := run{0, 1<<64 - 1}
	if len(low) == 8 {
		r.first = binary.BigEndian.Uint64(low)
	}
	if len(high) == 8 {
		r.last = binary.BigEndian.Uint64(high) - 1
	}
	c.lost = append(c.lost, r)
}

func (c *checker) dueLeaf(p rawPage) error {
	c.inIndex += p.count
	return nil
}

func (c *checker) dueHurt(id uint64, _, _ []byte, why error) {
	c.lostDue = true
	c.fault(Fault{Page: id, What: "index of due times: " + why.Error()})
}

func (c *checker) recordHurt(id uint64, low, high []byte, why error) {
	c.endOwner()
	first, _, _ := splitRecordKey(low)
	last, _, _ := splitRecordKey(high)
	c.fault(Fault{Page: id, First: first, Last: last, What: why.Error()})
	c.lostRecords = true
}

func (c *checker) recordLeaf(p rawPage) error {
	for i := range p.count {
		at, _ := p.element(i)
		owner, _, ok := splitRecordKey(at.key)
		if !ok || !owner.Valid() {
			c.fault(Fault{Page: p.id, What: "a key has no owner"})
			continue
		}
		if owner != c.owner {
			c.endOwner()
			c.owner = owner
		}
		e, ok := parseEntry(at.value)
		if !ok {
			c.hit("a record does not parse")
			continue
		}
		if err := c.record(at.key, e); err != nil {
			return err
		}
	}
	return nil
}

// record checks what a record refers to.
func (c *checker) record(k []byte, e entry) error {
	if e.large {
		c.values++
		switch {
		case hasRun(c.large, e.seq):
		case hasRun(c.lost, e.seq):
			c.hit("a value is on a damaged page")
		default:
			c.hit("a value is missing")
		}
	}
	if e.hasDue {
		c.dues++
		if _, ok, err := c.due.find(appendDueKey(nil, e.due, k)); !ok && err == nil {
			c.hit("a due time is not in the index")
		}
	}
	return c.walk.ctx.Err()
}

// hit notes what is wrong with a record of c.owner.
func (c *checker) hit(what string) {
	for i := range c.wrong {
		if c.wrong[i].what == what {
			c.wrong[i].n++
			return
		}
	}
	c.wrong = append(c.wrong, wrong{what, 1})
}

// endOwner tells what is wrong with an owner's records.
func (c *checker) endOwner() {
	for _, w := range c.wrong {
		c.fault(Fault{First: c.owner, Last: c.owner, What: fmt.Sprintf("%s (%d records)", w.what, w.n)})
	}
	c.wrong = c.wrong[:0]
}

// count looks the other way round: as many values and due times as records
// that have one, each of which has been found, leave none over.
func (c *checker) count() {
	n := 0
	for _, r := range c.large {
		n += int(r.last - r.first + 1)
	}
	if !c.lostRecords && len(c.lost) == 0 && n != c.values {
		c.fault(Fault{What: fmt.Sprintf("%d large values, of which records name %d", n, c.values)})
	}
	if !c.lostRecords && !c.lostDue && c.inIndex != c.dues {
		c.fault(Fault{What: fmt.Sprintf("%d due times, of which records have %d", c.inIndex, c.dues)})
	}
}
