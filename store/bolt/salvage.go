package bolt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pli/store"
)

// Salvaged is a record found in the files of a damaged store. Its slices are
// valid until the function that it is given to returns.
type Salvaged struct {
	Owner store.Owner
	Key   []byte
	Value []byte
	Due   time.Time // zero if the record has no due time

	// Reachable says that the last commit holds the record: the pages on the
	// way to it are sound. Otherwise it was found on a page that
	// nothing leads to any more: it may be an older copy, or a record that
	// was deleted, and several may be found for one key.
	Reachable bool
	// Lost says that the record is there but its value is not: Value is nil.
	Lost bool
}

// SalvageReport counts what Salvage has found.
type SalvageReport struct {
	Files      int
	Pages      uint64 // in all files, free ones too
	Damaged    int    // pages on the way to records that could not be used
	Reachable  int    // records given that the last commit holds
	Candidates int    // records given that may be old
	Superseded int    // old copies not given: sound pages tell what became of those records
	Lost       int    // records given without their value
}

// Salvage reads the files of a store that may be damaged in any way, without
// writing to them, and gives every record that it finds to fn: of each file
// first those that the last commit holds, then those on pages that nothing
// leads to. Of the latter it leaves out what is known to be old: where the
// pages that lead to a key's place are all sound, what they tell of it stands.
// Values are as the engine had them: a sealed one proves itself by its seal,
// any other may have been changed by the damage. An error of fn ends it and is
// returned. A folder that a running server has open is refused.
func Salvage(ctx context.Context, dir string, fn func(Salvaged) error) (SalvageReport, error) {
	var report SalvageReport
	paths, err := filepath.Glob(filepath.Join(dir, "shard-*.db"))
	if err != nil || len(paths) == 0 {
		return report, fmt.Errorf("bolt: %s holds no files of a store", dir)
	}
	for _, path := range paths {
		if err := salvageFile(ctx, path, fn, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

func salvageFile(ctx context.Context, path string, fn func(Salvaged) error, report *SalvageReport) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	defer f.Close()
	if err := lockShared(f); err != nil {
		return fmt.Errorf("bolt: %s is in use: stop the server first: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	metas, size := findMetas(f, info.Size(), repairMeta)
	file := &rawFile{r: f, pageSize: size, end: uint64(info.Size() / int64(size))}
	s := &salvage{ctx: ctx, file: file, metas: metas, fn: fn, report: report}
	s.seen, s.hurt = newPageSet(file.end), map[uint64]bool{}
	report.Files++
	report.Pages += file.end
	return s.run()
}

// findMetas returns the meta pages that parse can read, the newest first, and
// the size of pages. Without any, the size is that of most pages which bear the
// number of their place.
func findMetas(f *os.File, fileSize int64, parse func([]byte) (rawMeta, bool)) (metas []rawMeta, pageSize int) {
	at := func(offset int64) (rawMeta, bool) {
		b := make([]byte, pageHeader+metaSize)
		if _, err := f.ReadAt(b, offset); err != nil {
			return rawMeta{}, false
		}
		return parse(b)
	}
	if m, ok := at(0); ok {
		metas = append(metas, m)
	}
	for size := int64(1 << 10); size <= 1<<24; size *= 2 {
		if m, ok := at(size); ok && int64(m.pageSize) == size && (len(metas) == 0 || metas[0].pageSize == m.pageSize) {
			metas = append(metas, m)
			break
		}
	}
	slices.SortFunc(metas, func(a, b rawMeta) int { return cmp.Compare(b.tx, a.tx) })
	if len(metas) > 0 {
		return metas, metas[0].pageSize
	}
	most := -1
	for size := int64(4 << 10); size <= 64<<10; size *= 2 {
		n := 0
		for id := range min(fileSize/size, 4096) {
			var b [8]byte
			if _, err := f.ReadAt(b[:], id*size); err == nil && order.Uint64(b[:]) == uint64(id) && id > 0 {
				n++
			}
		}
		if n > most {
			most, pageSize = n, int(size)
		}
	}
	return nil, pageSize
}

// salvage is the work on one file.
type salvage struct {
	ctx    context.Context
	file   *rawFile
	metas  []rawMeta
	fn     func(Salvaged) error
	report *SalvageReport

	seen   pageSet         // pages of the last commit
	met    pageSet         // those, and the older commit's whose records have been given
	blind  bool            // nothing is certain of what the last commit holds
	gaps   []span          // stored keys of which its pages do not tell, in order
	hurt   map[uint64]bool // its pages that are damaged
	values finder          // its large values
	lost   []place         // its records whose large value is not among them, or not for certain
	stray  []place         // large values elsewhere, by number
	buf    []byte          // of a page with records
	large  []byte          // of a page with large values
}

// span is a range of stored keys: from low (included) to high (not; nil is no
// bound).
type span struct{ low, high []byte }

// place says where an element lies; seq is the number of a large value.
type place struct {
	seq     uint64
	page    uint64
	element int
}

func (s *salvage) run() error {
	if err := s.reachable(); err != nil {
		return err
	}
	s.met = slices.Clone(s.seen)
	if err := s.strays(); err != nil {
		return err
	}
	if err := s.older(); err != nil {
		return err
	}
	if err := s.unclaimed(s.candidates); err != nil {
		return err
	}
	return s.incomplete()
}

// reachable gives what the newest meta page leads to: for certain, unless the
// other one is damaged, which may have been newer.
func (s *salvage) reachable() error {
	s.blind = len(s.metas) < 2
	if len(s.metas) == 0 {
		return nil
	}
	w := &walk{ctx: s.ctx, file: s.file, seen: s.seen}
	w.hurt = func(id uint64, _, _ []byte, _ error) {
		s.damaged(id)
		s.blind = true
	}
	buckets, err := w.buckets(s.metas[0].root)
	if err != nil {
		return err
	}
	w.hurt = func(id uint64, _, _ []byte, _ error) { s.damaged(id) }
	w.leaf = passOver
	for _, name := range [][]byte{bucketMeta, bucketDue, bucketLarge} {
		if b, ok := buckets[string(name)]; ok {
			if err := w.bucket(b); err != nil {
				return err
			}
		}
	}
	s.values = finder{file: s.file, bucket: buckets[string(bucketLarge)]}
	w.hurt = func(id uint64, low, high []byte, _ error) {
		s.damaged(id)
		s.gaps = append(s.gaps, span{bytes.Clone(low), bytes.Clone(high)})
	}
	w.leaf = s.records
	if b, ok := buckets[string(bucketRecord)]; ok {
		return w.bucket(b)
	}
	return nil
}

func (s *salvage) damaged(id uint64) {
	s.report.Damaged++
	s.hurt[id] = true
}

// records gives the records of a sound leaf.
func (s *salvage) records(p rawPage) error {
	for i := range p.count {
		at, _ := p.element(i)
		found, e, ok := parseRecord(at)
		if !ok {
			continue
		}
		found.Reachable = !s.blind
		if e.large {
			found.Value, ok, _ = s.values.find(largeKey(e.seq))
			if !ok || s.blind {
				s.lost = append(s.lost, place{seq: e.seq, page: p.id, element: i})
				continue
			}
		}
		if err := s.give(found); err != nil {
			return err
		}
	}
	return nil
}

// parseRecord reads a record as it lies in a leaf.
func parseRecord(at element) (found Salvaged, e entry, ok bool) {
	owner, key, ok := splitRecordKey(at.key)
	if !ok || !owner.Valid() || len(key) > store.MaxKey {
		return found, e, false
	}
	if e, ok = parseEntry(at.value); !ok {
		return found, e, false
	}
	found = Salvaged{Owner: owner, Key: key, Value: e.inline}
	if e.hasDue {
		found.Due = time.UnixMilli(e.due).UTC()
	}
	return found, e, true
}

func largeKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func (s *salvage) give(found Salvaged) error {
	switch {
	case found.Lost:
		s.report.Lost++
	case found.Reachable:
		s.report.Reachable++
	default:
		s.report.Candidates++
	}
	return s.fn(found)
}

// unclaimed calls fn for every leaf that is not the last commit's, and for
// that one's damaged pages as if they were leaves. Not all their elements need
// be within bounds.
func (s *salvage) unclaimed(fn func(rawPage) error) error {
	for id := uint64(2); id < s.file.end; id++ {
		if s.met.has(id) {
			continue
		}
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if p, ok := s.leafAt(id, &s.buf); ok {
			if err := fn(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// leafAt reads a page that may be a leaf: one that says so, or a damaged one
// that stands where the last commit has a page.
func (s *salvage) leafAt(id uint64, buf *[]byte) (p rawPage, ok bool) {
	p, err := s.file.read(id, buf)
	if err == nil || !s.hurt[id] {
		return p, err == nil && p.leaf
	}
	return s.file.force(id, buf)
}

// strays notes the large values that are not the last commit's.
func (s *salvage) strays() error {
	err := s.unclaimed(func(p rawPage) error {
		for i := range p.count {
			if seq, ok := s.strayValue(p, i); ok {
				s.stray = append(s.stray, place{seq, p.id, i})
			}
		}
		return nil
	})
	slices.SortStableFunc(s.stray, func(a, b place) int { return cmp.Compare(a.seq, b.seq) })
	return err
}

// strayValue returns the number of the large value that an element may be.
func (s *salvage) strayValue(p rawPage, i int) (seq uint64, ok bool) {
	e, ok := p.element(i)
	if !ok || len(e.key) != 8 || len(e.value) <= inlineMax || !s.whole(p, e) {
		return 0, false
	}
	return binary.BigEndian.Uint64(e.key), true
}

// whole reports that the last commit has taken none of the pages on which an
// element of p lies.
func (s *salvage) whole(p rawPage, e element) bool {
	size := s.file.pageSize
	for i := e.from / size; i <= (e.to-1)/size; i++ {
		if s.seen.has(p.id + uint64(i)) {
			return false
		}
	}
	return true
}

// older gives what the other meta page leads to, where the last commit's pages
// do not tell: it is one commit behind, and likelier to be right than what
// merely lies in the file.
func (s *salvage) older() error {
	if len(s.metas) < 2 || !s.blind && len(s.gaps) == 0 {
		return nil
	}
	w := &walk{ctx: s.ctx, file: s.file, seen: s.met}
	w.hurt = func(uint64, []byte, []byte, error) {}
	w.leaf = s.candidates
	buckets, err := w.buckets(s.metas[1].root)
	if err != nil {
		return err
	}
	if b, ok := buckets[string(bucketRecord)]; ok {
		return w.bucket(b)
	}
	return nil
}

// candidates gives the records on a leaf that is not the last commit's.
func (s *salvage) candidates(p rawPage) error {
	for i := range p.count {
		at, ok := p.element(i)
		if !ok || p.id != 0 && !s.whole(p, at) {
			continue
		}
		found, e, ok := parseRecord(at)
		if !ok {
			continue
		}
		if !s.inGap(at.key) {
			s.report.Superseded++
			continue
		}
		if err := s.complete(found, e); err != nil {
			return err
		}
	}
	return nil
}

// inGap reports whether the last commit's pages do not tell of a stored key.
func (s *salvage) inGap(k []byte) bool {
	i, _ := slices.BinarySearchFunc(s.gaps, k, func(g span, k []byte) int {
		if bytes.Compare(g.low, k) <= 0 {
			return -1
		}
		return 1
	})
	return s.blind || i > 0 && (s.gaps[i-1].high == nil || bytes.Compare(k, s.gaps[i-1].high) < 0)
}

// complete gives a record of which it is not certain that it is the last: with
// its value, or with each of those that may be its.
func (s *salvage) complete(found Salvaged, e entry) error {
	if !e.large {
		return s.give(found)
	}
	v, certain, _ := s.values.find(largeKey(e.seq))
	if certain {
		found.Value = v
		if err := s.give(found); err != nil || !s.blind {
			return err
		}
	}
	i, some := slices.BinarySearchFunc(s.stray, e.seq, func(p place, seq uint64) int { return cmp.Compare(p.seq, seq) })
	if !some && !certain {
		found.Value, found.Lost = nil, true
		return s.give(found)
	}
	for ; i < len(s.stray) && s.stray[i].seq == e.seq; i++ {
		p, ok := s.leafAt(s.stray[i].page, &s.large)
		if !ok {
			continue
		}
		v, ok := p.element(s.stray[i].element)
		if !ok {
			continue
		}
		found.Value = v.value
		if err := s.give(found); err != nil {
			return err
		}
	}
	return nil
}

// incomplete gives the records of s.lost with what may be their value.
func (s *salvage) incomplete() error {
	for _, at := range s.lost {
		p, ok := s.leafAt(at.page, &s.buf)
		if !ok || at.element >= p.count {
			continue
		}
		element, ok := p.element(at.element)
		if !ok {
			continue
		}
		found, e, ok := parseRecord(element)
		if !ok {
			continue
		}
		if err := s.complete(found, e); err != nil {
			return err
		}
	}
	return nil
}
