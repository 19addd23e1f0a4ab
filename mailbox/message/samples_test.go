package message_test

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pli/mailbox/message"
	"pli/store"
)

// samples returns every sample mail by its name.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir("testdata/mail", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(filepath.ToSlash(path), "testdata/mail/")] = b
		return err
	})
	if err != nil || len(all) < 300 {
		t.Fatalf("%d samples: %v", len(all), err)
	}
	return all
}

// scan reads b in pieces of n bytes (0: in one).
func scan(b []byte, l message.Limits, n int) *message.Index {
	s := message.NewScanner(l)
	for n > 0 && len(b) > n {
		s.Write(bytes.Clone(b[:n]))
		b = b[n:]
	}
	s.Write(b)
	ix, err := s.Close()
	if err != nil {
		panic(err)
	}
	return ix
}

// check tests what Index and Part promise, for any message whatever.
func check(t testing.TB, name string, b []byte, ix *message.Index) {
	t.Helper()
	if ix.Size != int64(len(b)) || ix.Root.End != ix.Size || ix.Root.HeaderStart != 0 ||
		ix.Header != (message.Span{Start: 0, End: ix.Root.BodyStart}) {
		t.Errorf("%s: size %d, header %v, root %d..%d..%d of %d bytes", name, ix.Size, ix.Header, ix.Root.HeaderStart, ix.Root.BodyStart, ix.Root.End, len(b))
	}
	ix.Walk(func(path string, p *message.Part) bool {
		checkPart(t, name+" part "+path, b, p)
		if ix.ByPath(path) != p {
			t.Errorf("%s: ByPath(%q) is another part", name, path)
		}
		return true
	})
	enc, err := store.Encode(ix)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(enc) > store.MaxValue {
		t.Errorf("%s: the index takes %d bytes", name, len(enc))
	}
	var again message.Index
	if err := store.Decode(enc, &again); err != nil { // invalid UTF-8 does not decode
		t.Fatalf("%s: %v", name, err)
	}
	if enc2, _ := store.Encode(&again); !bytes.Equal(enc, enc2) {
		t.Errorf("%s: the index changes when stored", name)
	}
	if n := utf8.RuneCountInString(ix.Preview); n > 200 {
		t.Errorf("%s: preview of %d runes", name, n)
	}
	if message.Fold(ix.Text) != ix.Text {
		t.Errorf("%s: Text is not folded", name)
	}
	for _, s := range []string{ix.Preview, ix.Text, ix.Envelope.Subject} {
		if strings.ContainsAny(s, "\r\n\x00\x1b") {
			t.Errorf("%s: control character in %q", name, s)
		}
	}
}

func checkPart(t testing.TB, name string, b []byte, p *message.Part) {
	t.Helper()
	if p.HeaderStart < 0 || p.BodyStart < p.HeaderStart || p.End < p.BodyStart || p.End > int64(len(b)) {
		t.Fatalf("%s: %d..%d..%d", name, p.HeaderStart, p.BodyStart, p.End)
	}
	if want := int64(bytes.Count(b[p.BodyStart:p.End], []byte("\n"))); p.Lines != want {
		t.Errorf("%s: %d lines, counted %d", name, p.Lines, want)
	}
	if (p.Type == "multipart") != (len(p.Children) > 0) {
		t.Errorf("%s: %s with %d children", name, p.MediaType(), len(p.Children))
	}
	isMessage := p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
	if isMessage != (p.Message != nil) {
		t.Errorf("%s: %s with message %v", name, p.MediaType(), p.Message != nil)
	}
	if p.Type == "" || p.Subtype == "" || p.Encoding == "" {
		t.Errorf("%s: %q/%q in %q", name, p.Type, p.Subtype, p.Encoding)
	}
	at := p.BodyStart
	for i := range p.Children {
		c := &p.Children[i]
		if c.HeaderStart < at || c.End > p.End {
			t.Errorf("%s: child %d at %d..%d in %d..%d", name, i+1, c.HeaderStart, c.End, at, p.End)
		}
		at = c.End
	}
	if m := p.Message; m != nil && (m.Root.HeaderStart != p.BodyStart || m.Root.End > p.End) {
		t.Errorf("%s: message at %d..%d in %d..%d", name, m.Root.HeaderStart, m.Root.End, p.BodyStart, p.End)
	}
	if f := p.Filename(); strings.ContainsAny(f, "/\\\r\n\x00") || len(f) > 255 {
		t.Errorf("%s: file name %q", name, f)
	}
	if len(p.Children) == 0 && p.Message == nil && p.Size() < 1<<20 {
		if _, err := message.TextOf(p.Content(bytes.NewReader(b)), p, 1<<20); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every sample is read without panic, within bounds, and keeps what Index promises.
func TestSamples(t *testing.T) {
	t.Parallel()
	for name, b := range samples(t) {
		start := time.Now()
		ix := scan(b, message.Limits{}, 0)
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s: %v", name, d)
		}
		check(t, name, b, ix)
	}
}

// Any division into calls of Write gives the same index.
func TestSamplesChunked(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, b := range samples(t) {
		whole := scan(b, message.Limits{}, 0)
		for _, n := range []int{1, 2, 3, 7, 64, 1 + rnd.IntN(4000)} {
			if ix := scan(b, message.Limits{}, n); !reflect.DeepEqual(ix, whole) {
				t.Errorf("%s: in pieces of %d it is another message", name, n)
			}
		}
		small := message.Limits{MaxHeaderBytes: 300, MaxParts: 3, MaxDepth: 2, MaxParams: 1, MaxAddresses: 2, MaxText: 50, MaxTextSource: 80}
		whole = scan(b, small, 0)
		check(t, name, b, whole)
		for _, n := range []int{1, 5, 1 + rnd.IntN(300)} {
			if ix := scan(b, small, n); !reflect.DeepEqual(ix, whole) {
				t.Errorf("%s: within small limits, in pieces of %d, it is another message", name, n)
			}
		}
	}
}

// Bare line feeds and CRLF give the same tree.
func TestSamplesLineEnds(t *testing.T) {
	t.Parallel()
	for name, b := range samples(t) {
		if bytes.Contains(bytes.ReplaceAll(b, []byte("\r\n"), nil), []byte("\r")) || strings.HasPrefix(name, "smtp-") {
			continue // a bare CR is no line end, and next to a LF becomes half of one
		}
		lf := bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
		crlf := bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))
		if a, b := shape(scan(lf, message.Limits{}, 0)), shape(scan(crlf, message.Limits{}, 0)); a != b {
			t.Errorf("%s: with LF\n%swith CRLF\n%s", name, a, b)
		}
	}
}

// shape writes an index without its offsets.
func shape(ix *message.Index) string {
	var b strings.Builder
	b.WriteString(ix.Envelope.Subject + " | " + ix.Preview + "\n")
	ix.Walk(func(path string, p *message.Part) bool {
		b.WriteString(path + " " + p.MediaType() + " " + p.Filename() + "\n")
		return true
	})
	return b.String()
}

// allocated runs fn and returns the bytes that it allocated at most at once
// (an upper bound: all of them) and its time.
func allocated(fn func()) (bytes uint64, d time.Duration) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	fn()
	d = time.Since(start)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, d
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
