package s3

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"pli/store/blob"
)

// Config says where a Store is.
type Config struct {
	URL    string
	Spool  string // folder for blobs that are being written; the system's temporary folder if empty
	Log    *slog.Logger
	Limits Limits
}

// Store is a blob.Store in a bucket: a blob is the object of its ID. Several
// processes may have it open.
//
// A blob is written to an unlinked file and sent when it is committed, as one
// request or, if it is large, as a multipart upload; either way the server
// shows the whole object or none. While a Reader is open, Delete by the same
// process makes the blob unknown at once and removes the object when the last
// Reader is closed; if the process ends before, a sweeper finds it. Delete by
// another process cuts the Reader.
type Store struct {
	bucket *Bucket
	spool  string
	log    *slog.Logger

	mu    sync.Mutex
	inUse map[blob.ID]*use
}

// use counts what holds a blob's object where it is.
type use struct {
	holders int
	deleted bool // the last holder removes the object
}

var _ blob.Store = (*Store)(nil)

// closeTime is how long a Reader's Close may take to remove a blob that was
// deleted meanwhile.
const closeTime = 10 * time.Second

// Open opens the store that a URL names, and ends what crashed processes have
// left of multipart uploads. It fails as OpenBucket does.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	bucket, err := OpenBucketWithin(ctx, cfg.URL, cfg.Log, cfg.Limits)
	if err != nil {
		return nil, err
	}
	if cfg.Spool == "" {
		cfg.Spool = os.TempDir()
	}
	if err := os.MkdirAll(cfg.Spool, 0o700); err != nil {
		return nil, fmt.Errorf("s3: the folder for blobs that are being written: %w", err)
	}
	s := &Store{bucket: bucket, spool: cfg.Spool, log: bucket.log, inUse: make(map[blob.ID]*use)}
	isBlob := func(name string) bool { return blob.ID(name).Valid() }
	n, err := bucket.AbandonUploads(ctx, bucket.limits.Abandon, isBlob)
	if err != nil {
		s.log.Warn("unfinished uploads could not be ended", "error", err)
	}
	if n > 0 {
		s.log.Info("ended unfinished uploads", "count", n)
	}
	return s, ctx.Err()
}

// Delete removes a blob, now or when its last Reader is closed.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !id.Valid() || !s.hold(id, true) {
		return nil
	}
	return s.release(ctx, id)
}

// hold keeps a blob's object where it is until release, to read it or to delete
// it; it reports whether the blob was not being deleted already.
func (s *Store) hold(id blob.ID, toDelete bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.inUse[id]
	if u == nil {
		u = &use{}
		s.inUse[id] = u
	}
	if u.deleted {
		return false
	}
	u.holders++
	u.deleted = toDelete
	return true
}

// leaving reports whether a blob is deleted and its object still there.
func (s *Store) leaving(id blob.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.inUse[id]
	return u != nil && u.deleted
}

// release ends a hold. The last one removes the object of a deleted blob, which
// nobody opens meanwhile.
func (s *Store) release(ctx context.Context, id blob.ID) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.inUse[id]
	if u.holders--; u.holders > 0 {
		return nil
	}
	if u.deleted {
		s.mu.Unlock()
		err = s.bucket.Delete(ctx, string(id))
		s.mu.Lock()
	}
	delete(s.inUse, id)
	return err
}

// letGo is release for a reader, whose own context may have ended.
func (s *Store) letGo(ctx context.Context, id blob.ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return s.release(ctx, id)
}

// List passes over objects that are no blobs.
func (s *Store) List(ctx context.Context, after blob.ID, n int) (found []blob.Info, err error) {
	for name := string(after); len(found) < n; {
		page, err := s.bucket.list(ctx, "", name, n-len(found), false)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			name = o.Name
			if id := blob.ID(o.Name); id.Valid() && !s.leaving(id) {
				found = append(found, blob.Info{ID: id, Size: o.Size, ModTime: o.ModTime})
			}
		}
	}
	return found, ctx.Err()
}

// Check reads a blob whole and compares it with the digest that it was stored
// with: ErrDamaged if it differs, ErrUnchecked if it has none, blob.ErrNotFound
// if there is no such blob. What reads blobs through Open does not need it:
// their content is sealed, and damage fails to open.
func (s *Store) Check(ctx context.Context, id blob.ID) error {
	if !id.Valid() || !s.hold(id, false) {
		return blob.ErrNotFound
	}
	defer s.letGo(ctx, id)
	return s.bucket.Check(ctx, string(id))
}
