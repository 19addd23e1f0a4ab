package keyring_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	mrand "math/rand/v2"
	"runtime"
	"testing"

	"pli/certs/keyring"
)

// sizes lie on each side of what the layout counts in: segments of 8 KiB less
// the literal's head, chunks of 64 KiB less the framing, outer segments.
var sizes = []int{0, 1, 5, 511, 8185, 8186, 8187, 8192, 16378, 65400, 65500, 65515, 65516, 65517, 65518, 65519, 65520, 65521, 65522,
	65523, 65524, 65525, 65536, 73722, 131000, 131014, 131015, 131016, 131017, 131018, 131019, 131072, 200000, 1 << 20, 3<<20 + 77}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func session(t testing.TB) keyring.SessionKey {
	t.Helper()
	k, err := keyring.NewSession()
	must(t, err)
	return k
}

// stream seals plain with Writer, given in pieces.
func stream(t testing.TB, k keyring.SessionKey, plain []byte, piece func() int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := k.Writer(&out)
	for rest := plain; len(rest) > 0; {
		n := min(piece(), len(rest))
		got, err := w.Write(rest[:n])
		must(t, err)
		if got != n {
			t.Fatalf("Write took %d of %d", got, n)
		}
		rest = rest[n:]
	}
	must(t, w.Close())
	must(t, w.Close())
	return out.Bytes()
}

func whole() int { return 1 << 30 }

// readAll opens a packet with Reader and reads it from the start.
func readAll(t testing.TB, k keyring.SessionKey, sealed []byte) ([]byte, error) {
	t.Helper()
	r, err := k.Reader(bytes.NewReader(sealed), int64(len(sealed)))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

// D4: what is sealed in either form opens in either way, at every size.
func TestSealedOpens(t *testing.T) {
	t.Parallel()
	k := session(t)
	for _, n := range sizes {
		plain := random(t, n)
		one, err := k.Seal(plain)
		must(t, err)
		streamed := stream(t, k, plain, whole)
		if want := keyring.StreamSize(int64(n)); int64(len(streamed)) != want {
			t.Fatalf("%d bytes: stream of %d, StreamSize says %d", n, len(streamed), want)
		}
		for form, sealed := range map[string][]byte{"Seal": one, "Writer": streamed} {
			got, err := k.Open(sealed)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%s of %d bytes does not open: %v", form, n, err)
			}
			got, err = readAll(t, k, sealed)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("%s of %d bytes does not read: %v", form, n, err)
			}
		}
	}
}

// Any way to cut the writes gives a stream that opens to the same.
func TestAnyWritesGiveTheSame(t *testing.T) {
	t.Parallel()
	k := session(t)
	plain := random(t, 300_001)
	for _, piece := range []func() int{
		func() int { return 1 + mrand.IntN(7) },
		func() int { return 1 + mrand.IntN(20000) },
		func() int { return 65536 },
		func() int { return 8192 },
	} {
		sealed := stream(t, k, plain, piece)
		got, err := k.Open(sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("does not open: %v", err)
		}
	}
}

// Any place can be read, alone or at once with others.
func TestReadAtAnyPlace(t *testing.T) {
	t.Parallel()
	k := session(t)
	plain := random(t, 700_000)
	one, err := k.Seal(plain)
	must(t, err)
	for _, sealed := range [][]byte{stream(t, k, plain, whole), one} {
		r, err := k.Reader(bytes.NewReader(sealed), int64(len(sealed)))
		must(t, err)
		if r.Size() != int64(len(plain)) {
			t.Fatalf("size %d, want %d", r.Size(), len(plain))
		}
		done := make(chan error)
		for range 4 {
			go func() {
				var failed error
				for range 60 {
					off := mrand.IntN(len(plain))
					p := make([]byte, mrand.IntN(150_000))
					n, err := r.ReadAt(p, int64(off))
					want := plain[off:min(len(plain), off+len(p))]
					if !bytes.Equal(p[:n], want) || (n < len(p)) != errors.Is(err, io.EOF) {
						failed = errors.New("a read at once with others gave something else")
					}
				}
				done <- failed
			}()
		}
		for range 4 {
			must(t, <-done)
		}
		if _, err := r.ReadAt(make([]byte, 1), r.Size()); err != io.EOF {
			t.Fatalf("read at the end: %v", err)
		}
		if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
			t.Fatal("a read before the beginning is no error")
		}
	}
}

// Each packet of one session key has a salt of its own.
func TestPacketsOfOneSessionDiffer(t *testing.T) {
	t.Parallel()
	k := session(t)
	a, err := k.Seal([]byte("pli"))
	must(t, err)
	b, err := k.Seal([]byte("pli"))
	must(t, err)
	if bytes.Equal(a[10:42], b[10:42]) || bytes.Equal(a[42:], b[42:]) {
		t.Fatal("two packets share a salt")
	}
}

