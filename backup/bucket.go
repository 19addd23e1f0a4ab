package backup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"pli/internal/errs"
	"pli/store/blob"
	"pli/store/blob/s3"
)

// bucketPage is how many objects are asked for at once.
const bucketPage = 1000

// Bucket is a repository in a bucket of an S3 server.
type Bucket struct{ bucket *s3.Bucket }

// Put stores the object, checked end to end.
func (b Bucket) Put(ctx context.Context, name string, content io.ReaderAt, size int64) error {
	return b.bucket.Put(ctx, name, content, size)
}

// Get opens the object.
func (b Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, _, err := b.bucket.Get(ctx, name)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, ErrNotFound
	}
	return r, err
}

// List asks for page after page.
func (b Bucket) List(ctx context.Context, folder string, fn func(Object) error) error {
	for after := ""; ; {
		page, err := b.bucket.List(ctx, folder, after, bucketPage)
		if err != nil {
			return err
		}
		for _, o := range page {
			after = o.Name
			if err := fn(Object{o.Name, o.Size}); err != nil {
				return err
			}
		}
		if len(page) < bucketPage {
			return nil
		}
	}
}

// Delete removes the object.
func (b Bucket) Delete(ctx context.Context, name string) error { return b.bucket.Delete(ctx, name) }

// OpenRepository opens the repository at a place: a folder, or a URL of a
// bucket (see package s3). With create, a folder that is absent or empty
// becomes one.
func OpenRepository(ctx context.Context, place string, create bool, log *slog.Logger) (Repository, error) {
	switch {
	case place == "":
		return nil, errs.New(errs.Invalid, "say where the backup lies: a folder, or s3://…")
	case strings.HasPrefix(place, "s3://"):
		b, err := s3.OpenBucket(ctx, place, log)
		if err != nil {
			return nil, err
		}
		return Bucket{b}, nil
	case strings.Contains(place, "://"):
		return nil, errs.New(errs.Invalid, "a backup lies in a folder or in a bucket (s3://…), not elsewhere")
	}
	return OpenFolder(place, create)
}

// Place returns a place as another process finds it: a folder's whole path, or
// a URL with the secret key that this process was given.
func Place(place string) (string, error) {
	u, err := url.Parse(place)
	if err != nil || u.Scheme != "s3" {
		if place == "" || strings.Contains(place, "://") {
			return place, nil // to be refused where it is opened
		}
		return filepath.Abs(place)
	}
	if _, has := u.User.Password(); !has && u.User != nil {
		if secret := os.Getenv(s3.EnvSecret); secret != "" {
			u.User = url.UserPassword(u.User.Username(), secret)
		}
	}
	return u.String(), nil
}
