package keyring_test

import (
	"bytes"
	"io"
	"testing"

	"pli/certs/keyring"
)

func BenchmarkWrap(b *testing.B) {
	r, _ := newRing(b)
	to, k := r.Recipient(), session(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := to.Wrap(k); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnwrap(b *testing.B) {
	r, keys := newRing(b)
	_, pkesk := sealedTo(b, r.Recipient())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Unwrap(pkesk); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal10k(b *testing.B) {
	k, plain := session(b), random(b, 10_000)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen10k(b *testing.B) {
	k, plain := session(b), random(b, 10_000)
	sealed, err := k.Seal(plain)
	must(b, err)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Open(sealed); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriter5M(b *testing.B) {
	k, plain := session(b), random(b, 5<<20)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		w := k.Writer(io.Discard)
		for i := 0; i < len(plain); i += 32 << 10 {
			if _, err := w.Write(plain[i : i+32<<10]); err != nil {
				b.Fatal(err)
			}
		}
		must(b, w.Close())
	}
}

func BenchmarkReader5M(b *testing.B) {
	k, plain := session(b), random(b, 5<<20)
	sealed := stream(b, k, plain, whole)
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := k.Reader(bytes.NewReader(sealed), int64(len(sealed)))
		must(b, err)
		for off := int64(0); off < r.Size(); off += int64(len(buf)) {
			if _, err := r.ReadAt(buf, off); err != nil && err != io.EOF {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkOpenGenerated(b *testing.B) {
	r, keys := newRing(b)
	var secret string
	for range 10 {
		var err error
		_, secret, err = r.AddGenerated(keys, keyring.MailPassword, "", now)
		must(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.OpenGenerated(secret, keyring.MailPassword); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenPassword(b *testing.B) {
	r, keys := newRing(b)
	_, err := r.AddPassword(keys, "mot de passe", "", now)
	must(b, err)
	for b.Loop() {
		if _, _, err := r.OpenPassword("mot de passe"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewRing(b *testing.B) {
	for b.Loop() {
		newRing(b)
	}
}