// fails fails unless a packet opens in no way.
func fails(t *testing.T, k keyring.SessionKey, sealed []byte, what string) {
	t.Helper()
	if got, err := k.Open(sealed); err == nil {
		t.Fatalf("%s: opens to %d bytes", what, len(got))
	} else if !errors.Is(err, keyring.ErrDamaged) && !errors.Is(err, keyring.ErrUnsupported) {
		t.Fatalf("%s: %v", what, err)
	}
	if got, err := readAll(t, k, sealed); err == nil {
		t.Fatalf("%s: reads as %d bytes", what, len(got))
	} else if !errors.Is(err, keyring.ErrDamaged) {
		t.Fatalf("%s: %v", what, err)
	}
}

// Any flipped bit is seen.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	k := session(t)
	small := random(t, 90)
	one, err := k.Seal(small)
	must(t, err)
	for i := range len(one) * 8 {
		bad := bytes.Clone(one)
		bad[i/8] ^= 1 << (i % 8)
		fails(t, k, bad, "one bit flipped")
	}
	large := stream(t, k, random(t, 200_000), whole)
	for range 60 {
		bad := bytes.Clone(large)
		bad[mrand.IntN(len(bad))] ^= 1 << mrand.IntN(8)
		fails(t, k, bad, "one bit flipped")
	}
}

// Every end but the right one is seen; so are bytes added.
func TestTruncationAndExtension(t *testing.T) {
	t.Parallel()
	k := session(t)
	one, err := k.Seal(random(t, 90))
	must(t, err)
	large := stream(t, k, random(t, 200_000), whole)
	for i := range one {
		fails(t, k, one[:i], "cut")
	}
	for _, i := range []int{0, 1, 42, 1000, 65536, 65537, 65538, 65543, 131073, 131074, 131075, len(large) - 17, len(large) - 16, len(large) - 1} {
		fails(t, k, large[:i], "cut")
	}
	for _, sealed := range [][]byte{one, large} {
		fails(t, k, append(bytes.Clone(sealed), 0), "one byte added")
		fails(t, k, append(bytes.Clone(sealed), sealed...), "twice")
	}
}

// chunksOf cuts a Seal packet into its head, its chunks and its final tag.
func chunksOf(sealed []byte) (head []byte, chunks [][]byte, tag []byte) {
	const size = 65536 + 16
	head, body, tag := sealed[6:42], sealed[42:len(sealed)-16], sealed[len(sealed)-16:]
	for len(body) > 0 {
		n := min(size, len(body))
		chunks, body = append(chunks, body[:n]), body[n:]
	}
	return head, chunks, tag
}

// joined makes a packet of parts.
func joined(head []byte, chunks [][]byte, tag []byte) []byte {
	body := append(bytes.Clone(head), bytes.Join(chunks, nil)...)
	body = append(body, tag...)
	out := binary.BigEndian.AppendUint32([]byte{0xD2, 0xFF}, uint32(len(body)))
	return append(out, body...)
}

// Chunks exchanged, left out, doubled or from another packet are seen.
func TestChunksOutOfPlace(t *testing.T) {
	t.Parallel()
	k := session(t)
	sealed, err := k.Seal(random(t, 4*65536-12)) // four full chunks
	must(t, err)
	head, c, tag := chunksOf(sealed)
	if len(c) != 4 {
		t.Fatalf("%d chunks, want 4", len(c))
	}
	got, err := k.Open(joined(head, c, tag))
	if err != nil || len(got) != 4*65536-12 {
		t.Fatalf("the packet put together again does not open: %v", err)
	}
	other, err := k.Seal(random(t, 4*65536-12))
	must(t, err)
	_, o, otherTag := chunksOf(other)
	for what, bad := range map[string][]byte{
		"exchanged":         joined(head, [][]byte{c[0], c[2], c[1], c[3]}, tag),
		"first exchanged":   joined(head, [][]byte{c[1], c[0], c[2], c[3]}, tag),
		"one left out":      joined(head, [][]byte{c[0], c[1], c[3]}, tag),
		"last left out":     joined(head, c[:3], tag),
		"all left out":      joined(head, nil, tag),
		"one doubled":       joined(head, [][]byte{c[0], c[0], c[1], c[2], c[3]}, tag),
		"empty one added":   joined(head, append(c[:4:4], tag), tag),
		"from another":      joined(head, [][]byte{c[0], c[1], o[2], c[3]}, tag),
		"tag from another":  joined(head, c, otherTag),
		"all from another":  joined(head, o, otherTag),
		"chunk size larger": func() []byte { b := joined(head, c, tag); b[9] = 12; return b }(),
		"chunk size huge":   func() []byte { b := joined(head, c, tag); b[9] = 56; return b }(),
	} {
		fails(t, k, bad, what)
	}
}

