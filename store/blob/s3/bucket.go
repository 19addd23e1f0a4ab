// Package s3 keeps blobs, and other objects, in a bucket of an S3 server.
//
// A URL chooses the server, the bucket and everything else:
//
//	s3://ACCESS:SECRET@HOST:PORT/BUCKET/PREFIX?region=R&tls=off&ca=FILE
//
// TLS is on unless tls=off. The secret key may be left out of the URL; it is
// then taken from the environment variable PLI_S3_SECRET. The region is
// us-east-1 if none is given; ca names a file of certificates to trust in place
// of the system's. The keys are never part of an error or a log line.
//
// Integrity: each request that stores bytes carries their SHA-256, signed
// (x-amz-content-sha256) and as the object's checksum (x-amz-checksum-sha256),
// and the server refuses what does not agree; the digest of the whole lies in
// the object's metadata (pli-sha256) and is compared on every whole read.
// Durable is what the server has acknowledged: how many disks that means is the
// server's affair.
package s3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"pli/store/blob"
)

// Limits bound what a bucket takes at once and how long it waits. Zero values
// mean the defaults.
type Limits struct {
	SinglePut int64         // bytes of an object up to which it is one PUT; 16 MB. Above, it is a multipart upload
	Part      int64         // bytes of each part but the last; 16 MB. Servers take no less than 5 MiB
	Attempts  int           // how often a request is tried; 5, which takes about two seconds where the server is down
	Stall     time.Duration // after which a connection on which nothing moves is given up; 30 s
	ReadAhead int           // bytes that a sequential reader of a blob asks for at once; 1 MB
	Abandon   time.Duration // age above which Open ends multipart uploads that were never completed; 24 h
}

const (
	defaultSinglePut = 16_000_000
	defaultPart      = 16_000_000
	defaultAttempts  = 5
	defaultStall     = 30 * time.Second
	defaultReadAhead = 1_000_000
	defaultAbandon   = 24 * time.Hour
	// maxParts is how many parts S3 allows in one upload: larger objects have
	// larger parts.
	maxParts = 10_000
)

func (l Limits) withDefaults() Limits {
	orDefault(&l.SinglePut, defaultSinglePut)
	orDefault(&l.Part, defaultPart)
	orDefault(&l.Attempts, defaultAttempts)
	orDefault(&l.Stall, defaultStall)
	orDefault(&l.ReadAhead, defaultReadAhead)
	orDefault(&l.Abandon, defaultAbandon)
	return l
}

func orDefault[T comparable](value *T, def T) {
	var zero T
	if *value == zero {
		*value = def
	}
}

// Bucket holds objects by name, under the URL's prefix. All methods may run at
// once. Besides those that each method names, errors are blob.ErrUnavailable
// (the server did not answer, or not in time, however often it was asked),
// blob.ErrFull, the context's, and others that an operator has to mend.
type Bucket struct {
	core   *minio.Core
	place  place
	limits Limits
	log    *slog.Logger
}

// Object is what List tells of one.
type Object struct {
	Name    string // without the URL's prefix
	Size    int64  // bytes
	ModTime time.Time
}

// OpenBucket opens the bucket that a URL names, with the default limits. It
// fails if the server does not answer, refuses the keys or has no such bucket.
func OpenBucket(ctx context.Context, rawURL string, log *slog.Logger) (*Bucket, error) {
	return OpenBucketWithin(ctx, rawURL, log, Limits{})
}

// OpenBucketWithin is OpenBucket with limits of the caller's.
func OpenBucketWithin(ctx context.Context, rawURL string, log *slog.Logger, limits Limits) (*Bucket, error) {
	p, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	limits = limits.withDefaults()
	core, err := p.client(limits)
	if err != nil {
		return nil, err
	}
	b := &Bucket{core: core, place: p, limits: limits, log: log.With("s3", p.String())}
	if _, err := b.List(ctx, "", "", 1); err != nil {
		return nil, fmt.Errorf("%w (bucket %s)", err, p)
	}
	return b, nil
}

// String names the bucket, without the credentials.
func (b *Bucket) String() string { return b.place.String() }

// key returns an object's name on the server.
func (b *Bucket) key(name string) string { return b.place.prefix + name }

// Put stores size bytes under a name, in the place of what may be there. The
// content is read twice, the first time for its digest. When Put returns an
// error, the name holds the old content, or, where the server stopped answering
// at the very end, the new.
func (b *Bucket) Put(ctx context.Context, name string, content io.ReaderAt, size int64) error {
	o, err := newUpload(name, content, size)
	if err != nil {
		return err
	}
	return b.put(ctx, o)
}

// Create is Put under a name that must be free; if it is not, the error is
// blob.ErrExists and what is there stays as it is. Servers without conditional
// requests (If-None-Match) are asked before instead, which two writers at the
// same moment may both pass. After any other error there is no such object, or,
// where the server stopped answering at the very end, the whole one.
func (b *Bucket) Create(ctx context.Context, name string, content io.ReaderAt, size int64) error {
	o, err := newUpload(name, content, size)
	if err != nil {
		return err
	}
	if err := b.wantFree(ctx, name); err != nil {
		return err
	}
	o.fresh = true
	return b.put(ctx, o)
}

