package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"pli/internal/engines"
	"pli/store/blob"
	"pli/store/blob/s3"
)

// part is S3's smallest, in which the tests send what they send in parts.
const part = 5 << 20

// inParts has small blobs sent in parts.
var inParts = s3.Limits{SinglePut: part, Part: part}

// faulty is a store that reaches its bucket through a network that can fail,
// and one that reaches the same bucket at all times.
type faulty struct {
	*s3.Store
	fault  *engines.Fault
	server *engines.Gateway
	direct *s3.Bucket
	url    string // at all times
}

func openFaulty(t testing.TB, limits s3.Limits, options ...string) faulty {
	t.Helper()
	g := engines.NewGateway(t, options...)
	f := faulty{fault: engines.NewFault(t, g.Addr()), server: g, url: g.URL(t)}
	f.direct = openBucket(t, f.url)
	f.Store = open(t, engines.Through(f.url, f.fault.Addr()), limits)
	return f
}

// write writes a blob through the network, with an ID of its own or the given.
func (f faulty) write(ctx context.Context, id blob.ID, b []byte) (blob.ID, error) {
	w, err := f.Create(ctx)
	if id != "" {
		w, err = f.CreateAs(ctx, id)
	}
	if err != nil {
		return "", err
	}
	if _, err := w.Write(b); err != nil {
		return "", err
	}
	return w.Commit()
}

func (f faulty) read(ctx context.Context, id blob.ID) ([]byte, error) {
	r, err := f.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

// wantObjects fails unless the bucket comes to hold so many objects, each one
// whole.
func (f faulty) wantObjects(t testing.TB, n int) {
	t.Helper()
	found, err := f.direct.List(t.Context(), "", "", 1000)
	for begun := time.Now(); err == nil && len(found) != n && time.Since(begun) < 20*time.Second; {
		time.Sleep(10 * time.Millisecond)
		found, err = f.direct.List(t.Context(), "", "", 1000)
	}
	if err != nil || len(found) != n {
		t.Fatalf("%d objects, %v; want %d", len(found), err, n)
	}
	f.wantWhole(t)
}

// wantWhole fails unless each object is whole.
func (f faulty) wantWhole(t testing.TB) {
	t.Helper()
	found, err := f.direct.List(t.Context(), "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		if err := f.direct.Check(t.Context(), o.Name); err != nil && !errors.Is(err, blob.ErrNotFound) {
			t.Error(err)
		}
	}
}

// uploads returns how many multipart uploads the server has not seen the end
// of.
func (f faulty) uploads(t testing.TB) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(f.server.Dir(), "bucket-*", ".sgwtmp", "multipart", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// wantNoUploads fails unless the uploads end.
func (f faulty) wantNoUploads(t testing.TB) {
	t.Helper()
	for begun := time.Now(); f.uploads(t) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%d unfinished uploads are left", f.uploads(t))
		}
	}
}

// TestEngineAway: while the store is down, busy or mute, every call says so
// within its deadline, nothing is half there, and what was there before is
// served again as soon as the store is.
func TestEngineAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail    func(*engines.Fault)
		reached bool // the server may have stored what it could not acknowledge
	}{
		"down":        {(*engines.Fault).Down, false},
		"busy":        {func(f *engines.Fault) { f.SlowDown(-1) }, false},
		"broken":      {func(f *engines.Fault) { f.Answer(500, "InternalError", -1) }, false},
		"mute":        {(*engines.Fault).Hang, true},
		"cut at once": {func(f *engines.Fault) { f.CutResponses(5, -1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openFaulty(t, s3.Limits{SinglePut: part, Part: part, Stall: 300 * time.Millisecond, Attempts: 2})
			small := content(1, 300_000)
			id, err := f.write(t.Context(), "", small)
			if err != nil {
				t.Fatal(err)
			}
			r, err := f.Open(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			test.fail(f.fault)
			for call, err := range allCalls(t, f, id, r) {
				if !errors.Is(err, blob.ErrUnavailable) {
					t.Errorf("%s: %v", call, err)
				}
			}
			f.fault.Heal()
			if test.reached {
				f.wantWhole(t)
			} else {
				f.wantObjects(t, 1)
			}
			if got, err := f.read(t.Context(), id); err != nil || !bytes.Equal(got, small) {
				t.Errorf("back again: %d bytes, %v", len(got), err)
			}
			if got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size())); err != nil || !bytes.Equal(got, small) {
				t.Errorf("the reader that was open: %d bytes, %v", len(got), err)
			}
		})
	}
}

// allCalls makes each call of a Store once, and tells what each has returned.
func allCalls(t testing.TB, f faulty, id blob.ID, r blob.Reader) map[string]error {
	calls := map[string]error{}
	_, calls["write"] = f.write(t.Context(), "", content(3, 300_000))
	_, calls["write in parts"] = f.write(t.Context(), "", content(3, part+1))
	_, calls["write as"] = f.write(t.Context(), blob.NewID(), content(3, 300_000))
	_, calls["open"] = f.Open(t.Context(), id)
	_, calls["read"] = r.ReadAt(make([]byte, 100), 290_000)
	_, calls["list"] = f.List(t.Context(), "", 10)
	calls["check"] = f.Check(t.Context(), id)
	calls["delete"] = f.Delete(t.Context(), blob.NewID())
	return calls
}

