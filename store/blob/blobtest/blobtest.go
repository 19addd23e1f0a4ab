// Package blobtest proves that an engine keeps the promises of package blob.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pli/store/blob"
)

// Run runs the whole suite, each test on a store of its own.
func Run(t *testing.T, open func(t testing.TB) blob.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, blob.Store)
	}{
		{"commit", commit},
		{"abort", abort},
		{"nothing before the commit", unseen},
		{"random access", randomAccess},
		{"not there", notThere},
		{"an ID that is given", givenID},
		{"an ID that many want", contested},
		{"empty", empty},
		{"large", large},
		{"delete", deleteBlob},
		{"list in order", list},
		{"many at once", many},
		{"a context that has ended", ctxEnded},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

var background = context.Background()

// content returns n bytes that differ from place to place and seed to seed.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// store commits b, written in pieces.
func put(t testing.TB, s blob.Store, b []byte) blob.ID {
	t.Helper()
	w, err := s.Create(background)
	if err != nil {
		t.Fatal(err)
	}
	for rest := b; len(rest) > 0; {
		n, err := w.Write(rest[:min(len(rest), 50_000)])
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	id, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if !id.Valid() {
		t.Fatalf("%q has not the form of an ID", id)
	}
	return id
}

// want fails unless the blob holds b.
func want(t testing.TB, s blob.Store, id blob.ID, b []byte) {
	t.Helper()
	r, err := s.Open(background, id)
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || r.Size() != int64(len(b)) || !bytes.Equal(got, b) {
		t.Errorf("%d bytes (Size %d), %v; want %d", len(got), r.Size(), err, len(b))
	}
}

func wantNone(t testing.TB, s blob.Store, id blob.ID) {
	t.Helper()
	if _, err := s.Open(background, id); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Open of what is not there: %v", err)
	}
}

// all lists the whole store in pages of n.
func all(t testing.TB, s blob.Store, n int) (found []blob.Info) {
	t.Helper()
	for after := blob.ID(""); ; after = found[len(found)-1].ID {
		page, err := s.List(background, after, n)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > n {
			t.Errorf("a page of %d, asked for %d", len(page), n)
		}
		if found = append(found, page...); len(page) == 0 {
			return found
		}
	}
}

func commit(t *testing.T, s blob.Store) {
	for i, n := range []int{0, 1, 50_000, 3_000_000} {
		b := content(uint64(i), n)
		id := put(t, s, b)
		want(t, s, id, b)
		want(t, s, id, b)
	}
	w, err := s.Create(background)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a write after Commit is accepted")
	}
	if _, err := w.Commit(); err == nil {
		t.Error("a second Commit is accepted")
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if n := len(all(t, s, 10)); n != 5 {
		t.Errorf("%d blobs, want 5", n)
	}
}

func abort(t *testing.T, s blob.Store) {
	w, err := s.Create(background)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content(1, 100_000)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
	}
	if _, err := w.Commit(); err == nil {
		t.Error("Commit after Abort is accepted")
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a write after Abort is accepted")
	}
	if n := len(all(t, s, 10)); n != 0 {
		t.Errorf("%d blobs after an abort", n)
	}
}

// unseen: bytes can be read by nobody before Commit.
func unseen(t *testing.T, s blob.Store) {
	w, err := s.Create(background)
	if err != nil {
		t.Fatal(err)
	}
	b := content(1, 300_000)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if n := len(all(t, s, 10)); n != 0 {
		t.Error("a blob is listed before its commit")
	}
	id, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	want(t, s, id, b)
}

// givenID: a blob that comes back has the ID that it had, and replaces none.
func givenID(t *testing.T, s blob.Store) {
	b, other := content(1, 100_000), content(2, 50_000)
	again := func(id blob.ID, b []byte) error {
		w, err := s.CreateAs(background, id)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
		got, err := w.Commit()
		if err == nil && got != id {
			t.Errorf("Commit names it %s, not %s", got, id)
		}
		return err
	}
	id := put(t, s, b)
	if err := again(id, other); !errors.Is(err, blob.ErrExists) {
		t.Errorf("in the place of another: %v", err)
	}
	want(t, s, id, b)
	if err := s.Delete(background, id); err != nil {
		t.Fatal(err)
	}
	if err := again(id, other); err != nil {
		t.Errorf("where there is none: %v", err)
	}
	want(t, s, id, other)
	if err := again("../../../../../../etc/passwd0000", b); err == nil {
		t.Error("what is no ID is accepted")
	}
	if n := len(all(t, s, 10)); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
}