// wantFree returns blob.ErrExists if there is an object of that name.
func (b *Bucket) wantFree(ctx context.Context, name string) error {
	_, err := b.stat(ctx, name)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return nil
	case err == nil:
		return blob.ErrExists
	}
	return err
}

func (b *Bucket) stat(ctx context.Context, name string) (info minio.ObjectInfo, err error) {
	err = b.retry(ctx, "stat", func() (err error) {
		info, err = b.core.StatObject(ctx, b.place.bucket, b.key(name), minio.StatObjectOptions{})
		return err
	})
	return info, err
}

// Get returns an object's content and its length in bytes, or blob.ErrNotFound.
// The caller closes it. A connection that breaks is replaced, and reading goes
// on where it was. Whoever reads the end has read what was stored: if the digest
// does not agree, the error there is ErrDamaged in place of io.EOF. An object
// without our metadata is read unchecked.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	content, _, err := b.get(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	return content, content.end, nil
}

// Check reads an object whole and compares it with its digest: ErrDamaged if it
// differs, ErrUnchecked if it has none, blob.ErrNotFound if it is not there.
func (b *Bucket) Check(ctx context.Context, name string) error {
	content, checked, err := b.get(ctx, name)
	if err != nil {
		return err
	}
	defer content.Close()
	if _, err := io.Copy(io.Discard, content); err != nil {
		return err
	}
	if !checked {
		return ErrUnchecked
	}
	return nil
}

func (b *Bucket) get(ctx context.Context, name string) (content *stream, checked bool, err error) {
	s := &stream{bucket: b, ctx: ctx, key: b.key(name), end: -1}
	info, err := s.open()
	if err != nil {
		return nil, false, err
	}
	s.want = info.UserMetadata[metaDigest]
	s.digest = sha256.New()
	return s, s.want != "", nil
}

// Delete removes an object; one that is not there is no error. In a bucket with
// versions the server keeps the old one, as long as the bucket's rules say.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	err := b.retry(ctx, "delete", func() error {
		return b.core.RemoveObject(ctx, b.place.bucket, b.key(name), minio.RemoveObjectOptions{})
	})
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}

// List returns at most n objects whose names begin with prefix, in order of
// name, after the given one.
func (b *Bucket) List(ctx context.Context, prefix, after string, n int) ([]Object, error) {
	return b.list(ctx, prefix, after, n, true)
}

// maxPage is how many objects S3 lists at once.
const maxPage = 1000

// list leaves out names with a slash unless it is to go deep.
func (b *Bucket) list(ctx context.Context, prefix, after string, n int, deep bool) (found []Object, err error) {
	if n <= 0 {
		return nil, ctx.Err()
	}
	err = b.retry(ctx, "list", func() error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		options := minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: deep, MaxKeys: min(maxPage, n-len(found))}
		if after != "" {
			options.StartAfter = b.key(after)
		}
		for info := range b.core.ListObjectsIter(ctx, b.place.bucket, options) {
			if info.Err != nil {
				return info.Err
			}
			if strings.HasSuffix(info.Key, "/") {
				continue // a folder
			}
			after = strings.TrimPrefix(info.Key, b.place.prefix)
			if found = append(found, Object{after, info.Size, info.LastModified}); len(found) == n {
				return nil
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// AbandonUploads ends multipart uploads of ours that began longer ago than age
// and were never completed, and says how many there were. A server that cannot
// list them has none as far as we know.
func (b *Bucket) AbandonUploads(ctx context.Context, age time.Duration, ours func(name string) bool) (n int, err error) {
	var keyMarker, idMarker string
	for {
		var page minio.ListMultipartUploadsResult
		err := b.retry(ctx, "list uploads", func() (err error) {
			page, err = b.core.ListMultipartUploads(ctx, b.place.bucket, b.place.prefix, keyMarker, idMarker, "", maxPage)
			return err
		})
		if err != nil {
			return n, err
		}
		for _, u := range page.Uploads {
			name, inside := strings.CutPrefix(u.Key, b.place.prefix)
			if !inside || !ours(name) || time.Since(u.Initiated) < age {
				continue
			}
			if err := b.abortUpload(ctx, u.Key, u.UploadID); err != nil {
				return n, err
			}
			n++
		}
		if !page.IsTruncated || page.NextKeyMarker == "" {
			return n, nil
		}
		keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// abortUpload ends a multipart upload; one that is not there is no error.
func (b *Bucket) abortUpload(ctx context.Context, key, id string) error {
	return b.retry(ctx, "abort an upload", func() error {
		err := b.core.AbortMultipartUpload(ctx, b.place.bucket, key, id)
		if hasCode(err, "NoSuchUpload") {
			return nil
		}
		return err
	})
}
