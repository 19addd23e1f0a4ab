package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// Renew puts a sound blob in the place of one that check refuses, or that is
// missing: bring is asked for it once the place is free. If it cannot be had,
// what lay there before is put back, since part of it may still be read. A
// blob that is there is held in memory meanwhile.
func Renew(ctx context.Context, s Store, id ID, bring func(ctx context.Context, id ID) error, check func() error) error {
	old, err := take(ctx, s, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err = bring(ctx, id); err == nil {
		err = check()
	}
	if err == nil || old == nil {
		return err
	}
	return errors.Join(err, put(context.WithoutCancel(ctx), s, id, old))
}

// take removes a blob and returns its bytes.
func take(ctx context.Context, s Store, id ID) ([]byte, error) {
	r, err := s.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, r.Size())
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, r.Size()), b); err != nil {
		return nil, err
	}
	return b, s.Delete(ctx, id)
}

// put writes a blob that was taken, unless another has its place by now.
func put(ctx context.Context, s Store, id ID, b []byte) error {
	w, err := s.CreateAs(ctx, id)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, bytes.NewReader(b)); err != nil {
		return err
	}
	if _, err := w.Commit(); !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}