// TestMisconfigured: a bucket or user that is gone is neither a blob that is
// not there, nor a pause.
func TestMisconfigured(t *testing.T) {
	t.Parallel()
	f := openFaulty(t, inParts)
	id, err := f.write(t.Context(), "", content(1, 300_000))
	if err != nil {
		t.Fatal(err)
	}
	for code, status := range map[string]int{"NoSuchBucket": 404, "XAdminUserNotFound": 404, "AccessDenied": 403, "SignatureDoesNotMatch": 403} {
		r, err := f.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		f.fault.Answer(status, code, -1)
		for call, err := range allCalls(t, f, id, r) {
			if err == nil || errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrUnavailable) || errors.Is(err, blob.ErrFull) {
				t.Errorf("%s, %s: %v", code, call, err)
			}
		}
		f.fault.Heal()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	f.wantObjects(t, 1)
}

// TestFull: a store without room has its own error, and what was begun leaves
// nothing.
func TestFull(t *testing.T) {
	t.Parallel()
	f := openFaulty(t, inParts)
	for code, status := range map[string]int{"InsufficientStorage": 507, "XMinioStorageFull": 507, "QuotaExceeded": 403} {
		f.fault.Answer(status, code, -1)
		for _, size := range []int{300_000, part + 1} {
			if _, err := f.write(t.Context(), "", content(1, size)); !errors.Is(err, blob.ErrFull) {
				t.Errorf("%s: %v", code, err)
			}
		}
	}
	f.fault.Heal()
	f.wantObjects(t, 0)
}

// TestAttempts: what is busy for one try less than are made is not noticed.
func TestAttempts(t *testing.T) {
	t.Parallel()
	f := openFaulty(t, s3.Limits{Attempts: 3}, "--keep-alive=false") // so that no try is spent on an old connection
	b := content(1, 300_000)
	f.fault.SlowDown(2)
	id, err := f.write(t.Context(), "", b)
	if err != nil {
		t.Fatalf("busy twice, with 3 tries: %v", err)
	}
	f.fault.SlowDown(2)
	if got, err := f.read(t.Context(), id); err != nil || !bytes.Equal(got, b) {
		t.Errorf("read, busy twice, with 3 tries: %d bytes, %v", len(got), err)
	}
	f.fault.SlowDown(3)
	if _, err := f.Open(t.Context(), id); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("busy three times, with 3 tries: %v", err)
	}
}

// TestDeadline: a store that is too slow is given up when the caller's deadline
// passes, not when its body has ended.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*engines.Fault){
		"slow": func(f *engines.Fault) { f.Slow(50_000) },
		"mute": (*engines.Fault).Hang,
		"down": (*engines.Fault).Down,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := openFaulty(t, s3.Limits{})
			b := content(1, 5_000_000) // 100 s at that pace
			id, err := f.write(t.Context(), "", b)
			if err != nil {
				t.Fatal(err)
			}
			fail(f.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begun := time.Now()
			_, err1 := f.write(ctx, "", b)
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err2 := f.read(ctx, id)
			for i, err := range []error{err1, err2} {
				if !errors.Is(err, blob.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("call %d: %v", i, err)
				}
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("gave up after %v", took)
			}
			f.fault.Heal()
			f.wantObjects(t, 1)
		})
	}
}

// TestSlowButAlive: a body that takes longer than Stall is not given up while
// it moves.
func TestSlowButAlive(t *testing.T) {
	t.Parallel()
	f := openFaulty(t, s3.Limits{})
	b := content(1, 6_000_000)
	put(t, f.direct, "object", b)
	url := engines.Through(f.url, f.fault.Addr())
	slow, err := s3.OpenBucketWithin(t.Context(), url, nil, s3.Limits{Stall: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	f.fault.Slow(2_000_000)
	want(t, slow, "object", b)
	gets := count(f.server.Requests(t), "GetObject")
	if gets != 1 {
		t.Errorf("%d requests for one object: some were given up", gets)
	}
}

// TestCutAnywhere: wherever a request or an answer is cut once, the call
// succeeds after another try, the blob is there once and whole, and one with a
// given ID is not taken for somebody else's.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	cuts := map[string]func(f *engines.Fault, after int64){
		"request":  func(f *engines.Fault, after int64) { f.CutRequests(after, 1) },
		"response": func(f *engines.Fault, after int64) { f.CutResponses(after, 1) },
	}
	for what, cut := range cuts {
		for size, step := range map[int]int64{300_000: 40_000, part + 100_000: 700_000} {
			if what == "response" {
				step = 230 // answers to an upload are short
			}
			t.Run(fmt.Sprintf("%s, %d bytes", what, size), func(t *testing.T) {
				t.Parallel()
				f := openFaulty(t, inParts)
				written, struck := 0, 0
				for after, missed := int64(0), 0; missed < 2; after += step { // until both kinds are too short
					cut(f.fault, after)
					var id blob.ID
					if written%2 == 1 {
						id = blob.NewID()
					}
					got, err := f.write(t.Context(), id, content(byte(written), size))
					if err != nil {
						t.Fatalf("cut after %d: %v", after, err)
					}
					if id != "" && got != id {
						t.Errorf("%s is named %s", id, got)
					}
					written++
					select {
					case <-f.fault.Struck():
						struck, missed = struck+1, 0
					default:
						missed++
					}
				}
				if struck < 3 {
					t.Errorf("struck %d times only", struck)
				}
				f.fault.Heal()
				f.wantObjects(t, written)
				if _, err := f.direct.AbandonUploads(t.Context(), 0, func(string) bool { return true }); err != nil {
					t.Error(err) // those of which the beginning's answer was lost
				}
				f.wantNoUploads(t)
			})
		}
	}
}