// A read of one place sees damage there, and only there.
func TestDamageInAChunkIsSeenWhenRead(t *testing.T) {
	t.Parallel()
	k := session(t)
	plain := random(t, 300_000)
	sealed := stream(t, k, plain, whole)
	sealed[200_000] ^= 1
	r, err := k.Reader(bytes.NewReader(sealed), int64(len(sealed)))
	must(t, err)
	p := make([]byte, 1000)
	_, err = r.ReadAt(p, 10)
	must(t, err)
	n, err := r.ReadAt(p, 200_000)
	wantErr(t, err, keyring.ErrDamaged)
	if n != 0 {
		t.Fatalf("%d damaged bytes were given out", n)
	}
	_, err = r.ReadAt(p, 270_000)
	must(t, err)
	if !bytes.Equal(p, plain[270_000:271_000]) {
		t.Fatal("a sound place reads otherwise after a damaged one")
	}
}

func TestWrongKeyOpensNothing(t *testing.T) {
	t.Parallel()
	k, other := session(t), session(t)
	sealed, err := k.Seal([]byte("résultat"))
	must(t, err)
	fails(t, other, sealed, "another session key")
	_, b := newRing(t)
	foreign, _ := newRing(t)
	_, pkesk := sealedTo(t, foreign.Recipient())
	_, err = b.Unwrap(pkesk)
	wantErr(t, err, keyring.ErrWrongKey)
}

// Any change to a PKESK is seen.
func TestPKESKDamage(t *testing.T) {
	t.Parallel()
	r, b := newRing(t)
	k, pkesk := sealedTo(t, r.Recipient())
	if len(pkesk) != 111 {
		t.Fatalf("a PKESK of %d bytes", len(pkesk))
	}
	for i := range len(pkesk) * 8 {
		bad := bytes.Clone(pkesk)
		bad[i/8] ^= 1 << (i % 8)
		if got, err := b.Unwrap(bad); err == nil {
			t.Fatalf("bit %d flipped: unwraps, to the same key: %v", i, got == k)
		}
	}
	for i := range pkesk {
		if _, err := b.Unwrap(pkesk[:i]); err == nil {
			t.Fatal("a cut PKESK unwraps")
		}
	}
	if _, err := b.Unwrap(append(bytes.Clone(pkesk), 0)); err == nil {
		t.Fatal("an extended PKESK unwraps")
	}
	low := bytes.Clone(pkesk)
	clear(low[38:70]) // a point of low order
	_, err := b.Unwrap(low)
	wantErr(t, err, keyring.ErrDamaged)
	if _, err := (keyring.Recipient{}).Wrap(k); err == nil {
		t.Fatal("a zero recipient takes a key")
	}
}

func TestSealLimit(t *testing.T) {
	t.Parallel()
	k := session(t)
	if _, err := k.Seal(make([]byte, keyring.MaxSeal)); err != nil {
		t.Fatal(err)
	}
	_, err := k.Seal(make([]byte, keyring.MaxSeal+1))
	wantErr(t, err, keyring.ErrTooLarge)
}

// failing fails after n bytes.
type failing struct{ n int }

var errDisk = errors.New("disk")

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) { return 0, errDisk }

func TestFailuresOfTheDiskComeBack(t *testing.T) {
	t.Parallel()
	k := session(t)
	for _, n := range []int{0, 70_000, 140_000} {
		w := k.Writer(&failing{n})
		_, err := w.Write(make([]byte, 200_000))
		if err == nil {
			err = w.Close()
		}
		wantErr(t, err, errDisk)
		if _, err := w.Write([]byte("x")); err == nil {
			t.Fatal("a write after a failure is taken")
		}
	}
	_, err := k.Reader(&failing{}, 1000)
	wantErr(t, err, errDisk)
	w := k.Writer(io.Discard)
	must(t, w.Close())
	if _, err := w.Write([]byte("x")); err == nil {
		t.Fatal("a write after Close is taken")
	}
}

// Streaming takes the same memory whatever the size.
func TestStreamingMemory(t *testing.T) {
	k, piece := session(t), random(t, 32<<10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := k.Writer(io.Discard)
	for range (64 << 20) / len(piece) {
		_, err := w.Write(piece)
		must(t, err)
	}
	must(t, w.Close())
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 512<<10 {
		t.Fatalf("sealing 64 MiB took %d bytes of memory", took)
	}
}
