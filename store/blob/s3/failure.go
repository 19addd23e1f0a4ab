package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"pli/store/blob"
)

// ErrDamaged is returned for an object whose bytes are not those that were
// stored.
var ErrDamaged = errors.New("s3: the content is not what was stored")

// ErrUnchecked is returned by Check for an object that carries no digest: it
// was not written by this package, or was copied without its metadata.
var ErrUnchecked = errors.New("s3: the object carries no digest to check it by")

// HTTP statuses that S3 servers answer with.
const (
	statusTimeout      = 408
	statusConflict     = 409
	statusPrecondition = 412
	statusRange        = 416
	statusTooMany      = 429
	statusInternal     = 500
	statusUnknown      = 501
	statusFull         = 507
)

// firstWait is the pause before the second try; each one doubles it. minio-go
// adds up to 200 ms of its own, at random.
const firstWait = 100 * time.Millisecond

// retry calls try until it succeeds, fails for good, has been called as often
// as the limits allow, or the context ends.
func (b *Bucket) retry(ctx context.Context, what string, try func() error) error {
	wait := firstWait
	for n := 1; ; n++ {
		err := b.explain(ctx, what, try())
		if err == nil || !errors.Is(err, blob.ErrUnavailable) || ctx.Err() != nil || n >= b.limits.Attempts {
			return err
		}
		b.log.Warn("the S3 store did not answer; trying again", "what", what, "try", n, "error", err)
		select {
		case <-ctx.Done():
			return b.explain(ctx, what, ctx.Err())
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait *= 2
	}
}

// explained are the failures that have their name already.
var explained = []error{ErrDamaged, errPrecondition, errRange, blob.ErrNotFound, blob.ErrExists, blob.ErrUnavailable, blob.ErrFull}

// explain gives a failure the name that package blob has for it.
func (b *Bucket) explain(ctx context.Context, what string, err error) error {
	var answer minio.ErrorResponse
	var untrusted *tls.CertificateVerificationError
	switch {
	case err == nil, slices.ContainsFunc(explained, func(name error) bool { return errors.Is(err, name) }):
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("s3: %s: %w: %w", what, blob.ErrUnavailable, ctx.Err())
	case ctx.Err() != nil:
		return fmt.Errorf("s3: %s: %w", what, ctx.Err())
	case errors.As(err, &untrusted):
		return fmt.Errorf("s3: %s: the server's certificate is not trusted: %v: name a file of certificates to trust in the URL, as ca=FILE", what, untrusted.Err)
	case !errors.As(err, &answer): // of the network
		return fmt.Errorf("s3: %s: %w: %v", what, blob.ErrUnavailable, err)
	}
	if kind := kindOf(answer); kind != nil {
		return fmt.Errorf("s3: %s: %w: %s (%d): %s", what, kind, answer.Code, answer.StatusCode, answer.Message)
	}
	return fmt.Errorf("s3: %s: the server says %s (%d): %s%s", what, answer.Code, answer.StatusCode, answer.Message, advice[answer.Code])
}

var (
	// errPrecondition: there is an object where none may be, or another.
	errPrecondition = errors.New("s3: a precondition does not hold")
	// errRange: the object ends before the range, as an empty one always does.
	errRange = errors.New("s3: the range lies beyond the object's end")
)

// kindOf returns nil for what neither time nor a smaller store mends. That a
// thing is missing has to be said in so many words: a bucket or a user that is
// not there has status 404 too, and must not look like a blob that is lost.
func kindOf(answer minio.ErrorResponse) error {
	switch answer.Code {
	case "XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientCapacity":
		return blob.ErrFull
	case "NoSuchKey", "NotFound":
		return blob.ErrNotFound
	case "SlowDown", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict",
		"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody": // bytes were lost on their way
		return blob.ErrUnavailable
	}
	switch status := answer.StatusCode; {
	case status == statusFull:
		return blob.ErrFull
	case status == statusPrecondition:
		return errPrecondition
	case status == statusRange:
		return errRange
	case status == statusTimeout, status == statusTooMany, status == statusConflict, status >= statusInternal && status != statusUnknown:
		return blob.ErrUnavailable
	}
	return nil
}

// advice says what to do about answers that a setting causes.
var advice = map[string]string{
	"NoSuchBucket":          " Make the bucket, or correct its name in the URL.",
	"InvalidAccessKeyId":    " Correct the access key in the URL.",
	"SignatureDoesNotMatch": " Correct the secret key, in the URL or in " + EnvSecret + ".",
	"AccessDenied":          " Give the access key the right to read, write, list and delete in the bucket.",
	"RequestTimeTooSkewed":  " Set this machine's clock.",
}

// hasStatus reports whether err is an answer of that HTTP status.
func hasStatus(err error, status int) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == status
}

// hasCode reports whether err is an answer of that S3 code.
func hasCode(err error, code string) bool {
	var answer minio.ErrorResponse
	return errors.As(err, &answer) && answer.Code == code
}
