package s3_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pli/internal/engines"
	"pli/store/blob"
	"pli/store/blob/blobtest"
	"pli/store/blob/s3"
	"pli/store/storetest"
)

func open(t testing.TB, url string, limits s3.Limits) *s3.Store {
	t.Helper()
	return openSpool(t, url, t.TempDir(), limits)
}

func openSpool(t testing.TB, url, spool string, limits s3.Limits) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), s3.Config{URL: url, Spool: spool, Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t testing.TB) blob.Store { return open(t, engines.S3(t), s3.Limits{}) })
}

// TestCrash: what was acknowledged is whole, and nothing else is half there,
// when the writing process is killed.
func TestCrash(t *testing.T) {
	const envURL = "PLI_TEST_CRASH_S3"
	if os.Getenv(envURL) == "" {
		t.Setenv(envURL, engines.S3(t)) // the writing half finds it there
	}
	url := os.Getenv(envURL)
	storetest.Kill(t, func(path string, ack func(string)) {
		blobtest.Write(t, openSpool(t, url, path, s3.Limits{SinglePut: 200_000, Part: part}), ack)
	}, func(path string, acks []string) {
		s := openSpool(t, url, path, s3.Limits{Abandon: time.Nanosecond})
		blobtest.Check(t, s, acks)
		found, err := s.List(t.Context(), "", 1<<20)
		for _, info := range found { // so that the next round has less to read
			err = errors.Join(err, s.Check(t.Context(), info.ID), s.Delete(t.Context(), info.ID))
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// TestSpoolFull: a full disk of our own has the error of a full store, and what
// was begun leaves nothing.
func TestSpoolFull(t *testing.T) {
	const envURL = "PLI_TEST_FULL_S3"
	if os.Getenv(envURL) == "" {
		t.Setenv(envURL, engines.S3(t))
	}
	url := os.Getenv(envURL)
	storetest.Full(t, 1<<20, func(path string) {
		s := openSpool(t, url, path, s3.Limits{})
		w, err := s.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.Write(make([]byte, 2<<20)); !errors.Is(err, blob.ErrFull) {
			t.Errorf("a write to a full disk: %v", err)
		}
		if _, err := w.Commit(); !errors.Is(err, blob.ErrFull) {
			t.Errorf("a commit after a failed write: %v", err)
		}
		if found, err := s.List(t.Context(), "", 10); len(found) != 0 || err != nil {
			t.Errorf("%v, %v", found, err)
		}
		if left, err := os.ReadDir(path); len(left) != 0 || err != nil {
			t.Errorf("%d files are left, %v", len(left), err)
		}
	})
}

// TestParts: on each side of the limit of one request and of the length of a
// part, a blob is whole, and was sent as it should.
func TestParts(t *testing.T) {
	t.Parallel()
	g := engines.NewGateway(t)
	s := open(t, g.URL(t), s3.Limits{SinglePut: part + 1000, Part: part})
	for _, test := range []struct{ size, parts int }{
		{part - 1, 0}, {part, 0}, {part + 999, 0}, {part + 1000, 0}, {part + 1001, 2},
		{2*part - 1, 2}, {2 * part, 2}, {2*part + 1, 3},
	} {
		b := content(byte(test.parts), test.size)
		before := count(g.Requests(t), "UploadPart")
		id := commit(t, s, b)
		wantBlob(t, s, id, b)
		if err := s.Check(t.Context(), id); err != nil {
			t.Errorf("%d bytes: %v", test.size, err)
		}
		if n := count(g.Requests(t), "UploadPart") - before; n != test.parts {
			t.Errorf("%d bytes in %d parts, want %d", test.size, n, test.parts)
		}
	}
}

func count(names []string, name string) (n int) {
	for _, other := range names {
		if other == name {
			n++
		}
	}
	return n
}

func commit(t testing.TB, s *s3.Store, b []byte) blob.ID {
	t.Helper()
	w, err := s.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	id, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wantBlob(t testing.TB, s *s3.Store, id blob.ID, b []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), id)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(b))
	}
}

// TestReadAhead: who reads 3 MB in order, 4 kB at a time, after a look at the
// end, asks the server a few times, and not each time; a read as long as the
// read-ahead is one request.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	g := engines.NewGateway(t)
	s := open(t, g.URL(t), s3.Limits{ReadAhead: 500_000})
	b := content(1, 3_000_000)
	id := commit(t, s, b)
	gets := func(read func(r blob.Reader)) int {
		before := count(g.Requests(t), "GetObject")
		r, err := s.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		read(r)
		return count(g.Requests(t), "GetObject") - before
	}
	piecewise := gets(func(r blob.Reader) {
		p := make([]byte, 4000)
		if _, err := r.ReadAt(p, 2_950_000); err != nil || !bytes.Equal(p, b[2_950_000:2_954_000]) {
			t.Error("the end", err)
		}
		for off := 0; off < len(b); off += len(p) {
			if n, err := r.ReadAt(p, int64(off)); n != len(p) || !bytes.Equal(p, b[off:off+n]) {
				t.Fatal(off, n, err)
			}
		}
	})
	// 128 kB at the open, the end, 256 kB, then 500 kB at a time.
	if piecewise < 5 || piecewise > 10 {
		t.Errorf("%d requests for pieces of 4 kB", piecewise)
	}
	for length, want := range map[int]int{499_999: 2, 500_000: 2, 2_000_000: 2} {
		n := gets(func(r blob.Reader) {
			p := make([]byte, length)
			if _, err := r.ReadAt(p, 200_000); err != nil || !bytes.Equal(p, b[200_000:200_000+length]) {
				t.Error(err)
			}
		})
		if length < 500_000 && n <= want || length >= 500_000 && n != want {
			t.Errorf("a read of %d bytes makes %d requests with that of Open", length, n)
		}
	}
}

