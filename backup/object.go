package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"pli/internal/errs"
)

// object is one of the repository while it is read, with its digest so far.
type object struct {
	ctx  context.Context
	name string
	body io.ReadCloser
	sum  hash.Hash
	n    int64
}

// openObject opens an object; one that is not there is damage.
func openObject(ctx context.Context, repo Repository, name string) (*object, error) {
	body, err := repo.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return nil, &damaged{name, "is missing"}
	}
	if err != nil {
		return nil, err
	}
	return &object{ctx, name, body, sha256.New(), 0}, nil
}

// Read reads on. What will not be read another time is damage; what may is
// told as it is.
func (o *object) Read(p []byte) (int, error) {
	n, err := o.body.Read(p)
	o.sum.Write(p[:n])
	o.n += int64(n)
	if err != nil && err != io.EOF && o.ctx.Err() == nil && !errs.Is(err, errs.Unavailable) {
		err = &damaged{o.name, "cannot be read: " + err.Error()}
	}
	return n, err
}

// check says whether what was read is what was written.
func (o *object) check(size int64, sum string) error {
	if o.n != size || hex.EncodeToString(o.sum.Sum(nil)) != sum {
		return &damaged{o.name, "is damaged: its digest does not fit"}
	}
	return nil
}

// readPiece returns a piece's bytes, as they were written.
func readPiece(ctx context.Context, repo Repository, name string, p Piece) ([]byte, error) {
	o, err := openObject(ctx, repo, name)
	if err != nil {
		return nil, err
	}
	defer o.body.Close()
	b, err := io.ReadAll(io.LimitReader(o, p.Size+1))
	if err != nil {
		return nil, err
	}
	return b, o.check(p.Size, p.Sum)
}
