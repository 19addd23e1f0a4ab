package keyring_test

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"pli/certs/keyring"
)

func FuzzOpen(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	must(f, err)
	for _, file := range files {
		v := readVector(f, file)
		f.Add(v.key[:], v.packet)
	}
	f.Fuzz(func(t *testing.T, key, sealed []byte) {
		var k keyring.SessionKey
		copy(k[:], key)
		_, _ = k.Open(sealed)
		r, err := k.Reader(bytes.NewReader(sealed), int64(len(sealed)))
		if err != nil {
			return
		}
		read, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if got, openErr := k.Open(sealed); err == nil && (openErr != nil || !bytes.Equal(got, read)) {
			t.Fatal("Reader and Open disagree")
		}
	})
}

// FuzzOpenInside puts any plaintext inside a packet that opens.
func FuzzOpenInside(f *testing.F) {
	f.Add([]byte("\xcb\x06b\x00\x00\x00\x00\x00"), 10)
	f.Add([]byte("\xcb\xedb\x00\x00\x00\x00\x00"), 10)
	f.Add([]byte("\xcb\xff\x00\x00\x00\x06b\x00\x00\x00\x00\x00"), 3)
	f.Fuzz(func(t *testing.T, inside []byte, _ int) {
		if len(inside) == 0 || len(inside) > 1<<16 {
			return
		}
		k := keyring.SessionKey{1}
		sealed := sealRaw(k, inside)
		got, err := k.Open(sealed)
		r, rerr := k.Reader(bytes.NewReader(sealed), int64(len(sealed)))
		if rerr != nil {
			return
		}
		read, rerr := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if rerr == nil && (err != nil || !bytes.Equal(got, read)) {
			t.Fatal("Reader and Open disagree")
		}
	})
}

func FuzzUnwrap(f *testing.F) {
	r, b := newRing(f)
	_, pkesk := sealedTo(f, r.Recipient())
	f.Add(pkesk)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := b.Unwrap(in); err == nil && !bytes.Equal(in, pkesk) {
			t.Fatal("something else unwraps")
		}
	})
}

func FuzzRing(f *testing.F) {
	r, b := newRing(f)
	_, err := r.AddPasswordWith(cheap, b, "pw", "bureau", now)
	must(f, err)
	_, _, err = r.AddGenerated(b, keyring.MailPassword, "", now)
	must(f, err)
	rec, err := r.MarshalCBOR()
	must(f, err)
	f.Add(rec)
	f.Fuzz(func(t *testing.T, in []byte) {
		got := new(keyring.Ring)
		if got.UnmarshalCBOR(in) != nil {
			return
		}
		again, err := got.MarshalCBOR()
		must(t, err)
		must(t, new(keyring.Ring).UnmarshalCBOR(again))
		if got.Recipient().IsZero() {
			t.Fatal("a ring without a recipient was read")
		}
		_, _ = got.OpenServer([32]byte{1})
		_, _ = got.ArmoredPublicKey()
	})
}

func FuzzSecret(f *testing.F) {
	r, b := newRing(f)
	_, secret, err := r.AddGenerated(b, keyring.MailPassword, "", now)
	must(f, err)
	f.Add(secret)
	f.Add(strings.ToUpper(secret) + " ")
	f.Fuzz(func(t *testing.T, in string) {
		if _, _, err := r.OpenGenerated(in); err == nil && len(in) < 28 {
			t.Fatal("fewer symbols than a secret has open the ring")
		}
	})
}