// TestDamagedBlob: bytes that change on the server's disk are found by Check;
// what reads blobs finds them too, since their content is sealed.
func TestDamagedBlob(t *testing.T) {
	t.Parallel()
	g := engines.NewGateway(t)
	s := open(t, g.URL(t), inParts)
	for _, size := range []int{1, 300_000, part + 1} {
		damaged, kept := commit(t, s, content(1, size)), commit(t, s, content(2, size))
		flip(t, g, string(damaged), size/2)
		if err := s.Check(t.Context(), damaged); !errors.Is(err, s3.ErrDamaged) {
			t.Errorf("%d bytes with one changed: %v", size, err)
		}
		if err := s.Check(t.Context(), kept); err != nil {
			t.Errorf("the other: %v", err)
		}
	}
	for _, id := range []blob.ID{blob.NewID(), "", "../x"} {
		if err := s.Check(t.Context(), id); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Check of %q: %v", id, err)
		}
	}
}

// TestDeletedWhileRead: the object of a blob that is deleted while it is read
// is kept for its readers, and removed when the last one closes; meanwhile the
// ID cannot be taken, and nobody sees it.
func TestDeletedWhileRead(t *testing.T) {
	t.Parallel()
	url := engines.S3(t)
	s, bucket := open(t, url, s3.Limits{}), openBucket(t, url)
	b := content(1, 2_000_000)
	id := commit(t, s, b)
	var readers [2]blob.Reader
	for i := range readers {
		var err error
		if readers[i], err = s.Open(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if found, err := s.List(t.Context(), "", 10); len(found) != 0 || err != nil {
		t.Errorf("listed: %v, %v", found, err)
	}
	if err := s.Check(t.Context(), id); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Check: %v", err)
	}
	w, err := s.CreateAs(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("its ID is given to another: %v", err)
	}
	for i, r := range readers {
		if got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size())); err != nil || !bytes.Equal(got, b) {
			t.Errorf("reader %d: %d bytes, %v", i, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		left, err := bucket.List(t.Context(), "", "", 10)
		if err != nil || len(left) != len(readers)-1-i {
			t.Errorf("%d objects after reader %d has closed, %v", len(left), i, err)
		}
	}
	if err := readers[0].Close(); err == nil {
		t.Error("a reader is closed twice")
	}
}

// TestForeignNames: what is no blob is neither listed nor touched, and costs no
// blob its place in a page.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	url := engines.S3(t)
	bucket := openBucket(t, url)
	strange := []string{"README", "0", "zz", "folder/0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF"}
	for _, name := range strange {
		put(t, bucket, name, []byte("text"))
	}
	s := open(t, url, s3.Limits{})
	ids := []blob.ID{commit(t, s, nil), commit(t, s, nil)}
	slices.Sort(ids)
	for _, n := range []int{1, 2, 10} {
		var found []blob.ID
		for after := blob.ID(""); ; after = found[len(found)-1] {
			page, err := s.List(t.Context(), after, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, info := range page {
				found = append(found, info.ID)
			}
			if len(page) == 0 {
				break
			}
		}
		if !slices.Equal(found, ids) {
			t.Errorf("in pages of %d: %v", n, found)
		}
	}
	for _, name := range strange {
		want(t, bucket, name, []byte("text"))
	}
}

// TestTLS: the server proves who it is by a certificate of the file that the
// URL names; without it, or with another, nothing is sent.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	other, _ := selfSigned(t)
	g := engines.NewGateway(t, "--cert", cert, "--key", key)
	base := strings.TrimSuffix(g.URL(t), "?tls=off")
	s := open(t, base+"?ca="+cert, s3.Limits{})
	b := content(1, 300_000)
	wantBlob(t, s, commit(t, s, b), b)
	for _, query := range []string{"", "?tls=on", "?ca=" + other, "?tls=off"} {
		if _, err := s3.OpenBucket(t.Context(), base+query, nil); err == nil {
			t.Errorf("opened with %q", query)
		}
	}
}

// selfSigned makes a certificate for 127.0.0.1 and returns its files.
func selfSigned(t testing.TB) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "S3"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err1 := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	err2 := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// TestReplaced: a reader returns bytes of the object that it has opened, or
// none, when somebody else puts another in its place.
func TestReplaced(t *testing.T) {
	t.Parallel()
	url := engines.S3(t)
	s, bucket := open(t, url, s3.Limits{}), openBucket(t, url)
	old := content(1, 2_000_000)
	id := commit(t, s, old)
	r, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, bucket, string(id), content(2, 2_000_000))
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if !errors.Is(err, blob.ErrNotFound) || !bytes.HasPrefix(old, got) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
