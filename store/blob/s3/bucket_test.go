package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pli/internal/engines"
	"pli/store/blob"
	"pli/store/blob/s3"
)

func TestMain(m *testing.M) { engines.Main(m) }

// content returns n bytes that differ from place to place and seed to seed.
func content(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func openBucket(t testing.TB, url string) *s3.Bucket {
	t.Helper()
	b, err := s3.OpenBucket(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, b *s3.Bucket, name string, content []byte) {
	t.Helper()
	if err := b.Put(t.Context(), name, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, b *s3.Bucket, name string) ([]byte, error) {
	t.Helper()
	r, size, err := b.Get(t.Context(), name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && int64(len(got)) != size {
		t.Errorf("%s: %d bytes, said to be %d", name, len(got), size)
	}
	return got, err
}

func want(t testing.TB, b *s3.Bucket, name string, content []byte) {
	t.Helper()
	if got, err := get(t, b, name); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(content))
	}
}

// TestBucket: objects are put, replaced, listed in order and deleted by name.
func TestBucket(t *testing.T) {
	t.Parallel()
	b := openBucket(t, engines.S3(t))
	for _, n := range []int{0, 1, 300_000, 17_000_000} {
		put(t, b, "one", content(1, n))
		want(t, b, "one", content(1, n))
		if err := b.Check(t.Context(), "one"); err != nil {
			t.Errorf("Check of %d bytes: %v", n, err)
		}
	}
	if err := b.Create(t.Context(), "one", strings.NewReader("x"), 1); !errors.Is(err, blob.ErrExists) {
		t.Errorf("Create in the place of another: %v", err)
	}
	want(t, b, "one", content(1, 17_000_000))
	if err := b.Create(t.Context(), "folder/two é+%", strings.NewReader("x"), 1); err != nil {
		t.Error(err)
	}
	want(t, b, "folder/two é+%", []byte("x"))
	for range 2 {
		if err := b.Delete(t.Context(), "one"); err != nil {
			t.Error(err)
		}
	}
	if _, err := get(t, b, "one"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Get of what is deleted: %v", err)
	}
	if err := b.Check(t.Context(), "one"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Check of what is deleted: %v", err)
	}
	if err := b.Put(t.Context(), "short", strings.NewReader("x"), 2); err == nil {
		t.Error("content that is shorter than its size is stored")
	}
}

// TestList: names come in order, in pages of any length, from under a prefix.
func TestList(t *testing.T) {
	t.Parallel()
	b := openBucket(t, engines.S3(t))
	names := []string{"a/1", "a/2", "a/3/4", "b", "c/1"}
	for _, name := range slices.Backward(names) {
		put(t, b, name, []byte(name))
	}
	for n := 1; n <= 6; n++ {
		var found []string
		for after := ""; ; after = found[len(found)-1] {
			page, err := b.List(t.Context(), "", after, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page {
				found = append(found, o.Name)
				if o.Size != int64(len(o.Name)) || o.ModTime.IsZero() {
					t.Errorf("%+v", o)
				}
			}
			if len(page) < n {
				break
			}
		}
		if !slices.Equal(found, names) {
			t.Errorf("in pages of %d: %q", n, found)
		}
	}
	if page, err := b.List(t.Context(), "a/", "a/1", 10); err != nil || len(page) != 2 {
		t.Errorf("under a/ after a/1: %v, %v", page, err)
	}
	if page, err := b.List(t.Context(), "", "", 0); err != nil || len(page) != 0 {
		t.Errorf("none asked for: %v, %v", page, err)
	}
}

// TestPrefix: what lies under the prefix of one URL is not seen under another.
func TestPrefix(t *testing.T) {
	t.Parallel()
	url := engines.S3(t)
	whole := openBucket(t, url)
	part := openBucket(t, strings.Replace(url, "?", "/inner/most?", 1))
	put(t, whole, "name", []byte("outer"))
	put(t, part, "name", []byte("inner"))
	want(t, whole, "name", []byte("outer"))
	want(t, part, "name", []byte("inner"))
	want(t, whole, "inner/most/name", []byte("inner"))
	if page, err := part.List(t.Context(), "", "", 10); err != nil || len(page) != 1 || page[0].Name != "name" {
		t.Errorf("%v, %v", page, err)
	}
}

// TestDamage: bytes that change on the server's disk are found.
func TestDamage(t *testing.T) {
	t.Parallel()
	g := engines.NewGateway(t)
	b := openBucket(t, g.URL(t))
	for _, n := range []int{1, 300_000, 17_000_000} {
		put(t, b, "object", content(1, n))
		flip(t, g, "object", n/2)
		if _, err := get(t, b, "object"); !errors.Is(err, s3.ErrDamaged) {
			t.Errorf("Get of %d bytes with one changed: %v", n, err)
		}
		if err := b.Check(t.Context(), "object"); !errors.Is(err, s3.ErrDamaged) {
			t.Errorf("Check of %d bytes with one changed: %v", n, err)
		}
	}
}

// flip changes one byte of the only object of that name on a server.
func flip(t testing.TB, g *engines.Gateway, name string, at int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(g.Dir(), "bucket-*", name))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	f, err := os.OpenFile(found[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var p [1]byte
	_, err1 := f.ReadAt(p[:], int64(at))
	p[0] ^= 1
	_, err2 := f.WriteAt(p[:], int64(at))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
}

// TestForeignObject: what another program has stored can be read, and Check
// says that nothing tells whether it is whole.
func TestForeignObject(t *testing.T) {
	t.Parallel()
	g := engines.NewGateway(t)
	b := openBucket(t, g.URL(t))
	buckets, err := filepath.Glob(filepath.Join(g.Dir(), "bucket-*"))
	if err != nil || len(buckets) != 1 {
		t.Fatal(buckets, err)
	}
	if err := os.WriteFile(filepath.Join(buckets[0], "foreign"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, b, "foreign", []byte("text"))
	if err := b.Check(t.Context(), "foreign"); !errors.Is(err, s3.ErrUnchecked) {
		t.Errorf("Check: %v", err)
	}
}

// TestSecretStaysSecret: wrong URLs, wrong keys and a server that is away are
// told without the keys, in errors and in the log.
func TestSecretStaysSecret(t *testing.T) {
	t.Parallel()
	const secret = "Very/Secret+Key@All"
	good := engines.S3(t)
	_, rest, _ := strings.Cut(good, "@")
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for name, url := range map[string]string{
		"secret not escaped":     "s3://someone:" + secret + "@" + rest,
		"secret of digits first": "s3://someone:1234/" + secret + "@" + rest,
		"a wrong escape":         "s3://someone:%zz" + secret + "@" + rest,
		"another scheme":         "http://someone:Very%2FSecret%2BKey%40All@" + rest,
		"no such key":            "s3://someone:Very%2FSecret%2BKey%40All@" + rest,
		"wrong secret":           "s3://" + engines.S3Access + ":Very%2FSecret%2BKey%40All@" + rest,
		"nobody there":           "s3://someone:Very%2FSecret%2BKey%40All@127.0.0.1:1/bucket?tls=off",
		"no bucket":              "s3://someone:Very%2FSecret%2BKey%40All@127.0.0.1:1?tls=off",
		"unknown parameter":      "s3://someone:Very%2FSecret%2BKey%40All@127.0.0.1:1/bucket?tsl=off",
		"wrong tls":              "s3://someone:Very%2FSecret%2BKey%40All@127.0.0.1:1/bucket?tls=no",
		"no such file":           "s3://someone:Very%2FSecret%2BKey%40All@127.0.0.1:1/bucket?ca=/nowhere",
		"no access key":          "s3://127.0.0.1:1/bucket",
		"no such bucket":         strings.Replace(good, "/bucket-", "/no-bucket-", 1),
	} {
		_, err := s3.OpenBucket(t.Context(), url, log)
		if err == nil {
			t.Errorf("%s: opened", name)
			continue
		}
		t.Logf("%s: %v", name, err)
		said.WriteString(err.Error() + "\n")
		if name == "nobody there" && !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("%s: not blob.ErrUnavailable", name)
		}
	}
	for _, part := range []string{"Very", "Secret+", "Secret%2BKey", "Key@All", "1234", engines.S3Secret, "never"} {
		if strings.Contains(said.String(), part) {
			t.Errorf("the errors or the log hold %q of a secret", part)
		}
	}
	if !strings.Contains(said.String(), "trying again") {
		t.Error("nothing was logged: the test shows nothing")
	}
}

// TestSecretFromEnvironment: the secret may stand in PLI_S3_SECRET.
func TestSecretFromEnvironment(t *testing.T) {
	before, rest, _ := strings.Cut(engines.S3(t), "@")
	access := before[:strings.LastIndex(before, ":")]
	if _, err := s3.OpenBucket(t.Context(), access+"@"+rest, nil); err == nil || !strings.Contains(err.Error(), s3.EnvSecret) {
		t.Errorf("without a secret: %v", err)
	}
	t.Setenv(s3.EnvSecret, engines.S3Secret)
	if _, err := s3.OpenBucket(t.Context(), access+"@"+rest, nil); err != nil {
		t.Error(err)
	}
}

// TestContextEnds: each call gives up when its context does.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	b := openBucket(t, engines.S3(t))
	put(t, b, "object", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err1 := b.Get(ctx, "object")
	_, err2 := b.List(ctx, "", "", 1)
	for i, err := range []error{err1, err2, b.Put(ctx, "other", strings.NewReader("x"), 1), b.Delete(ctx, "object"), b.Check(ctx, "object")} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	want(t, b, "object", []byte("x"))
}
