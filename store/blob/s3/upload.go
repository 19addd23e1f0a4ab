package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"pli/store/blob"
)

// What is kept with each object, as ObjectInfo.UserMetadata spells it.
const (
	metaDigest = "Pli-Sha256" // of the whole content, in hexadecimal digits
	metaMark   = "Pli-Upload" // of the upload: tells what one's own tries stored from what others did
)

// HTTP headers by which the server checks what it receives.
const (
	headerChecksum  = "X-Amz-Checksum-Sha256" // in base64
	headerAlgorithm = "X-Amz-Checksum-Algorithm"
)

// undoTime is how long a failed upload may take to remove its traces.
const undoTime = 10 * time.Second

// upload is an object on its way to the server.
type upload struct {
	name    string
	content io.ReaderAt
	size    int64
	digest  [sha256.Size]byte
	mark    string
	fresh   bool // there must be no such object
	unknown bool // nobody else knows the name: what a failure leaves can be removed
}

func newUpload(name string, content io.ReaderAt, size int64) (*upload, error) {
	h := sha256.New()
	if n, err := io.Copy(h, io.NewSectionReader(content, 0, size)); err != nil {
		return nil, fmt.Errorf("s3: the content to store: %w", err)
	} else if n != size {
		return nil, fmt.Errorf("s3: the content to store has %d bytes, not %d", n, size)
	}
	return &upload{name: name, content: content, size: size, digest: [sha256.Size]byte(h.Sum(nil)), mark: string(blob.NewID())}, nil
}

func (o *upload) section(off, n int64) *io.SectionReader {
	return io.NewSectionReader(o.content, off, min(n, o.size-off))
}

// options are those of the request that makes the object.
func (o *upload) options(conditional bool) minio.PutObjectOptions {
	options := minio.PutObjectOptions{DisableContentSha256: true} // no signed chunks: the digest is known beforehand
	if conditional {
		options.SetMatchETagExcept("*")
	}
	return options
}

// put stores an object whole or not at all. What a failure may have left on the
// server is removed in the background, since the caller is not to wait longer
// than its context.
func (b *Bucket) put(ctx context.Context, o *upload) error {
	var err error
	if o.size <= b.limits.SinglePut {
		err = b.finish(ctx, "put", o, func(conditional bool) error { return b.putSingle(ctx, o, conditional) })
	} else {
		err = b.putParts(ctx, o)
	}
	if err != nil && o.unknown {
		go b.undo(ctx, o)
	}
	return err
}

// finish runs the request that makes the object visible. Where an earlier try
// was answered by silence and has succeeded all the same, the next one finds
// the object there or the upload gone: the object's mark tells.
func (b *Bucket) finish(ctx context.Context, what string, o *upload, request func(conditional bool) error) error {
	conditional, tries := o.fresh, 0
	err := b.retry(ctx, what, func() error {
		tries++
		err := request(conditional)
		if conditional && hasStatus(err, statusUnknown) {
			conditional = false
			err = request(conditional)
		}
		if hasCode(err, "NoSuchUpload") && tries > 1 && b.isStored(ctx, o) {
			return nil
		}
		return err
	})
	if errors.Is(err, errPrecondition) {
		if tries > 1 && b.isStored(ctx, o) {
			return nil
		}
		return blob.ErrExists
	}
	return err
}

// isStored reports whether the object that is there is this upload's.
func (b *Bucket) isStored(ctx context.Context, o *upload) bool {
	info, err := b.stat(ctx, o.name)
	return err == nil && info.UserMetadata[metaMark] == o.mark
}

// undo removes the object if a request that seemed to fail has stored it.
func (b *Bucket) undo(ctx context.Context, o *upload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if !b.isStored(ctx, o) {
		return
	}
	if err := b.Delete(ctx, o.name); err != nil {
		b.log.Warn("an upload that failed has left an object", "name", o.name, "error", err)
	}
}

