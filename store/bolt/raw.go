package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"sort"
)

// The file format of bbolt (version 2), as go.etcd.io/bbolt/internal/common
// lays it out: pages of one size, each with its own number; the first two are
// meta pages, of which the one with the higher transaction number and a right
// checksum names the root. Numbers are in the machine's byte order. A page is
// read here without trust in any byte of it, so that a damaged file can
// neither crash nor mislead who looks.
const (
	pageHeader  = 16 // number (8), flags (2), count (2), overflow (4)
	elementSize = 16 // of a branch: position, key size (4 each), page (8); of a leaf: flags, position, key size, value size (4 each)
	pageBranch  = 0x01
	pageLeaf    = 0x02
	isBucket    = 0x01 // flag of a leaf's element
	bucketSize  = 16   // root page (8), sequence (8); an inline page follows if root is 0

	metaSize    = 64 // magic, version, page size, flags (4 each), root (16), freelist, end, transaction, checksum (8 each)
	metaMagic   = 0xED0CDAED
	metaVersion = 2

	// maxRun bounds the bytes of one page with its overflow: bbolt leaves up
	// to four values together.
	maxRun = 8 << 20
	// maxDepth bounds how deep a tree goes.
	maxDepth = 64
)

var order = binary.NativeEndian

// rawFile is a bbolt file as bytes.
type rawFile struct {
	r        io.ReaderAt
	pageSize int
	end      uint64 // number of the first page that is not there
}

// rawMeta is what a meta page says.
type rawMeta struct {
	pageSize int
	root     uint64
	end      uint64
	tx       uint64
}

// parseMeta reads a meta page from its first bytes.
func parseMeta(b []byte) (m rawMeta, ok bool) {
	b = b[pageHeader:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	size := order.Uint32(b[8:])
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVersion || order.Uint64(b[metaSize-8:]) != sum.Sum64() ||
		size < 1<<10 || size > 1<<24 || size&(size-1) != 0 {
		return m, false
	}
	return rawMeta{pageSize: int(size), root: order.Uint64(b[16:]), end: order.Uint64(b[40:]), tx: order.Uint64(b[48:])}, true
}

// repairMeta is parseMeta for a page of which one bit may have flipped: the
// checksum tells which.
func repairMeta(b []byte) (m rawMeta, ok bool) {
	if m, ok = parseMeta(b); ok {
		return m, true
	}
	for bit := pageHeader * 8; bit < len(b)*8 && !ok; bit++ {
		b[bit/8] ^= 1 << (bit % 8)
		m, ok = parseMeta(b)
		b[bit/8] ^= 1 << (bit % 8)
	}
	return m, ok
}

// rawPage is a page with its overflow. Its header is within bounds; nothing
// else of it is certain before sound says so.
type rawPage struct {
	id    uint64
	leaf  bool
	count int
	data  []byte
}

// read reads a page into buf, which grows as needed. It refuses what cannot be
// a page of a tree.
func (f *rawFile) read(id uint64, buf *[]byte) (p rawPage, err error) {
	if id < 2 || id >= f.end {
		return p, fmt.Errorf("its number is out of bounds")
	}
	if err := f.bytes(id, 1, buf); err != nil {
		return p, err
	}
	h := *buf
	flags, overflow := order.Uint16(h[8:]), order.Uint32(h[12:])
	run := uint64(overflow) + 1
	switch {
	case order.Uint64(h) != id:
		return p, fmt.Errorf("it bears another number")
	case flags != pageBranch && flags != pageLeaf:
		return p, fmt.Errorf("it is neither branch nor leaf")
	case run > f.end-id || run*uint64(f.pageSize) > maxRun:
		return p, fmt.Errorf("its length is out of bounds")
	}
	if run > 1 {
		if err := f.bytes(id, run, buf); err != nil {
			return p, err
		}
	}
	return parsePage(id, *buf)
}

// bytes reads a run of pages.
func (f *rawFile) bytes(id, run uint64, buf *[]byte) error {
	n := int(run) * f.pageSize
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	*buf = (*buf)[:n]
	if _, err := f.r.ReadAt(*buf, int64(id)*int64(f.pageSize)); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	return nil
}

// parsePage reads the header of a page that lies in data.
func parsePage(id uint64, data []byte) (p rawPage, err error) {
	if len(data) < pageHeader {
		return p, errors.New("it is cut short")
	}
	p = rawPage{id: id, leaf: order.Uint16(data[8:]) == pageLeaf, count: int(order.Uint16(data[10:])), data: data}
	if pageHeader+p.count*elementSize > len(data) {
		return p, errors.New("its count is out of bounds")
	}
	return p, nil
}

// force reads a page whose header is damaged as if it were that of a leaf.
func (f *rawFile) force(id uint64, buf *[]byte) (p rawPage, ok bool) {
	if id < 2 || id >= f.end || f.bytes(id, 1, buf) != nil {
		return p, false
	}
	run := uint64(order.Uint32((*buf)[12:])) + 1
	if run > f.end-id || run*uint64(f.pageSize) > maxRun {
		run = 1
	}
	if f.bytes(id, run, buf) != nil {
		return p, false
	}
	p = rawPage{id: id, leaf: true, count: int(order.Uint16((*buf)[10:])), data: *buf}
	p.count = min(p.count, (len(p.data)-pageHeader)/elementSize)
	return p, true
}

// element is one of a page's: a key, and a leaf's value or a branch's page.
type element struct {
	key, value []byte
	child      uint64
	flags      uint32
	from, to   int // where in the page key and value lie
}

// element returns the page's ith element; ok is false if it is out of bounds.
func (p rawPage) element(i int) (e element, ok bool) {
	at := pageHeader + i*elementSize
	b := p.data[at : at+elementSize]
	var pos, keySize, valueSize uint64
	if p.leaf {
		e.flags = order.Uint32(b)
		pos, keySize, valueSize = uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[8:])), uint64(order.Uint32(b[12:]))
	} else {
		pos, keySize, e.child = uint64(order.Uint32(b)), uint64(order.Uint32(b[4:])), order.Uint64(b[8:])
	}
	pos += uint64(at)
	mid, end := pos+keySize, pos+keySize+valueSize
	if keySize == 0 || pos < uint64(pageHeader+p.count*elementSize) || end > uint64(len(p.data)) {
		return element{}, false
	}
	e.key, e.value = p.data[pos:mid:mid], p.data[mid:end:end]
	e.from, e.to = int(pos), int(end)
	return e, true
}