// contested: of many who write one ID at once, one is told that it has, and
// its bytes are there whole.
func contested(t *testing.T, s blob.Store) {
	for round := range 5 {
		id := blob.NewID()
		var won []uint64
		var mu sync.Mutex
		var wg sync.WaitGroup
		start := make(chan struct{})
		for g := range uint64(8) {
			w, err := s.CreateAs(background, id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content(g, 70_000+int(g))); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				<-start
				_, err := w.Commit()
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, g)
				} else if !errors.Is(err, blob.ErrExists) {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d of 8 were told that they have it", round, len(won))
		}
		want(t, s, id, content(won[0], 70_000+int(won[0])))
	}
}

// empty: a blob of no bytes is a blob.
func empty(t *testing.T, s blob.Store) {
	id := put(t, s, nil)
	r, err := s.Open(background, id)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.ReadAt(make([]byte, 10), 0); n != 0 || err != io.EOF {
		t.Errorf("ReadAt: %d, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if found := all(t, s, 10); len(found) != 1 || found[0].ID != id || found[0].Size != 0 {
		t.Errorf("%+v", found)
	}
	if err := s.Delete(background, id); err != nil {
		t.Error(err)
	}
	wantNone(t, s, id)
}

// large: one of 20 MB is read in order, in pieces of several lengths, and from
// its end.
func large(t *testing.T, s blob.Store) {
	b := content(1, 20_000_000)
	id := put(t, s, b)
	r, err := s.Open(background, id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, piece := range []int{4 << 10, 64 << 10, 1 << 20, 7_000_001} {
		got, err := io.ReadAll(&pieces{io.NewSectionReader(r, 0, r.Size()), piece})
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("in pieces of %d: %d bytes, %v", piece, len(got), err)
		}
	}
	tail := make([]byte, 100_000)
	if n, err := r.ReadAt(tail, r.Size()-50_000); n != 50_000 || err != io.EOF || !bytes.Equal(tail[:n], b[len(b)-50_000:]) {
		t.Errorf("from the end: %d, %v", n, err)
	}
}

// pieces reads at most n bytes at once.
type pieces struct {
	r io.Reader
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(b) > p.n {
		b = b[:p.n]
	}
	return p.r.Read(b)
}

func randomAccess(t *testing.T, s blob.Store) {
	b := content(1, 200_000)
	r, err := s.Open(background, put(t, s, b))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(g)))
			for range 50 {
				off, n := rnd.IntN(len(b)), rnd.IntN(70_000)
				p := make([]byte, n)
				k, err := r.ReadAt(p, int64(off))
				end := min(off+n, len(b))
				if k != end-off || !bytes.Equal(p[:k], b[off:end]) || k < n && err != io.EOF || k == n && err != nil && err != io.EOF {
					t.Errorf("%d bytes at %d: %d, %v", n, off, k, err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := r.ReadAt(make([]byte, 1), int64(len(b))); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

func notThere(t *testing.T, s blob.Store) {
	put(t, s, []byte("another"))
	for _, id := range []blob.ID{"0123456789abcdef0123456789abcdef", "", "0123", "../../../../../../etc/passwd0000", "0123456789ABCDEF0123456789ABCDEF"} {
		wantNone(t, s, id)
		if err := s.Delete(background, id); err != nil {
			t.Errorf("Delete of what is not there: %v", err)
		}
	}
}

// deleteBlob: a blob that is being read may be deleted; its reader is not cut.
func deleteBlob(t *testing.T, s blob.Store) {
	b := content(1, 100_000)
	gone, kept := put(t, s, b), put(t, s, []byte("kept"))
	r, err := s.Open(background, gone)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 {
		if err := s.Delete(background, gone); err != nil {
			t.Errorf("Delete: %v", err)
		}
		wantNone(t, s, gone)
	}
	if got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size())); err != nil || !bytes.Equal(got, b) {
		t.Errorf("an open reader is cut: %d bytes, %v", len(got), err)
	}
	want(t, s, kept, []byte("kept"))
}

func list(t *testing.T, s blob.Store) {
	sizes := map[blob.ID]int64{}
	for i := range 60 {
		sizes[put(t, s, content(uint64(i), i*10))] = int64(i * 10)
	}
	for _, page := range []int{1, 7, 60, 1000} {
		found := all(t, s, page)
		if len(found) != len(sizes) {
			t.Errorf("in pages of %d: %d of %d", page, len(found), len(sizes))
		}
		if !slices.IsSortedFunc(found, func(a, b blob.Info) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) }) {
			t.Errorf("in pages of %d: out of order", page)
		}
		for _, info := range found {
			if size, ok := sizes[info.ID]; !ok || size != info.Size || info.ModTime.IsZero() {
				t.Errorf("%s: size %d, want %d; %v", info.ID, info.Size, size, info.ModTime)
			}
		}
	}
	if found, err := s.List(background, "", 0); len(found) != 0 || err != nil {
		t.Errorf("none asked for: %d, %v", len(found), err)
	}
	if found, err := s.List(background, "ffffffffffffffffffffffffffffffff", 10); len(found) != 0 || err != nil {
		t.Errorf("after the last: %d, %v", len(found), err)
	}
}

