package sealed_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"pli/store"
	"pli/store/sealed"
)

const (
	chunk       = 64 << 10
	sealedChunk = chunk + 16
	header      = 21
)

var streamKey = [32]byte{1, 2, 3}

// text returns n bytes that differ from place to place.
func text(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// sealStream returns the sealed form of b, written in pieces of that size.
func sealStream(t testing.TB, b []byte, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := sealed.NewWriter(&out, streamKey, "blob one")
	for len(b) > 0 {
		k := min(piece, len(b))
		if n, err := w.Write(b[:k]); n != k || err != nil {
			t.Fatal(n, err)
		}
		b = b[k:]
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("x")); n != 0 || err == nil {
		t.Errorf("a write after Close: %d, %v", n, err)
	}
	return out.Bytes()
}

func openStream(b []byte) (*sealed.Reader, error) {
	return sealed.NewReader(bytes.NewReader(b), int64(len(b)), streamKey, "blob one")
}

// readAll opens and reads a whole stream.
func readAll(b []byte) ([]byte, error) {
	r, err := openStream(b)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

var lengths = []int{0, 1, 15, 16, 17, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 2*chunk + 1, 5*chunk + 777}

func TestStream(t *testing.T) {
	t.Parallel()
	for _, n := range lengths {
		for _, piece := range []int{1000, chunk, chunk + 1, 1 << 20} {
			plain := text(n)
			b := sealStream(t, plain, piece)
			if int64(len(b)) != sealed.SealedSize(int64(n)) {
				t.Errorf("%d bytes are sealed in %d, SealedSize says %d", n, len(b), sealed.SealedSize(int64(n)))
			}
			r, err := openStream(b)
			if err != nil || r.Size() != int64(n) {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if got, err := readAll(b); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes in pieces of %d: %d bytes, %v", n, piece, len(got), err)
			}
		}
	}
}

// TestStreamReadAt: any place, any length, from many goroutines.
func TestStreamReadAt(t *testing.T) {
	t.Parallel()
	plain := text(4*chunk + 999)
	r, err := openStream(sealStream(t, plain, 5000))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(2, uint64(g)))
			for range 100 {
				off, n := rnd.IntN(len(plain)+100), rnd.IntN(2*chunk)
				p := make([]byte, n)
				k, err := r.ReadAt(p, int64(off))
				end := min(off+n, len(plain))
				if off > len(plain) {
					end = off
				}
				if off < len(plain) && !bytes.Equal(p[:k], plain[off:end]) || k != end-off || (err == io.EOF) != (k < n) {
					t.Errorf("%d bytes at %d: %d, %v", n, off, k, err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative place is read")
	}
}

// TestStreamDamage: cut, extended, reordered, mixed, of another key or name: no
// such stream is read to its end, and no byte is returned that was not written.
func TestStreamDamage(t *testing.T) {
	t.Parallel()
	plain := text(3*chunk + 100)
	good := sealStream(t, plain, chunk)
	other := sealStream(t, plain, chunk)
	at := func(b []byte, i int) []byte { return b[header+i*sealedChunk : min(len(b), header+(i+1)*sealedChunk)] }
	join := bytes.Join
	damaged := map[string][]byte{
		"empty": {}, "header alone": good[:header], "half a header": good[:10],
		"last chunk gone": good[:header+3*sealedChunk], "last byte gone": good[:len(good)-1],
		"first chunk alone": good[:header+sealedChunk], "an empty last chunk": append(bytes.Clone(good[:header+3*sealedChunk]), good[len(good)-16:]...),
		"a byte more": append(bytes.Clone(good), 0), "twice the last": append(bytes.Clone(good), at(good, 3)...),
		"chunks exchanged":        join([][]byte{good[:header], at(good, 1), at(good, 0), at(good, 2), at(good, 3)}, nil),
		"a chunk left out":        join([][]byte{good[:header], at(good, 0), at(good, 2), at(good, 3)}, nil),
		"a chunk of another":      join([][]byte{good[:header], at(good, 0), at(other, 1), at(good, 2), at(good, 3)}, nil),
		"the header of another":   append(bytes.Clone(other[:header]), good[header:]...),
		"the last chunk repeated": join([][]byte{good[:header], at(good, 3)}, nil),
	}
	for _, i := range []int{0, 3, 4, 5, 12, 20, header, header + 100, header + sealedChunk - 1, header + sealedChunk, len(good) - 17, len(good) - 1} {
		b := bytes.Clone(good)
		b[i] ^= 0x10
		damaged[fmt.Sprint("a bit of byte ", i)] = b
	}
	for name, b := range damaged {
		got, err := readAll(b)
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: returns bytes that were not written", name)
		}
	}
	_, err := sealed.NewReader(bytes.NewReader(good), int64(len(good)), [32]byte{9}, "blob one")
	wantErr(t, err, store.ErrCorrupt)
	_, err = sealed.NewReader(bytes.NewReader(good), int64(len(good)), streamKey, "blob two")
	wantErr(t, err, store.ErrCorrupt)
	_, err = sealed.NewReader(bytes.NewReader(good[:len(good)/2]), int64(len(good)), streamKey, "blob one")
	wantErr(t, err, store.ErrCorrupt)
}

// TestStreamNotClosed: what was not closed is not a stream.
func TestStreamNotClosed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := sealed.NewWriter(&out, streamKey, "blob one")
	if _, err := w.Write(text(3 * chunk)); err != nil {
		t.Fatal(err)
	}
	_, err := readAll(out.Bytes())
	wantErr(t, err, store.ErrCorrupt)
}

// failing is a place to write to that fails after some bytes.
type failing struct{ left int }

var errDisk = errors.New("the disk is gone")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func TestStreamWriteFails(t *testing.T) {
	t.Parallel()
	for _, room := range []int{0, header, header + sealedChunk} {
		w := sealed.NewWriter(&failing{left: room}, streamKey, "")
		_, err := w.Write(text(3 * chunk))
		if err == nil {
			err = w.Close()
		}
		wantErr(t, err, errDisk)
		wantErr(t, w.Close(), errDisk)
	}
}

// FuzzStream: whatever the disk gives back, a reader returns what was written
// or ErrCorrupt.
func FuzzStream(f *testing.F) {
	plain := text(chunk + 300)
	good := sealStream(f, plain, chunk)
	short := sealStream(f, plain[:40], chunk)
	f.Add(good)
	f.Add(short)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), good[header:]...))
	f.Add([]byte("PLIS\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readAll(b)
		switch {
		case err != nil && !errors.Is(err, store.ErrCorrupt):
			t.Errorf("%v", err)
		case err == nil && !bytes.Equal(got, plain) && !bytes.Equal(got, plain[:40]):
			t.Errorf("%d bytes that nobody has sealed open as %d", len(b), len(got))
		case !bytes.HasPrefix(plain, got):
			t.Error("bytes come out that nobody has written")
		}
	})
}