// sound reports what is wrong with a page whose keys are to be from low
// (included) to high (not; nil is no bound), in order.
func (p rawPage) sound(low, high []byte) error {
	if p.count == 0 && !p.leaf {
		return errors.New("it has no branches")
	}
	last := low
	for i := range p.count {
		e, ok := p.element(i)
		switch c := bytes.Compare(e.key, last); {
		case !ok:
			return errors.New("an element is out of bounds")
		case c < 0, c == 0 && i > 0:
			return errors.New("its keys are out of order")
		}
		last = e.key
	}
	if high != nil && p.count > 0 && bytes.Compare(last, high) >= 0 {
		return errors.New("its keys are out of order")
	}
	return nil
}

// rawBucket is where the tree of a bucket begins.
type rawBucket struct {
	root   uint64
	inline []byte // the page itself, if root is 0
}

// search returns the first of a sound page's elements whose key is not below.
func (p rawPage) search(key []byte) (i int, exact bool) {
	i = sort.Search(p.count, func(i int) bool {
		e, _ := p.element(i)
		return bytes.Compare(e.key, key) >= 0
	})
	if i < p.count {
		e, _ := p.element(i)
		exact = bytes.Equal(e.key, key)
	}
	return i, exact
}

// finder looks keys up in one tree. Pages are kept for the next look.
type finder struct {
	file   *rawFile
	bucket rawBucket
	levels []level
}

type level struct {
	page rawPage
	buf  []byte
}

// find returns the value at key, until the next look, and whether there is
// one. The error says why that cannot be known.
func (f *finder) find(key []byte) (value []byte, ok bool, err error) {
	p := rawPage{}
	if f.bucket.root == 0 {
		if p, err = parsePage(0, f.bucket.inline); err == nil {
			err = p.sound(nil, nil)
		}
	} else {
		p, err = f.page(0, f.bucket.root)
	}
	for depth := 1; err == nil && !p.leaf; depth++ {
		i, exact := p.search(key)
		if !exact && i > 0 {
			i--
		}
		e, _ := p.element(i)
		p, err = f.page(depth, e.child)
	}
	if err != nil {
		return nil, false, err
	}
	i, exact := p.search(key)
	if !exact {
		return nil, false, nil
	}
	e, ok := p.element(i)
	return e.value, ok, nil
}