func many(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 5 {
				b := content(uint64(g*100+i), 30_000)
				id := put(t, s, b)
				want(t, s, id, b)
				if i%2 == 0 {
					if err := s.Delete(background, id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := len(all(t, s, 1000)); n != 32 {
		t.Errorf("%d blobs are left, want 32", n)
	}
}

func ctxEnded(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	id := put(t, s, []byte("x"))
	_, err1 := s.Create(ctx)
	_, err2 := s.Open(ctx, id)
	_, err3 := s.List(ctx, "", 10)
	for i, err := range []error{err1, err2, err3, s.Delete(ctx, id)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	want(t, s, id, []byte("x"))
}

// Write writes blobs until the process is killed, acknowledging each: the
// writing half of a crash test (see storetest.Kill). Half of them it leaves
// unfinished.
func Write(t testing.TB, s blob.Store, ack func(string)) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := uint64(0); ; i++ {
				seed := uint64(g)<<16 | i
				b := content(seed, int(1000+seed%7*60_000))
				left, err := s.Create(background)
				if err != nil {
					t.Error(err)
					return
				}
				left.Write(b[:len(b)/2])
				ack(fmt.Sprintf("%s %d", put(t, s, append([]byte(fmt.Sprintf("%016d", seed)), b...)), seed))
				if i%2 == 0 {
					left.Abort()
				}
			}
		})
	}
	wg.Wait()
}

// Check is the other half: every blob that is listed is whole, and each that
// was acknowledged is there.
func Check(t testing.TB, s blob.Store, acks []string) {
	t.Helper()
	acked := map[blob.ID]bool{}
	for _, line := range acks {
		var id blob.ID
		var seed uint64
		if _, err := fmt.Sscanf(line, "%s %d", &id, &seed); err == nil && id.Valid() {
			acked[id] = true
		}
	}
	for _, info := range all(t, s, 500) {
		delete(acked, info.ID)
		r, err := s.Open(background, info.ID)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		r.Close()
		var seed uint64
		if err == nil && len(b) >= 16 {
			_, err = fmt.Sscanf(string(b[:16]), "%016d", &seed)
		}
		if err != nil || len(b) < 16 || !bytes.Equal(b[16:], content(seed, int(1000+seed%7*60_000))) {
			t.Errorf("blob %s is not whole: %d bytes, %v", info.ID, len(b), err)
		}
	}
	if len(acked) > 0 {
		t.Errorf("%d acknowledged blobs are not there", len(acked))
	}
}