// undoParts ends a multipart upload that failed.
func (b *Bucket) undoParts(ctx context.Context, key, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := b.abortUpload(ctx, key, id); err != nil {
		b.log.Warn("an upload that failed has left its parts", "key", key, "error", err)
	}
}

func (b *Bucket) putSingle(ctx context.Context, o *upload, conditional bool) error {
	options := o.options(conditional)
	sum := base64.StdEncoding.EncodeToString(o.digest[:])
	options.UserMetadata = map[string]string{metaDigest: hex.EncodeToString(o.digest[:]), metaMark: o.mark, headerChecksum: sum}
	info, err := b.core.PutObject(ctx, b.place.bucket, b.key(o.name), o.section(0, o.size), o.size, "", hex.EncodeToString(o.digest[:]), options)
	return agrees(err, info.ChecksumSHA256, sum)
}

// agrees returns err, or a failure to try again if the server names another
// checksum than was sent. One that names none has checked the signed digest.
func agrees(err error, got, sent string) error {
	if err == nil && got != "" && got != sent {
		return fmt.Errorf("%w: the server received other bytes than were sent", blob.ErrUnavailable)
	}
	return err
}

// putParts stores an object in a multipart upload, which it ends if it fails.
func (b *Bucket) putParts(ctx context.Context, o *upload) (err error) {
	key := b.key(o.name)
	options := o.options(false)
	options.UserMetadata = map[string]string{metaDigest: hex.EncodeToString(o.digest[:]), metaMark: o.mark, headerAlgorithm: "SHA256"}
	var id string
	err = b.retry(ctx, "begin an upload", func() (err error) {
		id, err = b.core.NewMultipartUpload(ctx, b.place.bucket, key, options)
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			go b.undoParts(ctx, key, id)
		}
	}()
	parts, err := b.sendParts(ctx, o, id)
	if err != nil {
		return err
	}
	return b.finish(ctx, "complete an upload", o, func(conditional bool) error {
		_, err := b.core.CompleteMultipartUpload(ctx, b.place.bucket, key, id, parts, o.options(conditional))
		return err
	})
}

// sendParts sends the parts one after the other, and fails if what it has read
// is not what the object's digest was made of.
func (b *Bucket) sendParts(ctx context.Context, o *upload, id string) (parts []minio.CompletePart, err error) {
	size := max(b.limits.Part, (o.size+maxParts-1)/maxParts)
	whole := sha256.New()
	for off := int64(0); off < o.size; off += size {
		h := sha256.New()
		if _, err := io.Copy(io.MultiWriter(h, whole), o.section(off, size)); err != nil {
			return nil, fmt.Errorf("s3: the content to store: %w", err)
		}
		part, err := b.sendPart(ctx, o, id, len(parts)+1, o.section(off, size), h.Sum(nil))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if [sha256.Size]byte(whole.Sum(nil)) != o.digest {
		return nil, fmt.Errorf("s3: the content to store changed while it was sent: %w", ErrDamaged)
	}
	return parts, nil
}

func (b *Bucket) sendPart(ctx context.Context, o *upload, id string, number int, content *io.SectionReader, digest []byte) (minio.CompletePart, error) {
	sum := base64.StdEncoding.EncodeToString(digest)
	var part minio.ObjectPart
	err := b.retry(ctx, "put a part", func() (err error) {
		content.Seek(0, io.SeekStart)
		part, err = b.core.PutObjectPart(ctx, b.place.bucket, b.key(o.name), id, number, content, content.Size(), minio.PutObjectPartOptions{
			Sha256Hex:            hex.EncodeToString(digest),
			DisableContentSha256: true,
			CustomHeader:         map[string][]string{headerChecksum: {sum}},
		})
		return agrees(err, part.ChecksumSHA256, sum)
	})
	return minio.CompletePart{PartNumber: number, ETag: part.ETag, ChecksumSHA256: part.ChecksumSHA256}, err
}