// TestCutRead: a reader goes on where the connection broke, as often as it
// breaks.
func TestCutRead(t *testing.T) {
	t.Parallel()
	f := openFaulty(t, s3.Limits{})
	b := content(1, 2_000_000)
	id, err := f.write(t.Context(), "", b)
	if err != nil {
		t.Fatal(err)
	}
	through := openBucket(t, engines.Through(f.url, f.fault.Addr()))
	for _, after := range []int64{1000, 60_000, 100_000, 500_000, 1_500_000} {
		for _, times := range []int{1, -1} {
			if after == 1000 && times < 0 {
				continue // some answers have longer heads
			}
			f.fault.CutResponses(after, times)
			if got, err := f.read(t.Context(), id); err != nil || !bytes.Equal(got, b) {
				t.Errorf("blob cut after %d: %d bytes, %v", after, len(got), err)
			}
			f.fault.CutResponses(after, times)
			want(t, through, string(id), b)
			select {
			case <-f.fault.Struck():
			default:
				t.Errorf("not cut after %d", after)
			}
		}
	}
}

// TestServerKilled: a server that is killed while a blob arrives holds nothing
// of it when it is back, and all that it had acknowledged.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	for _, size := range []int{4_000_000, 3 * part} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			t.Parallel()
			f := openFaulty(t, inParts)
			before := content(1, 300_000)
			id, err := f.write(t.Context(), "", before)
			if err != nil {
				t.Fatal(err)
			}
			f.fault.HangRequests(int64(size) / 2)
			failed := make(chan error)
			go func() {
				_, err := f.write(t.Context(), "", content(2, size))
				failed <- err
			}()
			<-f.fault.Struck()
			f.server.Kill()
			f.fault.Heal()
			if err := <-failed; !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("the blob that was arriving: %v", err)
			}
			f.server.Start(t)
			f.wantObjects(t, 1)
			if got, err := f.read(t.Context(), id); err != nil || !bytes.Equal(got, before) {
				t.Errorf("the blob from before: %d bytes, %v", len(got), err)
			}
			wantAbandoned(t, f)
		})
	}
}

// wantAbandoned: Open ends unfinished uploads above an age, and no younger ones.
func wantAbandoned(t testing.TB, f faulty) {
	t.Helper()
	n := f.uploads(t)
	open(t, f.url, s3.Limits{Abandon: time.Hour})
	if left := f.uploads(t); left != n {
		t.Errorf("Open has ended %d uploads that are seconds old", n-left)
	}
	open(t, f.url, s3.Limits{Abandon: time.Nanosecond})
	if left := f.uploads(t); left != 0 {
		t.Errorf("%d old uploads are left", left)
	}
}

// TestUploadAbandoned: an upload whose process and network ended together is
// ended by a later Open.
func TestUploadAbandoned(t *testing.T) {
	t.Parallel()
	f := openFaulty(t, inParts)
	f.fault.HangRequests(part + part/2)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := f.write(ctx, "", content(1, 3*part))
		failed <- err
	}()
	<-f.fault.Struck()
	f.fault.Down()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) && !errors.Is(err, blob.ErrUnavailable) {
		t.Error(err)
	}
	if f.uploads(t) != 1 {
		t.Fatalf("%d unfinished uploads: the test shows nothing", f.uploads(t))
	}
	wantAbandoned(t, f)
	f.wantObjects(t, 0)
}

// TestUploadFails: an upload in parts that fails while the server answers ends
// its parts by itself.
func TestUploadFails(t *testing.T) {
	t.Parallel()
	f := openFaulty(t, s3.Limits{SinglePut: part, Part: part, Attempts: 2})
	f.fault.CutRequests(part+part/2, -1)
	if _, err := f.write(t.Context(), "", content(1, 3*part)); err != nil {
		t.Log(err)
	}
	f.fault.CutRequests(part/2, -1)
	if _, err := f.write(t.Context(), "", content(1, 3*part)); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("no part can pass: %v", err)
	}
	f.wantNoUploads(t)
}
