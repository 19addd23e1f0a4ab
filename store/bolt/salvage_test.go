package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pli/store"
	"pli/store/bolt"
)

// wreck is a store of some thousands of records whose file is about to suffer.
// Its older half has been replaced, and every eighth record deleted, so that
// old copies lie about.
type wreck struct {
	path    string
	file    []byte
	records map[string][]byte // owner and key to value
	deleted map[string]bool
}

// pageSize is bbolt's here.
var pageSize = os.Getpagesize()

func wreckValue(owner, i, turn int) []byte {
	n := []int{40, 700, 3000, 0, 20_000}[i%5]
	return append(fmt.Appendf(nil, "%d/%d/%d ", owner, i, turn), random(n)...)
}

func newWreck(t testing.TB) *wreck {
	t.Helper()
	dir := t.TempDir()
	w := &wreck{path: filepath.Join(dir, "shard-00.db"), records: map[string][]byte{}, deleted: map[string]bool{}}
	db := open(t, bolt.Config{Dir: dir})
	const owners, each = 40, 100
	for turn := range 2 {
		for o := range owners {
			err := db.Update(context.Background(), store.Owner(fmt.Sprintf("s/%03d", o)), func(tx store.Tx) error {
				for i := range each {
					key, name := fmt.Appendf(nil, "rec/%03d", i), fmt.Sprintf("s/%03d rec/%03d", o, i)
					switch {
					case turn == 1 && i%8 == 0:
						delete(w.records, name)
						w.deleted[name] = true
						if err := tx.Delete(key); err != nil {
							return err
						}
					case turn == 0 || i%2 == 0:
						w.records[name] = wreckValue(o, i, turn)
						if err := tx.PutDue(key, w.records[name], time.UnixMilli(int64(1+i))); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(db.Check(context.Background()), db.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(file, "\x00")) // it has grown ahead of need
	w.file = file[:(used+pageSize-1)/pageSize*pageSize]
	return w
}

// page is one page of a file, by its header.
type page struct {
	id, root uint64
	flags    uint16
	count    int
	overflow int
}

const leafFlag, branchFlag = 2, 1

// pages returns the pages of the last commit's tree of a bucket ("r", "v" or
// "d"), the root first; it reads a sound file the plain way.
func (w *wreck) pages(t testing.TB, bucket string) []page {
	t.Helper()
	le := binary.NativeEndian
	meta := w.file[:pageSize]
	if other := w.file[pageSize : 2*pageSize]; le.Uint64(other[16+48:]) > le.Uint64(meta[16+48:]) {
		meta = other
	}
	var tree func(id uint64) []page
	tree = func(id uint64) []page {
		b := w.file[int(id)*pageSize:]
		p := page{id: id, flags: le.Uint16(b[8:]), count: int(le.Uint16(b[10:])), overflow: int(le.Uint32(b[12:]))}
		list := []page{p}
		for i := range p.count {
			if e := b[16+16*i:]; p.flags == branchFlag {
				list = append(list, tree(le.Uint64(e[8:]))...)
			}
		}
		return list
	}
	root := w.file[int(le.Uint64(meta[16+16:]))*pageSize:]
	for i := range int(le.Uint16(root[10:])) {
		e := root[16+16*i:]
		pos, size := le.Uint32(e[4:]), le.Uint32(e[8:])
		if string(e[pos:pos+size]) == bucket {
			return tree(le.Uint64(e[pos+size:]))
		}
	}
	t.Fatalf("no bucket %s", bucket)
	return nil
}

// keys returns the names of the records on a leaf of "r".
func (w *wreck) keys(p page) []string {
	le := binary.NativeEndian
	b := w.file[int(p.id)*pageSize:]
	var names []string
	for i := range p.count {
		e := b[16+16*i:]
		pos, size := le.Uint32(e[4:]), le.Uint32(e[8:])
		names = append(names, string(bytes.Replace(e[pos:pos+size], []byte{0}, []byte(" "), 1)))
	}
	return names
}

func ofKind(list []page, flags uint16) []page {
	return slices.DeleteFunc(slices.Clone(list), func(p page) bool { return p.flags != flags })
}

// found is what a salvage has brought back.
type found struct {
	report    bolt.SalvageReport
	reachable map[string][]byte
	candidate map[string][][]byte
	lost      map[string]bool
}

func salvage(t testing.TB, path string) found {
	t.Helper()
	f := found{reachable: map[string][]byte{}, candidate: map[string][][]byte{}, lost: map[string]bool{}}
	var err error
	f.report, err = bolt.Salvage(context.Background(), filepath.Dir(path), func(s bolt.Salvaged) error {
		name := string(s.Owner) + " " + string(s.Key)
		switch {
		case s.Lost:
			f.lost[name] = true
		case s.Reachable:
			if len(f.candidate) > 0 {
				t.Errorf("%s: a reachable record after candidates", name)
			}
			f.reachable[name] = bytes.Clone(s.Value)
		default:
			f.candidate[name] = append(f.candidate[name], bytes.Clone(s.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// has reports whether a record came back, certain or as one candidate.
func (f found) has(name string, value []byte) bool {
	if v, ok := f.reachable[name]; ok {
		return bytes.Equal(v, value)
	}
	return slices.ContainsFunc(f.candidate[name], func(v []byte) bool { return bytes.Equal(v, value) })
}

// missing returns how many of the records did not come back, leaving out those
// that except names.
func (w *wreck) missing(f found, except map[string]bool) (n int) {
	for name, value := range w.records {
		if !except[name] && !f.has(name, value) {
			n++
		}
	}
	return n
}

// damaged writes the file with some of its bytes changed.
func (w *wreck) damaged(t testing.TB, change func(file []byte)) {
	t.Helper()
	file := bytes.Clone(w.file)
	change(file)
	if err := os.WriteFile(w.path, file, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p page) bytes(file []byte) []byte { return file[int(p.id)*pageSize : (int(p.id)+1)*pageSize] }

// TestSalvageSound: of a file without damage all comes back, certain, and
// nothing else does.
func TestSalvageSound(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	w.damaged(t, func([]byte) {})
	f := salvage(t, w.path)
	if !maps.EqualFunc(f.reachable, w.records, bytes.Equal) {
		t.Errorf("%d records, want %d", len(f.reachable), len(w.records))
	}
	if len(f.candidate)+len(f.lost)+f.report.Damaged != 0 || f.report.Superseded == 0 {
		t.Errorf("%d candidates, report %+v", len(f.candidate), f.report)
	}
	if after, _ := os.ReadFile(w.path); !bytes.Equal(after, w.file) {
		t.Error("the file has been written to")
	}
}

// TestSalvageBranches: without any branch page, everything on the leaves comes
// back, and where only some are gone what the others tell stands.
func TestSalvageBranches(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	for _, buckets := range []string{"r", "v", "d", "rvd"} {
		w.damaged(t, func(file []byte) {
			for _, b := range buckets {
				branches := ofKind(w.pages(t, string(b)), branchFlag)
				if len(branches) == 0 {
					t.Fatalf("%c has no branch page: this test shows nothing", b)
				}
				for _, p := range branches {
					clear(p.bytes(file))
				}
			}
		})
		f := salvage(t, w.path)
		if n := w.missing(f, nil); n != 0 || f.report.Damaged == 0 {
			t.Errorf("%s: %d of %d records are missing; %+v", buckets, n, len(w.records), f.report)
		}
	}
	branches := ofKind(w.pages(t, "r"), branchFlag)
	w.damaged(t, func(file []byte) { clear(branches[len(branches)-1].bytes(file)) })
	f := salvage(t, w.path)
	if n := w.missing(f, nil); n != 0 {
		t.Errorf("one branch: %d of %d records are missing; %+v", n, len(w.records), f.report)
	}
}

// TestSalvageLeaves: what lies on sound leaves comes back whatever happens to
// others, deleted records do not, and a flipped bit costs little more than
// what it hits.
func TestSalvageLeaves(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	leaves := ofKind(w.pages(t, "r"), leafFlag)
	hit := map[string]bool{}
	w.damaged(t, func(file []byte) {
		for i, p := range leaves {
			if i%10 == 3 {
				clear(p.bytes(file))
				for _, name := range w.keys(p) {
					hit[name] = true
				}
			}
		}
	})
	f := salvage(t, w.path)
	if n := w.missing(f, hit); n != 0 || len(hit) == 0 || f.report.Damaged == 0 {
		t.Errorf("%d records are missing beside the %d on zeroed leaves; %+v", n, len(hit), f.report)
	}
	for name := range f.reachable {
		if w.deleted[name] {
			t.Errorf("%s was deleted and is given as certain", name)
		}
	}
	for offset := range pageSize { // each byte of one leaf in turn would be slow: every 61st
		if offset%61 != 0 {
			continue
		}
		p := leaves[len(leaves)/2]
		w.damaged(t, func(file []byte) { p.bytes(file)[offset] ^= 1 << (offset % 8) })
		hit := map[string]bool{}
		for _, name := range w.keys(p) {
			hit[name] = true
		}
		f := salvage(t, w.path)
		if n := w.missing(f, hit); n != 0 {
			t.Errorf("a bit at %d of a leaf: %d records of other pages are missing", offset, n)
		}
		if n := w.missing(f, nil); n > 2 && offset >= 16 {
			t.Errorf("a bit at %d of a leaf: %d of its %d records are gone", offset, n, p.count)
		}
	}
}

// TestSalvageLarge: a large value on a damaged page is told as lost, or found
// as what it once was; the others are all there.
func TestSalvageLarge(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	leaves := ofKind(w.pages(t, "v"), leafFlag)
	w.damaged(t, func(file []byte) { clear(leaves[len(leaves)/2].bytes(file)) })
	f := salvage(t, w.path)
	gone := 0
	for name, value := range w.records {
		if !f.has(name, value) {
			gone++
			if !f.lost[name] && len(f.candidate[name]) == 0 {
				t.Errorf("%s is not even told as lost", name)
			}
		}
	}
	if gone == 0 || gone > leaves[len(leaves)/2].count {
		t.Errorf("%d values are gone with a page of %d", gone, leaves[len(leaves)/2].count)
	}
}

// TestSalvageMeta: a bit flipped in a meta page is put right, without one of
// them the store is read from the other, with none from the leaves alone.
func TestSalvageMeta(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	for bit := range 64 * 8 {
		if bit%67 != 0 {
			continue
		}
		w.damaged(t, func(file []byte) {
			file[16+bit/8] ^= 1 << (bit % 8)
			file[pageSize+16+bit/8] ^= 1 << (bit % 8)
		})
		if f := salvage(t, w.path); !maps.EqualFunc(f.reachable, w.records, bytes.Equal) || len(f.candidate) > 0 {
			t.Errorf("bit %d of the meta pages: %+v", bit, f.report)
		}
	}
	for _, gone := range [][]int{{0}, {1}, {0, 1}} {
		w.damaged(t, func(file []byte) {
			for _, i := range gone {
				clear(file[i*pageSize : (i+1)*pageSize])
			}
		})
		f := salvage(t, w.path)
		if n := w.missing(f, nil); n != 0 || len(f.reachable) != 0 {
			t.Errorf("without meta pages %v: %d of %d records are missing; %+v", gone, n, len(w.records), f.report)
		}
	}
	if err := os.Truncate(w.path, int64(len(w.file)/2)); err != nil {
		t.Fatal(err)
	}
	if f := salvage(t, w.path); len(f.candidate) < len(w.records)/10 {
		t.Errorf("of half a file %d records come back", len(f.candidate))
	}
}

// TestSalvageEnds: with its context, with its function's error, and at once
// where a server runs or no store is.
func TestSalvageEnds(t *testing.T) {
	t.Parallel()
	w := newWreck(t)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	_, err := bolt.Salvage(ctx, filepath.Dir(w.path), func(bolt.Salvaged) error { n++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || n == len(w.records) {
		t.Errorf("after %d records: %v", n, err)
	}
	mine := errors.New("mine")
	_, err = bolt.Salvage(context.Background(), filepath.Dir(w.path), func(bolt.Salvaged) error { return mine })
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	db := open(t, bolt.Config{Dir: filepath.Dir(w.path)})
	if _, err := bolt.Salvage(context.Background(), filepath.Dir(w.path), nil); err == nil {
		t.Error("a store in use is read")
	}
	db.Close()
	if _, err := bolt.Salvage(context.Background(), t.TempDir(), nil); err == nil {
		t.Error("an empty folder is a store")
	}
}

// FuzzSalvage: no bytes crash it, and it ends. Meta pages get their checksum,
// so that what lies behind them is met too.
func FuzzSalvage(f *testing.F) {
	dir := f.TempDir()
	db := open(f, bolt.Config{Dir: dir})
	for i := range 25 {
		if err := put(db, alice, fmt.Sprint("key", i), random(i*60)); err != nil {
			f.Fatal(err)
		}
	}
	db.Close()
	file, err := os.ReadFile(filepath.Join(dir, "shard-00.db"))
	if err != nil {
		f.Fatal(err)
	}
	file = bytes.TrimRight(file, "\x00")
	f.Add(file)
	f.Add(file[:len(file)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, at := range []int{0, pageSize} {
			if len(b) >= at+80 {
				b = bytes.Clone(b)
				sum := fnv.New64a()
				sum.Write(b[at+16 : at+72])
				binary.NativeEndian.PutUint64(b[at+72:], sum.Sum64())
			}
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "shard-00.db"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := bolt.Salvage(context.Background(), dir, func(s bolt.Salvaged) error {
			if !s.Owner.Valid() || len(s.Key) > store.MaxKey {
				t.Errorf("owner %q, key of %d bytes", s.Owner, len(s.Key))
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%v, %+v", err, report)
		}
	})
}