// page returns a sound page, from what was read before or anew.
func (f *finder) page(depth int, id uint64) (rawPage, error) {
	if depth >= maxDepth {
		return rawPage{}, errTooDeep
	}
	for len(f.levels) <= depth {
		f.levels = append(f.levels, level{})
	}
	l := &f.levels[depth]
	if l.page.data != nil && l.page.id == id {
		return l.page, nil
	}
	l.page = rawPage{}
	p, err := f.file.read(id, &l.buf)
	if err == nil {
		err = p.sound(nil, nil)
	}
	if err != nil {
		return p, fmt.Errorf("page %d is damaged: %w", id, err)
	}
	l.page = p
	return p, nil
}

var errTooDeep = errors.New("the tree goes too deep")

// pageSet is a set of page numbers.
type pageSet []uint64

func newPageSet(end uint64) pageSet { return make(pageSet, end/64+1) }

func (s pageSet) has(id uint64) bool { return s[id/64]&(1<<(id%64)) != 0 }
func (s pageSet) add(id uint64)      { s[id/64] |= 1 << (id % 64) }

// claim adds the pages that p takes, unless one of them is taken.
func (s pageSet) claim(p rawPage, pageSize int) bool {
	last := p.id + uint64(len(p.data)/pageSize)
	for id := p.id; id < last; id++ {
		if s.has(id) {
			return false
		}
	}
	for id := p.id; id < last; id++ {
		s.add(id)
	}
	return true
}

// walk goes through trees in the order of their keys. Slices given to its
// functions are valid until those return.
type walk struct {
	ctx  context.Context
	file *rawFile
	seen pageSet
	bufs [][]byte
	// flags is what the elements of leaves bear: 0 or isBucket.
	flags uint32
	// leaf is called for each sound leaf.
	leaf func(p rawPage) error
	// hurt is called for each page that cannot be used, with the keys that
	// its parent promises there.
	hurt func(id uint64, low, high []byte, why error)
}

// bucket walks a whole bucket.
func (w *walk) bucket(b rawBucket) error {
	if b.root != 0 {
		return w.tree(b.root, nil, nil, 0)
	}
	p, err := parsePage(0, b.inline)
	if err == nil {
		err = w.sound(p, nil, nil)
	}
	if err == nil && !p.leaf {
		err = errors.New("it is no leaf")
	}
	if err != nil {
		w.hurt(0, nil, nil, err)
		return nil
	}
	return w.leaf(p)
}

// tree walks what lies below a page.
func (w *walk) tree(id uint64, low, high []byte, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	p, err := w.page(id, low, high, depth)
	if err != nil {
		w.hurt(id, low, high, err)
		return nil
	}
	if p.leaf {
		return w.leaf(p)
	}
	for i := range p.count {
		e, _ := p.element(i)
		next := high
		if i+1 < p.count {
			right, _ := p.element(i + 1)
			next = right.key
		}
		if err := w.tree(e.child, e.key, next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// page reads a page that is sound and met for the first time.
func (w *walk) page(id uint64, low, high []byte, depth int) (rawPage, error) {
	if depth >= maxDepth {
		return rawPage{}, errTooDeep
	}
	for len(w.bufs) <= depth {
		w.bufs = append(w.bufs, nil)
	}
	p, err := w.file.read(id, &w.bufs[depth])
	if err == nil {
		err = w.sound(p, low, high)
	}
	if err == nil && !w.seen.claim(p, w.file.pageSize) {
		err = errors.New("it is in use elsewhere")
	}
	return p, err
}

// sound reports what is wrong with a page of this walk.
func (w *walk) sound(p rawPage, low, high []byte) error {
	if err := p.sound(low, high); err != nil || !p.leaf {
		return err
	}
	for i := range p.count {
		if e, _ := p.element(i); e.flags != w.flags {
			return errors.New("an element is of another kind")
		}
	}
	return nil
}

// buckets returns the buckets of a file by their names. Those on a page that
// cannot be used are not among them: w.hurt has been told.
func (w *walk) buckets(root uint64) (map[string]rawBucket, error) {
	found := map[string]rawBucket{}
	inner := *w
	inner.flags = isBucket
	inner.leaf = func(p rawPage) error {
		for i := range p.count {
			e, _ := p.element(i)
			if len(e.value) >= bucketSize {
				found[string(e.key)] = rawBucket{root: order.Uint64(e.value), inline: bytes.Clone(e.value[bucketSize:])}
			}
		}
		return nil
	}
	err := inner.tree(root, nil, nil, 0)
	return found, err
}
