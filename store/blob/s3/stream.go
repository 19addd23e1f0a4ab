package s3

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	"pli/store/blob"
)

// stream reads an object, or a range of it, in order. Where the connection
// breaks it asks for the rest, of the same object or none.
type stream struct {
	bucket *Bucket
	ctx    context.Context
	key    string
	etag   string // "" before the first answer
	off    int64  // the next byte to return
	end    int64  // where the range ends; -1 at the object's end, before the first answer
	total  int64  // the object's length, after the first answer

	body   io.ReadCloser // nil: to be asked for
	broken int           // how often, since a byte was read

	digest hash.Hash // of what was read; nil if nobody compares
	want   string    // the digest that the object carries, "" if none
}

// open asks for what is still to be read.
func (s *stream) open() (info minio.ObjectInfo, err error) {
	var options minio.GetObjectOptions
	if s.etag != "" {
		options.SetMatchETag(s.etag)
	}
	if s.end >= 0 {
		options.Set("Range", fmt.Sprintf("bytes=%d-%d", s.off, s.end-1))
	}
	err = s.bucket.retry(s.ctx, "get", func() error {
		body, got, header, err := s.bucket.core.GetObject(s.ctx, s.bucket.place.bucket, s.key, options)
		if err != nil {
			return err
		}
		if err := s.accept(got, header.Get("Content-Range")); err != nil {
			body.Close()
			return err
		}
		info, s.body = got, body
		return nil
	})
	if errors.Is(err, errPrecondition) {
		err = fmt.Errorf("s3: get: %w: the object was replaced while it was read", blob.ErrNotFound)
	}
	return info, err
}

// accept takes note of an answer's range and refuses one that was not asked for.
func (s *stream) accept(info minio.ObjectInfo, contentRange string) error {
	first, last, total := int64(0), info.Size-1, info.Size
	if contentRange != "" {
		if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &total); err != nil {
			return fmt.Errorf("a range that cannot be read: %q", contentRange)
		}
	}
	if info.Size < 0 || first != s.off || s.etag != "" && (info.ETag != s.etag || total != s.total) {
		return fmt.Errorf("the server answered with another range or object than it was asked for")
	}
	s.etag, s.total = info.ETag, total
	if s.end < 0 || s.end > total {
		s.end = total
	}
	if last+1 < s.end {
		return fmt.Errorf("the server answered with less than it was asked for")
	}
	return nil
}

func (s *stream) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if s.off == s.end {
			return 0, s.atEnd()
		}
		if s.body == nil {
			if _, err := s.open(); err != nil {
				return 0, err
			}
		}
		n, err := s.body.Read(p[:min(int64(len(p)), s.end-s.off)])
		s.off += int64(n)
		if s.digest != nil {
			s.digest.Write(p[:n])
		}
		if n > 0 {
			s.broken = 0
		}
		if err != nil {
			s.Close()
			if err := s.again(err); err != nil {
				return n, err
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

// again decides whether to ask once more after a body that ended early.
func (s *stream) again(err error) error {
	if s.off == s.end {
		return nil
	}
	if s.broken++; s.broken < s.bucket.limits.Attempts && s.ctx.Err() == nil {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return s.bucket.explain(s.ctx, "get", err)
}

// atEnd compares the digests.
func (s *stream) atEnd() error {
	if s.want != "" && !strings.EqualFold(s.want, hex.EncodeToString(s.digest.Sum(nil))) {
		return fmt.Errorf("%w: object %s", ErrDamaged, s.key)
	}
	return io.EOF
}

func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	err := s.body.Close()
	s.body = nil
	return err
}

// fill reads len(p) bytes and closes the stream.
func (s *stream) fill(p []byte) error {
	defer s.Close()
	_, err := io.ReadFull(s, p)
	return err
}
